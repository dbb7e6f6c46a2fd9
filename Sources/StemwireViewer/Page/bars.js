// The histogram under an image, with its two limits: dragged, typed, moved by keys, automatic or locked.

import { make } from "./dom.js";
import { format, histogram, placeOf, valueAt } from "./levels.js";

const BINS = 128;

export class Bars {
  // `pane`: look, setLook(change), sorted (the values that count).
  constructor(pane, label) {
    this.pane = pane;
    this.canvas = make("canvas", { tabindex: 0, role: "group", title: "Drag the limits; double click for automatic ones",
      "aria-label": `${label}: histogram with limits; left and right move the upper limit, with shift the lower one` });
    this.lock = make("button", { type: "button", "aria-pressed": "false", text: "auto", title: "Automatic or locked limits (0, K)",
      onclick: () => pane.setLook({ locked: !pane.look.locked }) });
    this.texts = [["low", "lower"], ["high", "upper"]].map(([text, word], which) => make("input", {
      inputmode: "decimal", "aria-label": `${label}: ${word} limit`, title: `${word} limit; a number typed here locks both`, "data-limit": text,
      onchange: (event) => this.typed(which, event.target.value) }));
    this.element = make("div", { class: "levels" }, this.canvas, make("div", { class: "limits" }, this.lock,
      make("label", {}, "high", this.texts[1]), make("label", {}, "low", this.texts[0])));
    this.listen();
  }

  show() {
    const { look } = this.pane;
    this.lock.textContent = look.locked ? "locked" : "auto";
    this.lock.setAttribute("aria-pressed", String(look.locked));
    this.texts.forEach((text, which) => { if (text !== document.activeElement) text.value = format(look.limits[which]); });
  }

  resize(ratio) {
    this.canvas.width = Math.max(1, Math.round(this.canvas.clientWidth * ratio));
    this.canvas.height = Math.max(1, Math.round(this.canvas.clientHeight * ratio));
  }

  draw() {
    const { look, sorted } = this.pane, context = this.canvas.getContext("2d"), { width, height } = this.canvas;
    context.clearRect(0, 0, width, height);
    if (!sorted?.length) return;
    const found = (this.range = histogram(sorted, BINS, look.scale));
    const top = Math.log1p(Math.max(...found.counts));
    context.fillStyle = "#7d8a9b";
    for (let bin = 0; bin < BINS; bin++) {
      const bar = (Math.log1p(found.counts[bin]) / top) * (height - 4);
      context.fillRect((bin / BINS) * width, height - bar, width / BINS - 0.5, bar);
    }
    const [low, high] = look.limits.map((limit) => placeOf(limit, found, look.scale) * width);
    context.fillStyle = "#0009";
    context.fillRect(0, 0, low, height);
    context.fillRect(high, 0, width - high, height);
    context.fillStyle = "#5cb8e6";
    for (const place of [low, high]) context.fillRect(Math.min(Math.max(place - 1.5, 0), width - 3), 0, 3, height);
  }

  // MARK: Limits

  listen() {
    const { canvas, pane } = this;
    let held = null;
    const place = (event) => (event.clientX - canvas.getBoundingClientRect().left) / canvas.clientWidth;
    canvas.addEventListener("pointerdown", (event) => {
      if (!this.range) return;
      canvas.setPointerCapture(event.pointerId);
      const [low, high] = pane.look.limits.map((limit) => placeOf(limit, this.range, pane.look.scale));
      held = Math.abs(place(event) - low) < Math.abs(place(event) - high) ? 0 : 1;
      this.move(held, place(event));
    });
    canvas.addEventListener("pointermove", (event) => { if (held !== null) this.move(held, place(event)); });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { held = null; });
    canvas.addEventListener("dblclick", () => pane.setLook({ locked: false }));
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
      if (!step || !this.range) return;
      event.preventDefault();
      const which = event.shiftKey ? 0 : 1;
      this.move(which, placeOf(pane.look.limits[which], this.range, pane.look.scale) + step);
    });
  }

  // Puts a limit to a place of the histogram, 0 … 1.
  move(which, place) {
    const { pane, range } = this, limits = [...pane.look.limits];
    limits[which] = valueAt(place, range, pane.look.scale);
    const least = (range.high - range.low) * 1e-6;
    if (limits[1] - limits[0] < least) limits[which] = which ? limits[0] + least : limits[1] - least;
    pane.setLook({ locked: true, limits });
  }

  // What is no number, or would put the lower limit over the upper one, changes nothing.
  typed(which, text) {
    const limits = [...this.pane.look.limits], value = Number(text.replaceAll(",", ""));
    if (text.trim() !== "" && Number.isFinite(value)) limits[which] = value;
    if (limits[1] > limits[0]) this.pane.setLook({ locked: true, limits });
    this.texts[which].value = format(this.pane.look.limits[which]);
  }
}
