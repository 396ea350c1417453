"use strict";

const START = { level: 0.5, width: 1, inverted: false, zoom: 1, x: 0.5, y: 0.5 };
const FLICKER_MS = 500;
const LARGEST_ZOOM = 16;
/** Heights in pixels: of the stage at least, and of what stands above the viewer. */
const SMALLEST_ROOM = 360, HEADER = 116;
const KEYS = [
  ["← →", "case"], ["space", "swap baseline and followup"], ["f", "flicker"], ["m", "map on or off"],
  ["[ ]", "opacity"], ["+ −", "zoom"], ["shift + arrows", "pan"], ["w W", "window"], ["l L", "level"],
  ["i", "invert"], ["e", "enlarge"], ["0", "reset"], ["v", "fill the window"], ["d", "light or dark"],
];

/** Pairs by their error, with everything that helps to see what the maps are worth. */
class Viewer {
  constructor(section, of) {
    this.of = of;
    this.view = { ...START };
    this.opacity = 0.7;
    this.map = true;
    this.swapped = false;
    this.timer = null;
    this.enlarged = null;
    this.changeColours = changeColours(of);
    this.build(section);
    this.order();
    document.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.layout()).observe(this.stage);
  }

  build(section) {
    const { of } = this;
    const runs = report.runs.map((run) => run.name);
    const suffix = (run) => (runs.length > 1 ? `, ${runs[run]}` : "");
    this.names = Object.keys(of.numbers).filter((name) => of.cases.some((one) => one.numbers[0][name] !== null));
    const sorts = this.names.flatMap((name) => runs.map((_, run) =>
      [`${name} ${run}`, `${of.numbers[name].label}, worst first${suffix(run)}`]));
    if (runs.length > 1 && this.names.includes("mae")) sorts.push(["apart", "difference of MAE, largest first"]);
    const findings = [...new Set(of.cases.flatMap((one) => one.findings))].sort();
    const choices = [["all", "all"], ...findings.map((name) => [`is ${name}`, name]), ["none", "no finding"]];
    this.sort = select([...sorts, ["number", "number"]], () => this.order());
    this.finding = select(choices, () => this.order());
    this.slider = make("input", { type: "range", min: 0, max: 100, value: 100 * this.opacity });
    this.slider.oninput = () => this.set({ opacity: this.slider.value / 100 });
    this.flickers = button("Flicker", "f", () => this.flicker());
    this.swaps = button("Swap", "space: baseline in place of the followup", () => this.set({ swapped: !this.swapped }));
    this.maps = button("Map", "m: map on or off", () => this.set({ map: !this.map }));
    this.inverts = button("Invert", "i: black for white", () => this.look({ inverted: !this.view.inverted }));
    this.fills = button("Fill window", "v", () => this.fill());
    this.list = make("ol", { className: "list" });
    this.headline = make("p", { className: "headline" });
    this.headline.setAttribute("aria-live", "polite");
    this.values = make("output");
    this.stage = make("div", { className: "stage", tabIndex: 0 });
    this.stage.setAttribute("aria-label", "radiographs: drag for window and level, wheel for zoom");
    this.element = make("div", { className: "viewer" },
      make("div", { className: "controls" }, labelled("sorted by", this.sort), labelled("finding", this.finding),
        labelled("opacity of maps", this.slider), this.colourBar()),
      make("div", { className: "controls" },
        button("← Previous", "left arrow", () => this.step(-1)), button("Next →", "right arrow", () => this.step(1)),
        this.flickers, this.swaps, this.maps, this.inverts,
        button("Reset", "0: window, level, zoom and place", () => this.look(START)), this.fills, this.values),
      make("div", { className: "body" }, this.list, make("div", { className: "main" }, this.headline, this.stage)),
      make("p", { className: "keys" }, ...KEYS.flatMap(([key, does]) => [make("kbd", {}, key), ` ${does}  `]),
        make("span", {}, "· drag: window and level · wheel: zoom · shift or right drag: pan · double click: enlarge")));
    section.append(this.element);
    const names = { sort: this.sort, finding: this.finding, opacity: this.slider, cases: this.list, stage: this.stage };
    for (const [name, element] of Object.entries(names)) element.id = `viewer-${name}`;
  }

  colourBar() {
    const { colours, signed, shown_max: most } = this.of;
    const at = (change) => colours[Math.round(signed ? 128 + 127 * change : 255 * change)];
    const least = signed ? -most : 0;
    const stops = Array.from({ length: 17 }, (_, stop) => `rgb(${at(least + ((most - least) * stop) / 16)})`);
    const bar = make("i", { className: "colours" });
    bar.style.backgroundImage = `linear-gradient(to right, ${stops})`;
    return make("span", { className: "legend" }, signed ? `less −${most}` : "change 0", bar, signed ? `${most} more` : `${most}`);
  }

  /** Filter and sort anew, and show the first. */
  order() {
    const chosen = this.finding.value;
    const kept = this.of.cases.filter(({ findings }) =>
      chosen === "all" || (chosen === "none" ? !findings.length : findings.includes(chosen.slice(3))));
    this.shown = sorted(kept, this.sort.value, this.of.numbers);
    this.list.replaceChildren(...this.shown.map((one, place) => {
      const numbers = make("small", {}, this.numbersOf(one).join(" · "));
      const item = button("", "", () => this.show(place));
      item.append(make("b", {}, `${one.number}`), ` ${one.findings.join(", ") || "no finding"} `, numbers);
      return make("li", {}, item);
    }));
    this.show(0);
  }

  /** The number that cases are sorted by, of each run. */
  numbersOf(one) {
    const named = this.sort.value.split(" ")[0];
    const name = named in this.of.numbers ? named : this.names[0];
    return one.numbers.map((numbers) => this.told(name, numbers));
  }

  told(name, numbers) {
    const { label, digits } = this.of.numbers[name];
    return `${label} ${numbers[name] === null ? "–" : numbers[name].toFixed(digits)}`;
  }

  async show(place) {
    this.place = place;
    if (this.timer === null) this.swapped = false;
    const one = this.shown[place];
    [...this.list.children].forEach((item, at) => item.firstChild.setAttribute("aria-current", at === place));
    if (!one) {
      this.headline.textContent = "No case has this finding.";
      this.stage.replaceChildren();
      this.panels = [];
      return;
    }
    this.follow(this.list.children[place]);
    const found = await planesOf(one);
    if (this.shown[this.place] !== one) return; // the next one was asked for meanwhile
    this.found = found;
    this.describe(one);
    this.buildPanels(one);
  }

  /** Scroll the list, and nothing else. */
  follow(item) {
    const top = item.offsetTop - this.list.offsetTop, { scrollTop, clientHeight } = this.list;
    if (top < scrollTop) this.list.scrollTop = top;
    if (top + item.offsetHeight > scrollTop + clientHeight) this.list.scrollTop = top + item.offsetHeight - clientHeight;
  }

  describe(one) {
    const told = one.numbers.map((of, run) => {
      const values = this.names.map((name) => this.told(name, of)).join(", ");
      return make("span", {}, ...(one.numbers.length > 1 ? [badge(run), " "] : []), `${values}  `);
    });
    const place = `case ${one.number} · ${one.findings.join(", ") || "no finding"}`;
    this.headline.replaceChildren(make("b", {}, place), ` (${this.place + 1} of ${this.shown.length}, ${this.of.cases.length} in all)  `, ...told);
  }

  /** Baseline, followup, a map a run, and the target where it is known. */
  buildPanels(one) {
    const maps = report.runs.map((run, place) => ({ title: report.runs.length > 1 ? `map of ${run.name}` : "map", change: 2 + place }));
    const target = 2 + report.runs.length;
    const kinds = [{ title: "baseline", base: 0 }, { title: "followup", base: 1, swaps: true }, ...maps];
    if (one.planes > target) kinds.push({ title: "target", change: target });
    this.panels = kinds.map((kind) => this.panel(kind));
    this.stage.replaceChildren(...this.panels.map((panel) => panel.element));
    this.overlays = this.found.planes.map((plane, place) => place < 2 ? null : painted(plane, this.found.side, this.changeColours));
    if (!this.panels.some((panel) => panel.title === this.enlarged)) this.enlarged = null;
    this.paintGreys();
    this.layout();
  }

  panel({ title, base = 1, change = null, swaps = false }) {
    const canvas = make("canvas", { ondblclick: () => this.enlarge(title) });
    const caption = button(title, "enlarge or all again (e, double click)", () => this.enlarge(title));
    const panel = { title, base, change, swaps, canvas, caption, element: make("div", { className: "panel" }, canvas, caption) };
    canvas.oncontextmenu = (event) => event.preventDefault();
    canvas.onpointerdown = (event) => this.drag(event, canvas);
    canvas.addEventListener("wheel", (event) => this.wheel(event, canvas), { passive: false });
    return panel;
  }

  /** As large as fits: of all numbers of columns the one with the largest panels. */
  layout() {
    if (!this.panels?.length) return;
    const shown = this.panels.filter((panel) => !this.enlarged || panel.title === this.enlarged);
    const { width } = this.stage.getBoundingClientRect();
    const filled = this.element.classList.contains("filled");
    const gap = 4, height = filled ? this.stage.clientHeight : this.room();
    const sides = shown.map((_, at) => Math.min((width - gap * at) / (at + 1), height / Math.ceil(shown.length / (at + 1)) - gap));
    const columns = sides.indexOf(Math.max(...sides)) + 1;
    this.side = Math.max(96, Math.floor(sides[columns - 1]));
    this.stage.style.gridTemplateColumns = `repeat(${columns}, ${this.side}px)`;
    for (const panel of this.panels) panel.element.hidden = !shown.includes(panel);
    this.set({});
  }

  /** The height that is left where the section is scrolled to. */
  room() {
    const above = this.stage.getBoundingClientRect().top - this.element.getBoundingClientRect().top;
    return Math.max(SMALLEST_ROOM, innerHeight - above - HEADER);
  }

  /** The radiographs under the window of the moment. */
  paintGreys() {
    const colours = greys(this.view);
    this.bases = [0, 1].map((place) => painted(this.found.planes[place], this.found.side, colours));
  }

  draw() {
    if (!this.panels?.length) return;
    const { zoom, x, y, level, width } = this.view;
    const density = devicePixelRatio, side = Math.round(this.side * density), size = side * zoom;
    for (const panel of this.panels) {
      if (panel.element.hidden) continue;
      const { canvas } = panel;
      if (canvas.width !== side) canvas.width = canvas.height = side;
      canvas.style.width = canvas.style.height = `${this.side}px`;
      const context = canvas.getContext("2d");
      const at = [side / 2 - x * size, side / 2 - y * size, size, size];
      const base = panel.swaps && this.swapped ? 0 : panel.base;
      context.imageSmoothingQuality = "high";
      context.clearRect(0, 0, side, side);
      context.drawImage(this.bases[base], ...at);
      if (panel.change !== null && this.map) {
        context.globalAlpha = this.opacity;
        context.drawImage(this.overlays[panel.change], ...at);
        context.globalAlpha = 1;
      }
      panel.caption.textContent = panel.swaps && this.swapped ? "baseline" : panel.title;
      panel.element.classList.toggle("swapped", panel.swaps && this.swapped);
    }
    const percent = (value) => `${Math.round(100 * value)} %`;
    this.values.textContent = `window ${percent(width)}, level ${percent(level)}, zoom ${zoom.toFixed(1)}`;
  }

  /** Change what is shown besides the view. */
  set(changes) {
    Object.assign(this, changes);
    this.opacity = Math.min(1, Math.max(0, this.opacity));
    this.slider.value = Math.round(100 * this.opacity);
    this.swaps.setAttribute("aria-pressed", this.swapped);
    this.maps.setAttribute("aria-pressed", this.map);
    this.inverts.setAttribute("aria-pressed", this.view.inverted);
    this.flickers.setAttribute("aria-pressed", this.timer !== null);
    this.draw();
  }

  /** Change the view that all panels share. */
  look(changes) {
    const view = { ...this.view, ...changes };
    view.width = Math.min(2, Math.max(0.02, view.width));
    view.level = Math.min(1, Math.max(0, view.level));
    view.zoom = Math.min(LARGEST_ZOOM, Math.max(1, view.zoom));
    const margin = 0.5 / view.zoom;
    for (const axis of ["x", "y"]) view[axis] = Math.min(1 - margin, Math.max(margin, view[axis]));
    this.view = view;
        if (this.panels?.length) this.paintGreys();
    this.set({});
  }

  step(by) {
    this.show(Math.min(this.shown.length - 1, Math.max(0, this.place + by)));
  }

  flicker() {
    if (this.timer === null) this.timer = setInterval(() => this.set({ swapped: !this.swapped }), FLICKER_MS);
    else {
      clearInterval(this.timer);
      this.timer = null;
    }
    this.set({ swapped: this.timer !== null });
  }

  enlarge(title) {
    this.enlarged = this.enlarged === title ? null : title;
    this.layout();
  }

  fill() {
    this.fills.setAttribute("aria-pressed", this.element.classList.toggle("filled"));
    this.layout();
  }

  drag(event, canvas) {
    const pans = event.shiftKey || event.button !== 0, start = { ...this.view }, from = [event.clientX, event.clientY];
    canvas.setPointerCapture(event.pointerId);
    this.stage.focus({ preventScroll: true });
    canvas.onpointermove = (move) => {
      const dx = (move.clientX - from[0]) / this.side, dy = (move.clientY - from[1]) / this.side;
      if (pans) this.look({ x: start.x - dx / start.zoom, y: start.y - dy / start.zoom });
      else this.look({ width: start.width * 2 ** (2 * dx), level: start.level + dy });
    };
    canvas.onpointerup = canvas.onpointercancel = () => { canvas.onpointermove = null; };
  }

  /** Zoom about the place under the pointer. */
  wheel(event, canvas) {
    event.preventDefault();
    const { left, top } = canvas.getBoundingClientRect(), { zoom, x, y } = this.view;
    const next = Math.min(LARGEST_ZOOM, Math.max(1, zoom * 2 ** (-event.deltaY / 300)));
    const moved = (at) => at * (1 / zoom - 1 / next);
    this.look({
      zoom: next,
      x: x + moved((event.clientX - left) / this.side - 0.5),
      y: y + moved((event.clientY - top) / this.side - 0.5),
    });
  }

  key(event) {
    const typing = event.target.matches("input, select, summary") || event.ctrlKey || event.metaKey || event.altKey;
    if (typing || !this.element.matches(":hover, :focus-within, .filled")) return;
    if (event.key === " " && event.target.matches("button")) return;
    const { view } = this;
    const pan = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const does = {
      ArrowLeft: () => this.step(-1), ArrowRight: () => this.step(1),
      ArrowUp: () => this.step(-1), ArrowDown: () => this.step(1),
      " ": () => this.set({ swapped: !this.swapped }), f: () => this.flicker(), m: () => this.set({ map: !this.map }),
      "[": () => this.set({ opacity: this.opacity - 0.1 }), "]": () => this.set({ opacity: this.opacity + 0.1 }),
      "+": () => this.look({ zoom: view.zoom * 1.25 }), "=": () => this.look({ zoom: view.zoom * 1.25 }),
      "-": () => this.look({ zoom: view.zoom / 1.25 }),
      w: () => this.look({ width: view.width / 1.1 }), W: () => this.look({ width: view.width * 1.1 }),
      l: () => this.look({ level: view.level - 0.02 }), L: () => this.look({ level: view.level + 0.02 }),
      i: () => this.look({ inverted: !view.inverted }), e: () => this.enlarge(this.enlarged ?? "followup"),
      0: () => this.look(START), v: () => this.fill(),
      Escape: () => this.element.classList.contains("filled") && this.fill(),
    }[event.key];
    if (!does) return;
    event.preventDefault();
    if (pan && event.shiftKey) this.look({ x: view.x + (0.1 * pan[0]) / view.zoom, y: view.y + (0.1 * pan[1]) / view.zoom });
    else does();
  }
}

/** Cases by what a choice says, those without such a number last. */
function sorted(cases, choice, numbers) {
  if (choice === "number") return [...cases];
  const [name, run] = choice.split(" ");
  const apart = ([first, second]) => (first.mae === null ? null : Math.abs(first.mae - second.mae));
  const value = (one) => (name === "apart" ? apart(one.numbers) : one.numbers[run][name]);
  const sign = name === "apart" || !numbers[name].higher_is_better ? -1 : 1;
  const rank = (one) => (value(one) === null ? Infinity : sign * value(one));
  return [...cases].sort((a, b) => (rank(a) === rank(b) ? a.number - b.number : rank(a) - rank(b)));
}

function showCases(section) {
  const of = report.viewer;
  if (!of) {
    section.append(make("p", { className: "note" }, "No cases were asked for (--cases 0)."));
    return;
  }
  new Viewer(section, of);
  const part = of.cases.length < of.of ? `${of.cases.length} of ${of.of} pairs, evenly spread` : `All ${of.of} pairs`;
  section.append(make("p", { className: "note" },
    `${part} of the split ${report.split}, numbered in the order of the data. The radiographs are as the networks see them.`));
}
