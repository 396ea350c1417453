"use strict";

const report = JSON.parse(document.getElementById("data").textContent);

/** An element with properties and children. Children that are no elements become text, whatever is in them. */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** A control beside its name. */
function labelled(name, control) {
  return make("label", {}, make("span", { textContent: name }), control);
}

function select(options, onchange) {
  const element = make("select", { onchange: () => onchange(element.value) });
  element.append(...options.map(([value, text]) => make("option", { value, textContent: text })));
  return element;
}

function checkbox(checked, onchange) {
  const element = make("input", { type: "checkbox", checked, onchange: () => onchange(element.checked) });
  return element;
}

function button(text, title, onclick) {
  return make("button", { type: "button", textContent: text, title, onclick });
}

/** A table that scrolls by itself where it is wider than the page; rows are lists of elements or texts. */
function table(head, rows) {
  const cells = (tag, row) => row.map((cell, place) =>
    make(place ? tag : "th", { scope: tag === "th" ? "col" : "row" }, cell));
  const body = rows.map((row) => make("tr", { className: row.length === 1 ? "group" : "" }, ...cells("td", row)));
  const whole = make("table", {}, make("thead", {}, make("tr", {}, ...cells("th", head))), make("tbody", {}, ...body));
  return make("div", { className: "scroll", tabIndex: 0 }, whole);
}

/** The name of a run, with its colour. */
function badge(run) {
  return make("span", { className: `badge run-${run}` }, report.runs[run].name);
}

/** A colour of the style sheet as it is under the theme of the moment. */
function colour(name) {
  const probe = document.body.appendChild(make("i"));
  probe.style.color = `var(${name})`;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
