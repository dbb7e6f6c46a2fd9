// Where a result was made with other parameters: a run's parameters may change while it goes on.
//
// A stretch: first position, position behind the last, generation of the parameters.

// Lines on the scan's image between stretches of different parameters.
export function drawSeams(context, pane, { seams, navShape }) {
  if (!seams?.length || navShape.length !== 2) return;
  const ratio = window.devicePixelRatio || 1, columns = navShape[1];
  const path = () => {
    context.beginPath();
    for (const position of borders(seams)) {
      const row = Math.floor(position / columns), column = position % columns;
      const points = column === 0 ? [[0, row], [columns, row]] : [[0, row + 1], [column, row + 1], [column, row], [columns, row]];
      points.forEach(([x, y], index) => {
        const at = pane.toScreen(x, y);
        if (index) context.lineTo(at.x, at.y); else context.moveTo(at.x, at.y);
      });
    }
  };
  for (const [width, style, dashes] of [[4, "#000b", []], [1.6, "#fff", [7 * ratio, 4 * ratio]]]) {
    path();
    context.setLineDash(dashes);
    context.lineWidth = width * ratio;
    context.strokeStyle = style;
    context.stroke();
  }
  context.setLineDash([]);
}

// The positions at which other parameters begin.
export const borders = (seams) =>
  seams.slice(1).filter(([first, , generation], index) => first === seams[index][1] && generation !== seams[index][2]).map(([first]) => first);

// Which parameters a position was made with, in words; empty when all are of one kind.
export function describeSeam({ seams, parameterGeneration }, position) {
  const found = seams?.find(([first, end]) => position >= first && position < end);
  if (!found || found[2] === parameterGeneration) return "";
  const before = parameterGeneration - found[2];
  return ` · made with the parameters before the last ${before === 1 ? "change" : `${before} changes`}`;
}
