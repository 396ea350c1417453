"use strict";

/** What the runs were, and on what. */
function showFacts(section) {
  const runs = report.runs;
  section.append(sideBySide(runs.map((run) => run.facts)));
  const most = Math.max(...runs.map((run) => run.starts.length));
  if (most === 0) section.append(make("p", { className: "note" }, "When and on what it was started is not recorded."));
  for (let start = 0; start < most; start += 1) {
    const title = start ? `Start ${start + 1}: resumed` : "Start: command, versions, fingerprints of the data";
    const of = runs.map((run) => run.starts[start] ?? {});
    section.append(make("details", {}, make("summary", {}, title), sideBySide(of)));
  }
  section.append(options(runs.map((run) => run.options)));
}

function options(of) {
  const shown = make("div", {}, sideBySide(of));
  const details = make("details", { id: "options" }, make("summary", {}, "All options"));
  if (of.length > 1) {
    const only = checkbox(false, (checked) => shown.replaceChildren(sideBySide(of, checked)));
    only.id = "differing";
    details.append(make("div", { className: "controls" }, labelled("only what differs", only)));
  }
  details.append(shown);
  return details;
}

/** A row a name, a column a run; rows in which runs differ stand out. */
function sideBySide(columns, onlyDiffering = false) {
  const names = [...new Set(columns.flatMap(Object.keys))];
  const differs = (name) => columns.some((of) => of[name] !== columns[0][name]);
  const rows = names.filter((name) => !onlyDiffering || differs(name)).map((name) => {
    const title = make("span", { className: differs(name) ? "differs" : "" }, name);
    return [title, ...columns.map((of) => of[name] ?? "–")];
  });
  const found = table(["", ...columns.map((_, run) => badge(run))], rows);
  found.classList.add("facts");
  return found;
}
