"use strict";

const FIGURES = {
  froc: "Share of the changes found over false marks a pair (FROC)",
  reliability: "True over predicted change: calibration",
  findings: "By finding",
};

const NOT_EVALUATED = " was not evaluated yet: a run is at its end, and by gan.evaluate at any time.";

/** Tables and figures of every evaluation there is. */
function showEvaluation(section) {
  const known = new Set(report.evaluations.flatMap((found) => found.runs));
  report.runs.forEach((_, run) => {
    if (!known.has(run)) section.append(make("p", { className: "note" }, badge(run), NOT_EVALUATED));
  });
  const beside = make("div", { className: report.evaluations.length > 1 ? "beside" : "" });
  beside.append(...report.evaluations.map(evaluation));
  section.append(beside);
  if (report.runs.length > 1 && report.evaluations.length > 1) {
    section.append(make("p", { className: "note" },
      "The runs were evaluated apart; gan.evaluate with all of them compares them on the same pairs."));
  }
}

function evaluation(found) {
  const { pairs, patients, changed_pairs: changed } = found.counts;
  const [first, ...others] = found.tables;
  const told = `${pairs} pairs of ${patients} patients, ${changed} changed; 95 % intervals in brackets`;
  return make("div", { className: "evaluation" },
    make("h3", {}, ...found.runs.flatMap((run) => [badge(run), " "])),
    make("p", { className: "note" }, `${told}; ${found.origin}.`),
    ...found.notes.map((note) => make("p", { className: "note" }, note)),
    numbers(first),
    ...others.map((one) => make("details", {}, make("summary", {}, one.title || one.label), numbers(one))),
    make("div", { className: "figures" }, ...Object.entries(found.figures).map(([name, image]) =>
      make("figure", { className: name }, make("figcaption", {}, FIGURES[name] ?? name),
        make("img", { src: image, alt: FIGURES[name] ?? name })))));
}

function numbers(of) {
  const rows = Object.entries(of.sections).flatMap(([section, cells]) => [
    ...(section ? [[section]] : []),
    ...Object.entries(cells).map(([label, row]) => [label, ...row.map(cell)]),
  ]);
  const found = table([of.label, ...of.columns], rows);
  found.classList.add("numbers");
  return found;
}

/** A number, and its interval in a fainter ink. */
function cell(text) {
  const [value, ...interval] = text.split(" ");
  return make("span", {}, value, make("small", {}, interval.join(" ")));
}
