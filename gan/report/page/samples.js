"use strict";

/** The sample grids beside each other, by epoch. */
function showSamples(section) {
  const epochs = [...new Set(report.samples.flat().map((grid) => grid.epoch))].sort((a, b) => a - b);
  if (!epochs.length) {
    section.append(make("p", { className: "note" }, "No sample grid was written."));
    return;
  }
  const told = make("output", { id: "epoch-told" });
  const pictures = report.samples.map(() => make("img", { className: "grid" }));
  const slider = make("input", { id: "epoch", type: "range", min: 0, max: epochs.length - 1 });
  slider.oninput = () => {
    const epoch = epochs[slider.value];
    told.textContent = `epoch ${epoch}`;
    pictures.forEach((picture, run) => showGrid(picture, run, epoch));
  };
  slider.value = epochs.length - 1;
  slider.oninput();
  section.append(
    make("p", { className: "note" }, "The same held-out cases after every epoch, one a row."),
    make("div", { className: "controls" }, labelled("epoch", slider), told),
    make("div", { className: "beside" }, ...pictures.map((picture, run) =>
      make("figure", {}, ...(report.runs.length > 1 ? [make("figcaption", {}, badge(run))] : []), picture))),
  );
}

/** The newest grid of a run that is not of a later epoch. */
function showGrid(picture, run, epoch) {
  const grid = report.samples[run].findLast((one) => one.epoch <= epoch);
  picture.hidden = !grid;
  if (!grid) return;
  picture.src = grid.image;
  picture.alt = `${report.runs[run].name}: baseline, followup, target, prediction and what D says, epoch ${grid.epoch}`;
}
