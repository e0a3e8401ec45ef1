// Points of the corpus on a canvas: at most eight labels in colours and shapes, the others grey; rings for query and hits.

export const HUES = 8;
const EDGE = 16; // pixels between the points and the edge
const DOT = 2.6, LIT = 7, RING = 14; // radii in pixels

// Each colour has a shape of its own, so that colour is never alone.
const SHAPES = [
  (brush, x, y, r) => brush.arc(x, y, r, 0, 7),
  (brush, x, y, r) => brush.rect(x - r, y - r, 2 * r, 2 * r),
  (brush, x, y, r) => polygon(brush, x, y, 1.4 * r, 3, -Math.PI / 2),
  (brush, x, y, r) => polygon(brush, x, y, 1.4 * r, 4, 0),
  (brush, x, y, r) => polygon(brush, x, y, 1.4 * r, 3, Math.PI / 2),
  (brush, x, y, r) => cross(brush, x, y, 1.3 * r, 0),
  (brush, x, y, r) => cross(brush, x, y, 1.3 * r, Math.PI / 4),
  (brush, x, y, r) => polygon(brush, x, y, 1.3 * r, 5, -Math.PI / 2),
];

function polygon(brush, x, y, r, corners, turn) {
  for (let corner = 0; corner < corners; corner += 1) {
    const angle = turn + (2 * Math.PI * corner) / corners;
    brush[corner ? "lineTo" : "moveTo"](x + r * Math.cos(angle), y + r * Math.sin(angle));
  }
  brush.closePath();
}

function cross(brush, x, y, r, turn) {
  for (const angle of [turn, turn + Math.PI / 2]) {
    const [dx, dy] = [r * Math.cos(angle), r * Math.sin(angle)], [nx, ny] = [-dy / 3, dx / 3];
    brush.moveTo(x - dx - nx, y - dy - ny);
    for (const [along, aside] of [[1, -1], [1, 1], [-1, 1]]) brush.lineTo(x + along * dx + aside * nx, y + along * dy + aside * ny);
    brush.closePath();
  }
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Draw the mark of a colour in a small canvas, for a legend. */
export function mark(canvas, hue) {
  const brush = canvas.getContext("2d");
  brush.clearRect(0, 0, canvas.width, canvas.height);
  brush.beginPath();
  SHAPES[hue](brush, canvas.width / 2, canvas.height / 2, canvas.width / 4);
  brush.fillStyle = colour(`--c${hue}`);
  brush.fill();
}

/** Where points lie on a canvas of a size in pixels: a function from [x, y] of the map to pixels. */
export function scaled(points, width, height) {
  let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const [, x, y] of points) {
    [left, right, low, high] = [Math.min(left, x), Math.max(right, x), Math.min(low, y), Math.max(high, y)];
  }
  const across = right - left || 1, up = high - low || 1;
  return (x, y) => [EDGE + ((x - left) / across) * (width - 2 * EDGE), height - EDGE - ((y - low) / up) * (height - 2 * EDGE)];
}

/** Draw points [row, x, y, label]; `hues` is label -> colour, `query` a place or null, `hits` and `lit` rows. */
export function plot(canvas, points, { hues, query, hits, lit }) {
  const ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
  const brush = canvas.getContext("2d"), at = scaled(points, width, height);
  brush.scale(ratio, ratio);
  const places = new Map(points.map(([row, x, y]) => [row, at(x, y)]));
  const dots = (fits, shape, style) => {
    brush.beginPath();
    for (const [row, , , label] of points) {
      if (!fits(label)) continue;
      const [x, y] = places.get(row);
      brush.moveTo(x, y);
      shape(brush, x, y, DOT);
    }
    brush.fillStyle = style;
    brush.fill();
  };
  dots((label) => !hues.has(label), SHAPES[0], colour("--other"));
  for (const [wanted, hue] of hues) dots((label) => label === wanted, SHAPES[hue], colour(`--c${hue}`));
  const ink = colour("--ink");
  brush.strokeStyle = ink;
  if (query) {
    const [x, y] = at(query.x, query.y);
    brush.lineWidth = 1;
    brush.beginPath();
    for (const row of hits) if (places.has(row)) brush.moveTo(x, y), brush.lineTo(...places.get(row));
    brush.stroke();
    for (const [style, line] of [[colour("--bg"), 6], [ink, 3]]) ring(brush, x, y, RING, style, line);
  }
  if (places.has(lit)) for (const [style, line] of [[colour("--bg"), 5], [ink, 2.5]]) ring(brush, ...places.get(lit), LIT, style, line);
  return places;
}

function ring(brush, x, y, radius, style, line) {
  brush.beginPath();
  brush.arc(x, y, radius, 0, 7);
  brush.strokeStyle = style;
  brush.lineWidth = line;
  brush.stroke();
}
