"use strict";

const charts = [];
const HEIGHT = 170;

/** Every number over the steps, in groups; the cursors of all charts move together. */
function showCurves(section) {
  const log = checkbox(false, (checked) => drawCharts(checked));
  log.id = "log";
  section.append(make("div", { className: "controls" }, labelled("logarithmic where all is positive", log),
    make("span", { className: "note" }, "solid: training, dashed: validation; drag to zoom, double click to reset")));
  for (const group of [...new Set(report.charts.map((chart) => chart.group))]) {
    const grid = make("div", { className: "charts" });
    section.append(make("h3", {}, group), grid);
    for (const chart of report.charts.filter((one) => one.group === group)) {
      const place = make("div", { className: "plot" });
      const title = make("figcaption", {}, make("b", {}, chart.name), make("span", { className: "note" }, chart.note));
      grid.append(make("figure", { className: "chart" }, title, place));
      charts.push({ chart, place });
    }
  }
  if (!charts.length) section.append(make("p", { className: "note" }, "Nothing was logged yet."));
  const follow = new ResizeObserver((entries) => {
    for (const entry of entries) {
      const width = Math.floor(entry.contentRect.width);
      if (width) charts.find((one) => one.place === entry.target).plot.setSize({ width, height: HEIGHT });
    }
  });
  for (const { place } of charts) follow.observe(place);
}

/** Draw all charts anew, in the colours of the theme. */
function drawCharts(log) {
  const ink = colour("--muted"), line = colour("--line");
  const colours = report.runs.map((_, run) => colour(`--run-${run}`));
  for (const one of charts) {
    one.plot?.destroy();
    one.plot = draw(one, log, { ink, line, colours });
  }
}

function draw({ chart, place }, log, { ink, line, colours }) {
  const tables = chart.lines.map((of) => [of.steps, of.values]);
  const positive = chart.lines.every((of) => of.values.every((value) => value > 0));
  const axis = { stroke: ink, size: 32, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1, size: 4 } };
  const series = chart.lines.map((of) => ({
    label: report.runs.length > 1 ? `${report.runs[of.run].name} ${of.split}` : of.split,
    stroke: colours[of.run],
    width: 1.5,
    dash: of.split === "train" ? [] : [6, 3],
    points: { show: of.steps.length < 30, size: 5 },
    spanGaps: true,
    value: (_, value) => (value == null ? "–" : Number(value.toPrecision(4)).toString()),
  }));
  return new uPlot({
    width: place.clientWidth || 320,
    height: HEIGHT,
    cursor: { sync: { key: "steps" } },
    scales: { x: { time: false }, y: chart.bounds ? { range: [0, 1] } : { distr: log && positive ? 3 : 1 } },
    axes: [axis, { ...axis, size: 58 }],
    series: [{ label: "step" }, ...series],
    hooks: { draw: [(plot) => drawBounds(plot, chart.bounds ?? [], ink)] },
  }, uPlot.join(tables), place);
}

/** Values between which a number should stay. */
function drawBounds(plot, bounds, ink) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = ink;
  ctx.setLineDash([2, 4]);
  for (const bound of bounds) {
    const y = plot.valToPos(bound, "y", true);
    if (y < bbox.top || y > bbox.top + bbox.height) continue;
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
  }
  ctx.restore();
}
