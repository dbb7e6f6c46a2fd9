// The pointer on a picture: what it points at, drags, lines, zoom by wheel and by two fingers.

import { grabEnd } from "./profile.js";

export class Pointer {
  // `pane`: over (the canvas), view, toImage, zoom, hooks, and what a drag changes.
  constructor(pane) {
    Object.assign(this, { pane, drag: null, fingers: new Map() });
    const { over } = pane;
    over.addEventListener("pointermove", (event) => this.move(event));
    over.addEventListener("pointerdown", (event) => this.down(event));
    for (const name of ["pointerup", "pointercancel"]) over.addEventListener(name, (event) => this.up(event));
    over.addEventListener("pointerleave", () => pane.point(null));
    over.addEventListener("dblclick", () => { pane.fit(); pane.draw(); });
    over.addEventListener("wheel", (event) => {
      event.preventDefault();
      const screen = this.at(event);
      pane.zoom(Math.exp(-event.deltaY * 0.0015), screen.x, screen.y);
    }, { passive: false });
  }

  // In pixels of the canvas.
  at(event) {
    const { over } = this.pane, box = over.getBoundingClientRect();
    return { x: ((event.clientX - box.left) / box.width) * over.width, y: ((event.clientY - box.top) / box.height) * over.height };
  }

  move(event) {
    const { pane, drag } = this, screen = this.at(event), place = pane.toImage(screen.x, screen.y);
    if (this.fingers.has(event.pointerId)) this.fingers.set(event.pointerId, screen);
    if (this.fingers.size === 2) return this.pinch();
    if (drag?.pan) {
      pane.pan(drag.view, screen.x - drag.from.x, screen.y - drag.from.y);
    } else if (drag?.end) {
      pane.line = { ...pane.line, [drag.end]: place };
      pane.drawOver();
    } else {
      pane.hooks.move(place, screen, Boolean(drag), event);
    }
    pane.point(place);
  }

  down(event) {
    const { pane } = this;
    pane.over.focus({ preventScroll: true });
    pane.over.setPointerCapture(event.pointerId);
    const screen = this.at(event), place = pane.toImage(screen.x, screen.y);
    this.fingers.set(event.pointerId, screen);
    if (this.fingers.size === 2) {
      if (this.drag && !this.drag.pan && !this.drag.end) pane.hooks.up();
      this.drag = null;
      this.pinched = this.spread();
      return;
    }
    const isPlain = event.button === 0 && !event.shiftKey;
    if (isPlain && pane.isMeasuring && pane.content) {
      const end = grabEnd(pane.line, place, pane.pixelSize);
      if (!end) pane.line = { from: place, to: place };
      this.drag = { end: end ?? "to", from: screen };
      return;
    }
    const takes = isPlain && pane.hooks.down(place, screen, event);
    this.drag = { pan: !takes, from: screen, view: { ...pane.view } };
  }

  up(event) {
    this.fingers.delete(event.pointerId);
    if (this.drag?.end) this.pane.hooks.onLook();
    else if (this.drag && !this.drag.pan) this.pane.hooks.up();
    this.drag = null;
  }

  // The middle of two fingers, and how far they are apart.
  spread() {
    const [a, b] = [...this.fingers.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, distance: Math.max(1, Math.hypot(a.x - b.x, a.y - b.y)) };
  }

  pinch() {
    const { pane } = this, now = this.spread(), before = this.pinched;
    pane.pan({ ...pane.view }, now.x - before.x, now.y - before.y);
    this.pinched = now;
    pane.zoom(now.distance / before.distance, now.x, now.y);
  }
}
