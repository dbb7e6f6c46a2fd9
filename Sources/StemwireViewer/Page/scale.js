// Lengths in units: the size of a scan step and of a detector pixel, as far as somebody has said it, and the bar that shows it.

const SHARE = 0.25;

// The longest of 1, 2, 5, 10 … that is not longer than `most`.
export function roundLength(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return power * ([5, 2, 1].find((step) => step * power <= most) ?? 1);
}

const PREFIXED = { nm: [[1000, "µm"], [1e-3, "pm"]], "µm": [[1e-3, "nm"]], mrad: [[1000, "rad"], [1e-3, "µrad"]] };

export function lengthText(length, unit) {
  const [factor, other] = (PREFIXED[unit] ?? []).find(([factor]) => (factor > 1 ? length >= factor : length < 0.1)) ?? [1, unit];
  return `${Number((length / factor).toPrecision(4))} ${other}`;
}

// Draws the bar into the lower left corner; `size` is the length of one image pixel.
export function drawScaleBar(context, pane, { size, unit }) {
  if (!(size > 0) || !pane.content) return;
  const ratio = window.devicePixelRatio || 1, { over } = pane;
  const length = roundLength((SHARE * over.width * size) / pane.pixelSize);
  const width = (length / size) * pane.pixelSize, left = 14 * ratio, bottom = over.height - (14 + pane.curveHeight) * ratio;
  const text = lengthText(length, unit);
  context.font = `600 ${13 * ratio}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.lineWidth = 3 * ratio;
  context.strokeStyle = "#000b";
  context.fillStyle = "#fff";
  context.strokeRect(left, bottom - 5 * ratio, width, 5 * ratio);
  context.fillRect(left, bottom - 5 * ratio, width, 5 * ratio);
  context.strokeText(text, left + width / 2, bottom - 11 * ratio);
  context.fillText(text, left + width / 2, bottom - 11 * ratio);
  context.textAlign = "left";
}
