"use strict";

function themeOfNow() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

function switchTheme() {
  document.documentElement.dataset.theme = themeOfNow() === "dark" ? "light" : "dark";
  showTheme();
}

function showTheme() {
  document.getElementById("theme").textContent = themeOfNow() === "dark" ? "Light" : "Dark";
  drawCharts(document.getElementById("log").checked);
}

document.getElementById("title").append(...report.runs.map((_, run) => badge(run)));
document.getElementById("made").textContent = `Made by gan.report, ${report.made}. Nothing in this page is loaded from elsewhere.`;
const shows = { run: showFacts, curves: showCurves, samples: showSamples, evaluation: showEvaluation, cases: showCases };
for (const [id, show] of Object.entries(shows)) show(document.getElementById(id));
document.getElementById("theme").onclick = switchTheme;
document.addEventListener("keydown", (event) => {
  if (event.key === "d" && !event.target.matches("input, select") && !event.ctrlKey && !event.metaKey) switchTheme();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);
showTheme();
