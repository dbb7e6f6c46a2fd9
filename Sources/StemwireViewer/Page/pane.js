// One of the two images: toolbar, picture, zoom, histogram with limits, value under the cursor.

import { autoLimits, format, histogram, magnitudes, placeOf, sortedSample, valueAt } from "./levels.js";
import { DUPLICATE, FAILED, MISSING, PASSED, PENDING, REJECTED } from "./levels.js";
import { colourTable, makePicture, MAPS } from "./picture.js";
import { drawCurve, drawLine, grabEnd, samples } from "./profile.js";

const BINS = 128;
const NO_VALUE = {
  [PENDING]: "not here yet", [MISSING]: "missing: its frame never came", [PASSED]: "not in this result",
  [REJECTED]: "rejected: its frame came damaged", [FAILED]: "failed in the UDF",
};

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") element.textContent = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

export class Pane {
  // `hooks`: onSource(key), onLook(), onSave(format), and for the pointer on the picture down(place, event), move(place, event), up(place),
  // drawOver(context, pane), title(told), describe(told, place, index), lengthText(pixels).
  constructor(root, name, look, hooks) {
    Object.assign(this, { root, name, look, hooks, content: null, pointer: null, drag: null, isFitted: true, line: null, isMeasuring: false, fingers: new Map() });
    this.view = { left: 0, top: 0, width: 1, height: 1 };
    this.build();
    this.picture = makePicture(this.canvas);
    this.root.dataset.render = this.picture.kind;
    new ResizeObserver(() => this.resize()).observe(this.stage);
    this.resize();
  }

  build() {
    const label = this.root.getAttribute("aria-label");
    this.source = make("select", { class: "source", "aria-label": `${label}: what is shown`,
      onchange: () => this.hooks.onSource(this.source.value) });
    this.map = make("select", { "aria-label": `${label}: colour map`, onchange: () => this.setLook({ map: this.map.value }) },
      ...MAPS.filter((name) => name !== "wheel").map((name) => make("option", { value: name, text: name })));
    this.scale = make("select", { "aria-label": `${label}: scale, for display only`, title: "Display only: numbers stay as they are",
      onchange: () => this.setLook({ scale: this.scale.value }) },
      ...["linear", "log", "gamma"].map((name) => make("option", { value: name, text: name })));
    this.gamma = make("input", { type: "number", min: 0.1, max: 5, step: 0.1, "aria-label": `${label}: gamma`,
      onchange: () => this.setLook({ gamma: Math.min(Math.max(Number(this.gamma.value) || 1, 0.1), 5) }) });
    this.rotation = make("input", { type: "number", min: -360, max: 360, step: 1, "aria-label": `${label}: rotation of vectors, degrees`,
      title: "Rotation of the vectors, degrees", onchange: () => this.setLook({ rotation: Number(this.rotation.value) || 0 }) });
    this.flip = make("input", { type: "checkbox", "aria-label": `${label}: flip y of vectors`,
      onchange: () => this.setLook({ flip: this.flip.checked }) });
    this.turning = make("label", { title: "Flip y of the vectors" }, this.rotation, "°", this.flip, "flip");
    this.measure = make("button", { type: "button", class: "measure", "aria-pressed": "false", text: "Profile", "aria-label": `${label}: line profile`,
      title: "Drag a line; the values along it are shown (I)", onclick: () => this.setMeasuring(!this.isMeasuring) });
    this.save = make("select", { class: "save", "aria-label": `${label}: save`, title: "Save the picture or its numbers",
      onchange: () => { this.hooks.onSave(this.save.value); this.save.value = ""; } },
      make("option", { value: "", text: "Save" }),
      ...[["png", "PNG: as it is seen"], ["tiff", "TIFF: float32"], ["npy", ".npy: the numbers"]].map(([value, text]) => make("option", { value, text })));
    this.canvas = make("canvas", { role: "img", "aria-label": `${label}: nothing yet` });
    this.over = make("canvas", { class: "over", tabindex: 0, role: "application",
      "aria-label": `${label}: arrow keys move, see ? for all keys` });
    this.empty = make("p", { class: "empty", text: "No result yet. Arm and trigger the detector, or wait for the next acquisition." });
    this.curve = make("canvas", { class: "curve", role: "img", "aria-label": `${label}: values along the line`, hidden: true });
    this.stage = make("div", { class: "stage" }, this.canvas, this.over, this.curve, this.empty);
    this.readout = make("span", { class: "readout", role: "status", "aria-live": "off" });
    this.title = make("span", { class: "title" });
    this.bars = make("canvas", { tabindex: 0, role: "group", title: "Drag the limits; double click for automatic ones",
      "aria-label": `${label}: histogram with limits` });
    this.lock = make("button", { type: "button", "aria-pressed": "false", text: "auto", title: "Automatic or locked limits (0, K)",
      onclick: () => this.setLook({ locked: !this.look.locked }) });
    this.lowText = make("output", { "aria-label": `${label}: lower limit` });
    this.highText = make("output", { "aria-label": `${label}: upper limit` });
    this.root.append(
      make("div", { class: "bar" }, this.source, this.map, this.scale, this.gamma, this.turning, this.measure, this.save),
      this.stage,
      make("div", { class: "below" }, this.readout, this.title),
      make("div", { class: "levels" }, this.bars, make("div", { class: "limits" }, this.lock, this.highText, this.lowText)));
    this.listen();
    this.showLook();
  }

  // MARK: Look

  setLook(change) {
    Object.assign(this.look, change);
    if (!this.look.locked && this.sorted) this.look.limits = autoLimits(this.sorted);
    this.showLook();
    this.draw();
    this.hooks.onLook();
  }

  showLook() {
    const { look } = this;
    this.map.value = look.map;
    this.scale.value = look.scale;
    this.gamma.value = look.gamma;
    this.gamma.hidden = look.scale !== "gamma";
    const isVector = this.content?.components === 2;
    this.turning.hidden = !isVector;
    this.map.hidden = isVector;
    this.rotation.value = look.rotation;
    this.flip.checked = look.flip;
    this.lock.textContent = look.locked ? "locked" : "auto";
    this.lock.setAttribute("aria-pressed", String(look.locked));
    this.lowText.value = `low ${format(look.limits[0])}`;
    this.highText.value = `high ${format(look.limits[1])}`;
  }

  // Whether a drag draws a line, in place of what it does else.
  setMeasuring(isMeasuring) {
    this.isMeasuring = isMeasuring;
    this.measure.setAttribute("aria-pressed", String(isMeasuring));
    if (!isMeasuring) this.line = null;
    else if (this.content && !this.line) {
      const { rows, columns } = this.content;
      this.line = { from: { x: columns * 0.2, y: rows / 2 }, to: { x: columns * 0.8, y: rows / 2 } };
    }
    this.drawOver();
    this.hooks.onLook();
  }

  // MARK: Content

  // A pane's part of a message; null takes the picture away, and tells why.
  show(told, problem = "") {
    this.told = told;
    this.empty.hidden = Boolean(told);
    this.empty.textContent = problem;
    if (!told) {
      this.content = this.sorted = null;
      this.title.textContent = "";
      this.canvas.setAttribute("aria-label", `${this.root.getAttribute("aria-label")}: ${problem}`);
      this.picture.clear();
      this.drawOver();
      this.drawBars();
      this.read();
      return;
    }
    const shape = imageShape(told);
    if (!shape) return this.show(null, `${told.udf}.${told.channel} is no image: ${told.shape.join(" × ")}`);
    const [rows, columns, components] = shape;
    const isOther = !this.content || this.content.rows !== rows || this.content.columns !== columns;
    this.content = { values: told.values, coverage: told.map ?? null, rows, columns, components };
    this.sorted = sortedSample(magnitudes(told.values, components), told.map);
    if (!this.look.locked) {
      this.look.limits = components === 2 ? [0, autoLimits(this.sorted)[1]] : autoLimits(this.sorted);
    }
    if (isOther) this.fit();
    if (components === 2) this.look.map = "wheel";
    else if (this.look.map === "wheel") this.look.map = "viridis";
    this.title.textContent = this.hooks.title(told);
    this.canvas.setAttribute("aria-label",
      `${this.root.getAttribute("aria-label")}: ${told.udf}.${told.channel}, ${rows} rows, ${columns} columns`);
    this.showLook();
    this.draw();
  }

  // MARK: View

  resize() {
    const ratio = window.devicePixelRatio || 1;
    for (const canvas of [this.canvas, this.over]) {
      canvas.width = Math.max(1, Math.round(this.stage.clientWidth * ratio));
      canvas.height = Math.max(1, Math.round(this.stage.clientHeight * ratio));
    }
    this.bars.width = Math.max(1, Math.round(this.bars.clientWidth * ratio));
    this.bars.height = Math.max(1, Math.round(this.bars.clientHeight * ratio));
    if (this.isFitted) this.fit(); else this.zoom(1, this.canvas.width / 2, this.canvas.height / 2);
    this.draw();
  }

  // Shows the whole image.
  fit() {
    if (!this.content) return;
    const { rows, columns } = this.content;
    const scale = Math.min(this.canvas.width / columns, this.canvas.height / rows);
    this.place(columns / 2, rows / 2, scale);
    this.isFitted = true;
  }

  // Puts an image point into the middle, at `scale` screen pixels for each image pixel.
  place(x, y, scale) {
    const width = this.canvas.width / scale, height = this.canvas.height / scale;
    this.view = { left: x - width / 2, top: y - height / 2, width, height };
  }

  get pixelSize() { return this.canvas.width / this.view.width; }

  // Zooms so that what is under (x, y), in canvas pixels, stays there.
  zoom(factor, x, y) {
    if (!this.content) return;
    const { columns, rows } = this.content;
    const least = 0.5 * Math.min(this.canvas.width / columns, this.canvas.height / rows);
    const scale = Math.min(Math.max(this.pixelSize * factor, least), 80);
    const at = this.toImage(x, y);
    const width = this.canvas.width / scale, height = this.canvas.height / scale;
    this.view = { left: at.x - (x / this.canvas.width) * width, top: at.y - (y / this.canvas.height) * height, width, height };
    this.isFitted = false;
    this.draw();
  }

  toImage(x, y) {
    const { view, canvas } = this;
    return { x: view.left + (x / canvas.width) * view.width, y: view.top + (y / canvas.height) * view.height };
  }

  toScreen(x, y) {
    const { view } = this, scale = this.pixelSize;
    return { x: (x - view.left) * scale, y: (y - view.top) * scale };
  }

  // MARK: Drawing

  draw() {
    if (this.content) this.picture.draw(this.content, this.look, this.view);
    this.drawOver();
    this.drawBars();
    this.read();
  }

  drawOver() {
    const context = this.over.getContext("2d");
    context.clearRect(0, 0, this.over.width, this.over.height);
    if (!this.content) return (this.curve.hidden = true);
    this.hooks.drawOver(context, this);
    if (this.content.components === 2) this.drawWheel(context);
    this.curve.hidden = !this.line;
    if (!this.line) return;
    drawLine(context, this, this.line);
    const found = samples(this.content, this.line);
    drawCurve(this.curve, found, this.hooks.lengthText(found.length));
  }

  // The colour wheel: which colour is which direction; right is +x, down is +y.
  drawWheel(context) {
    const ratio = window.devicePixelRatio || 1, radius = 26 * ratio;
    const centre = { x: this.over.width - radius - 10 * ratio, y: this.over.height - radius - 10 * ratio };
    const table = colourTable(this.look.map);
    const hues = context.createConicGradient(0, centre.x, centre.y);
    for (let step = 0; step <= 64; step++) {
      const entry = 3 * Math.floor(((step / 64 + 0.5) % 1) * 255 + 0.5);
      hues.addColorStop(step / 64, `rgb(${table[entry]} ${table[entry + 1]} ${table[entry + 2]})`);
    }
    context.fillStyle = hues;
    context.beginPath();
    context.arc(centre.x, centre.y, radius, 0, 2 * Math.PI);
    context.fill();
    context.strokeStyle = "#000a";
    context.lineWidth = ratio;
    context.beginPath();
    context.arc(centre.x, centre.y, radius, 0, 2 * Math.PI);
    context.stroke();
  }

  drawBars() {
    const context = this.bars.getContext("2d"), { width, height } = this.bars;
    context.clearRect(0, 0, width, height);
    if (!this.sorted?.length) return;
    const found = histogram(this.sorted, BINS, this.look.scale);
    this.range = found;
    const top = Math.log1p(Math.max(...found.counts));
    context.fillStyle = "#7d8a9b";
    for (let bin = 0; bin < BINS; bin++) {
      const bar = (Math.log1p(found.counts[bin]) / top) * (height - 4);
      context.fillRect((bin / BINS) * width, height - bar, width / BINS - 0.5, bar);
    }
    const [low, high] = this.look.limits.map((limit) => placeOf(limit, found, this.look.scale) * width);
    context.fillStyle = "#0009";
    context.fillRect(0, 0, low, height);
    context.fillRect(high, 0, width - high, height);
    context.fillStyle = "#5cb8e6";
    for (const place of [low, high]) {
      context.fillRect(Math.min(Math.max(place - 1.5, 0), width - 3), 0, 3, height);
    }
  }

  // The value under the cursor, as it was sent.
  read() {
    const { content, pointer } = this;
    if (!content || !pointer) return (this.readout.textContent = "");
    const x = Math.floor(pointer.x), y = Math.floor(pointer.y);
    if (x < 0 || y < 0 || x >= content.columns || y >= content.rows) return (this.readout.textContent = "");
    const index = y * content.columns + x;
    const code = content.coverage?.[index];
    const text = NO_VALUE[code] ?? (content.components === 2
      ? `y ${format(content.values[2 * index])}, x ${format(content.values[2 * index + 1])}`
      : format(content.values[index]));
    const more = code === DUPLICATE ? " (its frame came more than once)" : "";
    this.readout.textContent = `row ${y}, column ${x}: ${text}${more}${this.hooks.describe(this.told, { x, y }, index)}`;
  }

  // MARK: Pointer

  listen() {
    const { over, bars } = this;
    const at = (event) => {
      const box = over.getBoundingClientRect();
      return { x: ((event.clientX - box.left) / box.width) * over.width, y: ((event.clientY - box.top) / box.height) * over.height };
    };
    over.addEventListener("pointermove", (event) => {
      const screen = at(event), place = this.toImage(screen.x, screen.y);
      if (this.fingers.has(event.pointerId)) this.fingers.set(event.pointerId, screen);
      if (this.fingers.size === 2) return this.pinch();
      this.pointer = place;
      if (this.drag?.pan) {
        this.view.left = this.drag.view.left - (screen.x - this.drag.from.x) / this.pixelSize;
        this.view.top = this.drag.view.top - (screen.y - this.drag.from.y) / this.pixelSize;
        this.isFitted = false;
        this.draw();
      } else if (this.drag?.end) {
        this.line = { ...this.line, [this.drag.end]: place };
        this.drawOver();
      } else {
        this.hooks.move(place, screen, Boolean(this.drag), event);
        this.read();
      }
    });
    over.addEventListener("pointerdown", (event) => {
      over.focus({ preventScroll: true });
      over.setPointerCapture(event.pointerId);
      const screen = at(event), place = this.toImage(screen.x, screen.y);
      this.fingers.set(event.pointerId, screen);
      if (this.fingers.size === 2) {
        if (this.drag && !this.drag.pan && !this.drag.end) this.hooks.up();
        this.drag = null;
        this.pinched = this.spread();
        return;
      }
      const isPlain = event.button === 0 && !event.shiftKey;
      if (isPlain && this.isMeasuring && this.content) {
        const end = grabEnd(this.line, place, this.pixelSize);
        if (!end) this.line = { from: place, to: place };
        this.drag = { end: end ?? "to", from: screen };
        return;
      }
      const takes = isPlain && this.hooks.down(place, screen, event);
      this.drag = { pan: !takes, from: screen, view: { ...this.view } };
    });
    const end = (event) => {
      this.fingers.delete(event.pointerId);
      if (this.drag?.end) this.hooks.onLook();
      else if (this.drag && !this.drag.pan) this.hooks.up();
      this.drag = null;
    };
    over.addEventListener("pointerup", end);
    over.addEventListener("pointercancel", end);
    over.addEventListener("pointerleave", () => { this.pointer = null; this.read(); });
    over.addEventListener("dblclick", () => { this.fit(); this.draw(); });
    over.addEventListener("wheel", (event) => {
      event.preventDefault();
      const screen = at(event);
      this.zoom(Math.exp(-event.deltaY * 0.0015), screen.x, screen.y);
    }, { passive: false });
    let end_ = null;
    const place = (event) => (event.clientX - bars.getBoundingClientRect().left) / bars.clientWidth;
    bars.addEventListener("pointerdown", (event) => {
      if (!this.range) return;
      bars.setPointerCapture(event.pointerId);
      const [low, high] = this.look.limits.map((limit) => placeOf(limit, this.range, this.look.scale));
      end_ = Math.abs(place(event) - low) < Math.abs(place(event) - high) ? 0 : 1;
      this.dragLimit(end_, place(event));
    });
    bars.addEventListener("pointermove", (event) => { if (end_ !== null) this.dragLimit(end_, place(event)); });
    for (const name of ["pointerup", "pointercancel"]) bars.addEventListener(name, () => { end_ = null; });
    bars.addEventListener("dblclick", () => this.setLook({ locked: false }));
    bars.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
      if (!step || !this.range) return;
      event.preventDefault();
      const which = event.shiftKey ? 0 : 1;
      this.dragLimit(which, placeOf(this.look.limits[which], this.range, this.look.scale) + step);
    });
  }

  // The middle of two fingers, and how far they are apart.
  spread() {
    const [a, b] = [...this.fingers.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, distance: Math.max(1, Math.hypot(a.x - b.x, a.y - b.y)) };
  }

  pinch() {
    const now = this.spread(), before = this.pinched;
    this.view.left -= (now.x - before.x) / this.pixelSize;
    this.view.top -= (now.y - before.y) / this.pixelSize;
    this.pinched = now;
    this.zoom(now.distance / before.distance, now.x, now.y);
  }

  dragLimit(which, place) {
    const limits = [...this.look.limits];
    limits[which] = valueAt(place, this.range, this.look.scale);
    const least = (this.range.high - this.range.low) * 1e-6;
    if (limits[1] - limits[0] < least) limits[which] = which ? limits[0] + least : limits[1] - least;
    this.setLook({ locked: true, limits });
  }
}

// Rows, columns, numbers a pixel; null for what is no image.
export function imageShape({ kind, shape }) {
  if (kind === "single" && shape.length !== 2) return null;
  if (shape.length === 2) return [shape[0], shape[1], 1];
  if (shape.length === 3 && shape[2] === 2) return [shape[0], shape[1], 2];
  return shape.length === 1 ? [1, shape[0], 1] : null;
}
