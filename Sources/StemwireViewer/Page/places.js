// What the pointer and the arrow keys do on the images: positions of the scan, virtual detectors; and what is drawn and said there.

import { period } from "./fourier.js";
import { drawScaleBar, lengthText } from "./scale.js";
import { describeSeam, drawSeams } from "./seams.js";
import { drawShape, grab } from "./shapes.js";

export class Places {
  // `app`: state, panes, detectors, names (of the panes), isChosen, active, choose, saveAs, showSources, tellView, redraw, remember.
  constructor(app) { Object.assign(this, { app, state: app.state, held: null }); }

  // What a pane shows: nav, sig, single or fft.
  kindOf(name) { return this.state.shown[name]?.kind ?? name; }

  unitOf(name) { return this.state.units[this.kindOf(name)] ?? { size: 0, unit: "" }; }

  get showsPosition() { return this.app.names.some((name) => this.state[name] === "#"); }

  // What a pane asks for.
  hooks(name) {
    const { app, state } = this, { detectors } = app;
    return {
      drawOver: (context, pane) => {
        const kind = this.kindOf(name);
        if (kind === "nav") {
          drawSeams(context, pane, state.shown[name] ?? {});
          this.drawPosition(context, pane);
        } else if (kind === "sig") {
          for (const detector of state.detectors) drawShape(context, pane, detector, detector.id === state.selected);
        }
        drawScaleBar(context, pane, this.unitOf(name));
      },
      title,
      describe: (told, place, index) => this.describe(told, place, index),
      lengthText: (length) => {
        const { size, unit } = this.unitOf(name);
        return size > 0 ? lengthText(length * size, unit) : `${length.toFixed(1)} px`;
      },
      onSource: (key) => app.choose(name, key),
      onLook: () => app.remember(),
      onSave: (format) => app.saveAs(name, format),
      down: (at) => {
        app.active = name;
        if (this.kindOf(name) === "nav") return this.pick(name, at);
        if (this.kindOf(name) !== "sig") return false;
        this.held = grab(state.detectors, state.selected, at, app.panes[name]);
        if (this.held && this.held.detector.id !== state.selected) detectors.select(this.held.detector.id);
        return Boolean(this.held);
      },
      move: (at, screen, isDragging) => {
        if (this.kindOf(name) === "nav") return isDragging && this.pick(name, at);
        if (this.kindOf(name) !== "sig") return;
        if (isDragging && this.held) detectors.change(this.held.detector, this.held.handle.drag(at, this.held.offset));
        else app.panes[name].over.style.cursor = grab(state.detectors, state.selected, at, app.panes[name])?.handle.cursor ?? "crosshair";
      },
      up: () => { this.held = null; },
    };
  }

  // What there is to say of a place beside its value.
  describe(told, place, index) {
    if (!told) return "";
    if (told.kind === "fft") {
      const length = period(place, told.shape), { size, unit } = this.state.units.nav;
      return Number.isFinite(length) ? ` · period ${length.toPrecision(3)} px${size > 0 ? ` = ${lengthText(length * size, unit)}` : ""}` : "";
    }
    return told.kind === "nav" ? describeSeam(told, index) : "";
  }

  // MARK: A position of the scan

  drawPosition(context, pane) {
    const { position } = this.state;
    if (position === null || !pane.content || !this.showsPosition) return;
    const ratio = window.devicePixelRatio || 1, { columns } = pane.content;
    const at = pane.toScreen((position % columns) + 0.5, Math.floor(position / columns) + 0.5);
    const arm = Math.max(pane.pixelSize / 2, 4 * ratio);
    for (const [width, style] of [[4, "#000c"], [1.6, "#fff"]]) {
      context.lineWidth = width * ratio;
      context.strokeStyle = style;
      context.strokeRect(at.x - arm, at.y - arm, 2 * arm, 2 * arm);
    }
  }

  // Shows the pattern of a scan position.
  pick(name, { x, y }) {
    const content = this.app.panes[name].content;
    const [column, row] = [Math.floor(x), Math.floor(y)];
    if (!content || row < 0 || column < 0 || row >= content.rows || column >= content.columns) return false;
    this.setPosition(row * content.columns + column);
    return true;
  }

  setPosition(position) {
    const { app, state, showsPosition } = this;
    if (state.position === position && showsPosition) return;
    state.position = position;
    if (!showsPosition) {
      state.sig = "#";
      app.isChosen.sig = true;
    }
    app.showSources();
    app.tellView();
    app.redraw();
    app.remember();
  }

  // MARK: Keys

  // The arrow keys: a line, the selected detector on a pattern, the position on a scan, else the place whose value is told.
  moveBy(dy, dx) {
    const { app, state } = this, pane = app.panes[app.active], { content } = pane;
    if (!content) return;
    if (pane.line) return pane.moveLine(dy, dx);
    const kind = this.kindOf(app.active);
    if (kind === "sig" && state.selected) return app.detectors.move(dy, dx);
    const { rows, columns } = content, isScan = kind === "nav";
    const middle = { x: Math.floor(columns / 2), y: Math.floor(rows / 2) };
    const now = !isScan ? pane.pointer ?? middle
      : state.position === null ? middle : { x: state.position % columns, y: Math.floor(state.position / columns) };
    const y = within(Math.floor(now.y) + dy, rows), x = within(Math.floor(now.x) + dx, columns);
    if (isScan) this.setPosition(y * columns + x);
    pane.point({ x: x + 0.5, y: y + 0.5 }, !isScan);
  }
}

const within = (value, count) => Math.min(Math.max(value, 0), count - 1);

function title(told) {
  const size = told.shape.slice(0, 2).join(" × ");
  if (told.kind === "fft") return `${size} · transform of ${told.udf}`;
  if (told.kind !== "nav") return `${size} · ${told.sourceDtype}${told.position === undefined ? "" : ` · frame ${told.position}`}`;
  const seam = told.seams.length > 1 ? " · changed" : "";
  const before = told.key?.startsWith("~") ? ` · acquisition ${told.generation}` : "";
  return `${told.navShape.join(" × ")} · ${Math.floor((100 * told.processed) / Math.max(1, told.expected))} %${told.final ? " · final" : ""}${seam}${before}`;
}
