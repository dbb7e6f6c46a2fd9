// A line on an image, and the values along it.

import { format, hasValue } from "./levels.js";

const REACH = 10;
const COLOUR = "#ffe27a";

// The values along a line, about one a pixel; NaN where there is none.
export function samples(content, { from, to }) {
  const length = Math.hypot(to.x - from.x, to.y - from.y), count = Math.max(2, Math.min(2048, Math.ceil(length) + 1));
  const found = new Float64Array(count);
  for (let step = 0; step < count; step++) {
    const share = step / (count - 1);
    const x = Math.floor(from.x + share * (to.x - from.x)), y = Math.floor(from.y + share * (to.y - from.y));
    const index = y * content.columns + x;
    const isInside = x >= 0 && y >= 0 && x < content.columns && y < content.rows;
    if (!isInside || (content.coverage && !hasValue(content.coverage[index]))) found[step] = NaN;
    else if (content.components === 1) found[step] = content.values[index];
    else found[step] = Math.hypot(content.values[2 * index], content.values[2 * index + 1]);
  }
  return { values: found, length };
}

// What a pointer at a place takes hold of: an end of the line, or nothing.
export function grabEnd(line, place, pixelSize) {
  const reach = (REACH * (window.devicePixelRatio || 1)) / pixelSize;
  return ["to", "from"].find((end) => line && Math.hypot(line[end].x - place.x, line[end].y - place.y) <= reach) ?? null;
}

export function drawLine(context, pane, line) {
  const ratio = window.devicePixelRatio || 1;
  const [from, to] = [pane.toScreen(line.from.x, line.from.y), pane.toScreen(line.to.x, line.to.y)];
  for (const [width, style] of [[4, "#000a"], [1.6, COLOUR]]) {
    context.lineWidth = width * ratio;
    context.strokeStyle = style;
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x, to.y);
    for (const end of [from, to]) {
      context.moveTo(end.x + 4 * ratio, end.y);
      context.arc(end.x, end.y, 4 * ratio, 0, 2 * Math.PI);
    }
    context.stroke();
  }
}

// The values as a curve; `text` says how long the line is.
export function drawCurve(canvas, { values }, text) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  const context = canvas.getContext("2d"), { width, height } = canvas;
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (!(high >= low)) return;
  const margin = 16 * ratio, span = high - low || 1;
  context.strokeStyle = COLOUR;
  context.lineWidth = 1.5 * ratio;
  context.beginPath();
  let isDown = false;
  values.forEach((value, step) => {
    if (Number.isNaN(value)) { isDown = false; return; }
    const x = (step / (values.length - 1)) * width, y = height - 4 * ratio - ((value - low) / span) * (height - margin - 6 * ratio);
    if (isDown) context.lineTo(x, y); else context.moveTo(x, y);
    isDown = true;
  });
  context.stroke();
  context.fillStyle = "#e4e8ee";
  context.font = `${11 * ratio}px system-ui, sans-serif`;
  context.fillText(`${format(low)} … ${format(high)}`, 6 * ratio, 12 * ratio);
  context.textAlign = "right";
  context.fillText(text, width - 6 * ratio, 12 * ratio);
}
