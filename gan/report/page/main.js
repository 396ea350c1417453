"use strict";

const root = document.documentElement;
const prefersDark = matchMedia("(prefers-color-scheme: dark)");

function showTheme(dark) {
  root.dataset.theme = dark ? "dark" : "light";
  document.getElementById("theme").textContent = dark ? "Light" : "Dark";
  drawCharts(document.getElementById("log").checked);
}

function switchTheme() {
  showTheme(root.dataset.theme !== "dark");
}

document.getElementById("title").append(...report.runs.map((_, run) => badge(run)));
document.getElementById("made").textContent = `Made by gan.report, ${report.made}. Nothing in this page is loaded from elsewhere.`;
const shows = { run: showFacts, curves: showCurves, samples: showSamples, evaluation: showEvaluation, cases: showCases };
for (const [id, show] of Object.entries(shows)) show(document.getElementById(id));
document.getElementById("theme").onclick = switchTheme;
document.addEventListener("keydown", (event) => {
  if (event.key === "d" && !event.target.matches("input, select") && !event.ctrlKey && !event.metaKey) switchTheme();
});
prefersDark.addEventListener("change", () => showTheme(prefersDark.matches));
showTheme(prefersDark.matches);
