// One of the images: toolbar, picture, zoom, value under the cursor.

import { Bars } from "./bars.js";
import { make } from "./dom.js";
import { autoLimits, DUPLICATE, FAILED, format, magnitudes, MISSING, PASSED, PENDING, REJECTED, sortedSample } from "./levels.js";
import { makePicture, MAPS } from "./picture.js";
import { Pointer } from "./pointer.js";
import { drawCurve, drawLine, samples } from "./profile.js";
import { drawWheel } from "./wheel.js";

const NO_VALUE = {
  [PENDING]: "not here yet", [MISSING]: "missing: its frame never came", [PASSED]: "not in this result",
  [REJECTED]: "rejected: its frame came damaged", [FAILED]: "failed in the UDF, or its frame was not held any more",
};

export class Pane {
  // `hooks`: onSource(key), onLook(), onSave(format), and for the pointer on the picture down(place, event), move(place, event), up(place),
  // drawOver(context, pane), title(told), describe(told, place, index), lengthText(pixels).
  constructor(root, name, look, hooks) {
    Object.assign(this, { root, name, look, hooks, drawn: null, content: null, pointer: null, isCursor: false, isFitted: true, line: null, heldEnd: "both", isMeasuring: false });
    this.view = { left: 0, top: 0, width: 1, height: 1 };
    this.build();
    new ResizeObserver(() => this.resize()).observe(this.stage);
    this.resize();
  }

  // Made when there is something to show: to prepare a GPU takes a while.
  get picture() {
    if (!this.drawn) {
      this.drawn = makePicture(this.canvas);
      this.root.dataset.render = this.drawn.kind;
    }
    return this.drawn;
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
    this.bars = new Bars(this, label);
    this.root.append(
      make("div", { class: "bar" }, this.source, this.map, this.scale, this.gamma, this.turning, this.measure, this.save),
      this.stage,
      make("div", { class: "below" }, this.readout, this.title),
      this.bars.element);
    new Pointer(this);
    this.showLook();
  }

  // MARK: Look

  setLook(change) {
    Object.assign(this.look, change);
    if (!this.look.locked && this.sorted) this.look.limits = this.autoLimits();
    this.showLook();
    this.draw();
    this.hooks.onLook();
  }

  // A vector of no length is black, however long the shortest is.
  autoLimits() {
    const limits = autoLimits(this.sorted);
    return this.content?.components === 2 ? [0, limits[1]] : limits;
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
    this.bars.show();
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
      this.drawn?.clear();
      this.drawOver();
      this.bars.draw();
      this.read();
      return;
    }
    const shape = imageShape(told);
    if (!shape) return this.show(null, `${told.udf}.${told.channel} is no image: ${told.shape.join(" × ")}`);
    const [rows, columns, components] = shape;
    const isOther = !this.content || this.content.rows !== rows || this.content.columns !== columns;
    this.content = { values: told.values, coverage: told.map ?? null, rows, columns, components };
    this.sorted = sortedSample(magnitudes(told.values, components), told.map);
    if (!this.look.locked) this.look.limits = this.autoLimits();
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
    this.bars.resize(ratio);
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

  // What the curve of a profile covers of the picture's lower end, in CSS pixels.
  get curveHeight() { return this.line ? this.curve.clientHeight || 84 : 0; }

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

  // Moves the image by pixels of the canvas, from where it was in `view`.
  pan(view, x, y) {
    this.view = { ...view, left: view.left - x / this.pixelSize, top: view.top - y / this.pixelSize };
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
    this.bars.draw();
    this.read();
  }

  drawOver() {
    const context = this.over.getContext("2d");
    context.clearRect(0, 0, this.over.width, this.over.height);
    if (!this.content) return (this.curve.hidden = true);
    this.hooks.drawOver(context, this);
    if (this.content.components === 2) drawWheel(context, this);
    if (this.isCursor) this.drawCursor(context);
    this.curve.hidden = !this.line;
    if (!this.line) return;
    drawLine(context, this, this.line);
    const found = samples(this.content, this.line);
    drawCurve(this.curve, found, this.hooks.lengthText(found.length));
  }

  drawCursor(context) {
    const ratio = window.devicePixelRatio || 1, at = this.toScreen(this.pointer.x, this.pointer.y), gap = 5 * ratio, arm = 14 * ratio;
    for (const [width, style] of [[4, "#000c"], [1.4, "#fff"]]) {
      context.lineWidth = width * ratio;
      context.strokeStyle = style;
      context.beginPath();
      for (const [x, y] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(at.x + gap * x, at.y + gap * y);
        context.lineTo(at.x + arm * x, at.y + arm * y);
      }
      context.stroke();
    }
  }

  // MARK: What is pointed at

  // The place whose value is told; one that keys moved to is marked.
  point(place, isCursor = false) {
    const was = this.isCursor;
    Object.assign(this, { pointer: place, isCursor });
    if (was || isCursor) this.drawOver();
    this.read();
  }

  // Moves what the keys hold of the line: one of its ends, or all of it.
  moveLine(dy, dx) {
    if (!this.line) return;
    for (const end of ["from", "to"]) {
      if (this.heldEnd !== "both" && this.heldEnd !== end) continue;
      this.line = { ...this.line, [end]: { x: this.line[end].x + dx, y: this.line[end].y + dy } };
    }
    this.drawOver();
    this.hooks.onLook();
  }

  // The value pointed at, as it was sent.
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
}

// Rows, columns, numbers a pixel; null for what is no image.
export function imageShape({ kind, shape }) {
  if (kind === "single" && shape.length !== 2) return null;
  if (shape.length === 2) return [shape[0], shape[1], 1];
  if (shape.length === 3 && shape[2] === 2) return [shape[0], shape[1], 2];
  return shape.length === 1 ? [1, shape[0], 1] : null;
}
