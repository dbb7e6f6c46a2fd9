// The colour wheel in a corner of an image of vectors: which colour is which direction; right is +x, down is +y.

import { colourTable } from "./picture.js";

export function drawWheel(context, pane) {
  const ratio = window.devicePixelRatio || 1, radius = 26 * ratio;
  const centre = { x: pane.over.width - radius - 10 * ratio, y: pane.over.height - radius - (10 + pane.curveHeight) * ratio };
  const table = colourTable(pane.look.map);
  const hues = context.createConicGradient(0, centre.x, centre.y);
  for (let step = 0; step <= 64; step++) {
    const entry = 3 * Math.floor(((step / 64 + 0.5) % 1) * 255 + 0.5);
    hues.addColorStop(step / 64, `rgb(${table[entry]} ${table[entry + 1]} ${table[entry + 2]})`);
  }
  // Its middle is black, as a vector of no length is.
  const lengths = context.createRadialGradient(centre.x, centre.y, 0, centre.x, centre.y, radius);
  lengths.addColorStop(0, "#000");
  lengths.addColorStop(1, "#0000");
  for (const style of [hues, lengths]) {
    context.fillStyle = style;
    context.beginPath();
    context.arc(centre.x, centre.y, radius, 0, 2 * Math.PI);
    context.fill();
  }
  context.strokeStyle = "#000a";
  context.lineWidth = ratio;
  context.stroke();
}
