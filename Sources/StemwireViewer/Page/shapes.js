// Virtual detectors on the pattern: their outlines, handles, and what a drag does to their parameters.
//
// Pixel p of the pattern covers p … p + 1 on the picture; its centre, where masks are decided, is at p + ½.

export const COLOURS = ["#5cc8ff", "#ffb454", "#b48cff", "#6fe08f", "#ff7aa8", "#e8e06a", "#7ae0d8", "#ff8f6b"];
export const NUMBERS = {
  disk: ["cy", "cx", "r"], ring: ["cy", "cx", "ri", "ro"], rectangle: ["y", "x", "height", "width"], point: ["cy", "cx"],
  com: ["cy", "cx", "r", "scan_rotation"],
};
export const LABELS = { disk: "Disk", ring: "Ring", rectangle: "Rectangle", point: "Point", com: "CoM" };
const HANDLE = 5, REACH = 10;
const round = (value) => Math.round(value * 10) / 10;

// A new one in the middle of a pattern of this shape.
export function fresh(udf, [height, width]) {
  const cy = Math.floor(height / 2), cx = Math.floor(width / 2), side = Math.min(height, width);
  return {
    disk: { cy, cx, r: round(0.15 * side) }, ring: { cy, cx, ri: round(0.25 * side), ro: round(0.4 * side) },
    rectangle: { y: Math.round(cy - side / 8), x: Math.round(cx - side / 8), height: Math.max(1, Math.round(side / 4)), width: Math.max(1, Math.round(side / 4)) },
    point: { cy, cx }, com: { cy, cx, r: round(0.45 * side), scan_rotation: 0, flip_y: false },
  }[udf];
}

// Parameters that the server takes, for a pattern of this shape.
export function clamped(udf, parameters, [height, width]) {
  const result = { ...parameters };
  const within = (value, low, high) => Math.min(Math.max(value, low), high);
  if (udf === "rectangle") {
    result.height = within(Math.round(result.height), 1, height);
    result.width = within(Math.round(result.width), 1, width);
    result.y = within(Math.round(result.y), 0, height - result.height);
    result.x = within(Math.round(result.x), 0, width - result.width);
    return result;
  }
  const places = udf === "point" ? Math.round : round;
  result.cy = within(places(result.cy), 0, height - 1);
  result.cx = within(places(result.cx), 0, width - 1);
  if (udf === "ring") {
    result.ro = Math.max(0.5, round(result.ro));
    result.ri = within(round(result.ri), 0, round(result.ro - 0.1));
  } else if (udf !== "point") {
    result.r = Math.max(udf === "com" ? 0.5 : 0, round(result.r));
  }
  return result;
}

// The handles of a detector, in image coordinates: each with what a drag to a place makes of the parameters.
function handles({ udf, parameters: p }) {
  const distance = (place) => Math.hypot(place.y - p.cy - 0.5, place.x - p.cx - 0.5);
  const rim = (name, angle) => ({
    x: p.cx + 0.5 + p[name] * Math.cos(angle), y: p.cy + 0.5 + p[name] * Math.sin(angle), cursor: "nwse-resize",
    drag: (place) => ({ [name]: distance(place) }),
  });
  const middle = { x: p.cx + 0.5, y: p.cy + 0.5, cursor: "move", isMiddle: true,
    drag: (place, offset) => ({ cy: place.y - offset.y - 0.5, cx: place.x - offset.x - 0.5 }) };
  switch (udf) {
  case "disk": case "com": return [rim("r", 0), rim("r", Math.PI / 2), middle];
  case "ring": return [rim("ro", 0), rim("ri", Math.PI / 4), middle];
  case "point": return [middle];
  default: return [
    { x: p.x + p.width, y: p.y + p.height, cursor: "nwse-resize",
      drag: (place) => ({ width: place.x - p.x, height: place.y - p.y }) },
    { x: p.x, y: p.y, cursor: "nwse-resize",
      drag: (place) => {
        const y = Math.min(Math.round(place.y), p.y + p.height - 1), x = Math.min(Math.round(place.x), p.x + p.width - 1);
        return { y, x, height: p.y + p.height - y, width: p.x + p.width - x };
      } },
    { x: p.x + p.width / 2, y: p.y + p.height / 2, cursor: "move", isMiddle: true,
      drag: (place, offset) => ({ y: place.y - offset.y - p.height / 2, x: place.x - offset.x - p.width / 2 }) },
  ];
  }
}

function contains({ udf, parameters: p }, place) {
  if (udf === "rectangle") return place.x >= p.x && place.x < p.x + p.width && place.y >= p.y && place.y < p.y + p.height;
  const distance = Math.hypot(place.y - p.cy - 0.5, place.x - p.cx - 0.5);
  return distance <= (udf === "ring" ? p.ro : udf === "point" ? 1 : p.r);
}

// What a pointer at a place takes hold of: a handle of a detector, or the detector itself; the selected one first.
export function grab(detectors, selected, place, pane) {
  const reach = (REACH * (window.devicePixelRatio || 1)) / pane.pixelSize;
  const order = [...detectors].sort((a, b) => (b.id === selected) - (a.id === selected));
  for (const detector of order) {
    const near = handles(detector).filter((handle) => Math.hypot(handle.x - place.x, handle.y - place.y) <= reach);
    if (near.length) return { detector, handle: near[0], offset: { x: 0, y: 0 } };
  }
  const within = order.filter((detector) => contains(detector, place));
  if (!within.length) return null;
  const smallest = within.reduce((a, b) => (size(b) < size(a) ? b : a));
  const middle = handles(smallest).find((handle) => handle.isMiddle);
  return { detector: smallest, handle: middle, offset: { x: place.x - middle.x, y: place.y - middle.y } };
}

const size = ({ udf, parameters: p }) => (udf === "rectangle" ? p.width * p.height : Math.PI * (p.ro ?? p.r ?? 1) ** 2);

export function drawShape(context, pane, detector, isSelected) {
  const ratio = window.devicePixelRatio || 1, scale = pane.pixelSize, { udf, parameters: p } = detector;
  const outline = (width, style) => {
    context.lineWidth = width * ratio;
    context.strokeStyle = style;
    context.beginPath();
    if (udf === "rectangle") {
      const corner = pane.toScreen(p.x, p.y);
      context.rect(corner.x, corner.y, p.width * scale, p.height * scale);
    } else {
      const centre = pane.toScreen(p.cx + 0.5, p.cy + 0.5);
      const radii = udf === "ring" ? [p.ri, p.ro] : [udf === "point" ? 0.5 : p.r];
      for (const radius of radii) {
        context.moveTo(centre.x + Math.max(radius * scale, 2), centre.y);
        context.arc(centre.x, centre.y, Math.max(radius * scale, 2), 0, 2 * Math.PI);
      }
      const arm = (udf === "point" ? 9 : 5) * ratio;
      context.moveTo(centre.x - arm, centre.y);
      context.lineTo(centre.x + arm, centre.y);
      context.moveTo(centre.x, centre.y - arm);
      context.lineTo(centre.x, centre.y + arm);
    }
    context.stroke();
  };
  context.setLineDash([]);
  outline(4, "#000a");
  if (udf === "com") context.setLineDash([7 * ratio, 4 * ratio]);
  outline(isSelected ? 2.4 : 1.8, detector.colour);
  context.setLineDash([]);
  if (!isSelected) return;
  for (const handle of handles(detector)) {
    const at = pane.toScreen(handle.x, handle.y), half = HANDLE * ratio;
    context.fillStyle = "#0d1116";
    context.strokeStyle = detector.colour;
    context.lineWidth = 1.6 * ratio;
    context.fillRect(at.x - half, at.y - half, 2 * half, 2 * half);
    context.strokeRect(at.x - half, at.y - half, 2 * half, 2 * half);
  }
}
