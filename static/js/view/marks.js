/**
 * How segments and roads look on the map: layers of Leaflet for its canvas. Both lie a little to the right of the way
 * that the traffic goes, so that the two directions of a road don't hide each other.
 */
const { L } = globalThis;
const OFFSET_PX = 3;
const OUTLINE_PX = 1.2;
/** The farthest that a shape reaches from its middle, in radii. */
const REACH = 1.25;
const SHAPES = {
  not_current: (ctx, r) => ctx.arc(0, 0, 0.85 * r, 0, 2 * Math.PI),
  free_flow: (ctx, r) => ctx.arc(0, 0, r, 0, 2 * Math.PI),
  moderate_traffic: (ctx, r) => ctx.rect(-0.88 * r, -0.88 * r, 1.76 * r, 1.76 * r),
  heavy_traffic: (ctx, r) => polygon(ctx, [[0, -1.15 * r], [1.1 * r, 0.85 * r], [-1.1 * r, 0.85 * r]]),
  severe_congestion: (ctx, r) => polygon(ctx, [[0, -REACH * r], [REACH * r, 0], [0, REACH * r], [-REACH * r, 0]]),
};
/** What is drawn later lies on top: what an operator must see, and above all the marked one. */
const ORDER = [...Object.keys(SHAPES), "selected"];

function polygon(ctx, points) {
  points.forEach(([x, y], index) => (index ? ctx.lineTo(x, y) : ctx.moveTo(x, y)));
  ctx.closePath();
}

/** The marks of all shapes, drawn once: to copy one costs half of what it costs to fill and outline it. */
class Pictures {
  #made = new Map();

  constructor(colours) {
    this.colours = colours;
  }

  of(shape, radius) {
    const key = `${shape} ${radius}`;
    if (!this.#made.has(key)) this.#made.set(key, this.#make(shape, radius));
    return this.#made.get(key);
  }

  #make(shape, radius) {
    const scale = L.Browser.retina ? 2 : 1; // as Leaflet's canvas
    const half = Math.ceil(REACH * radius + OUTLINE_PX);
    const image = document.createElement("canvas");
    image.width = image.height = 2 * half * scale;
    const ctx = image.getContext("2d");
    ctx.scale(scale, scale);
    ctx.translate(half, half);
    ctx.beginPath();
    SHAPES[shape](ctx, radius);
    ctx.fillStyle = shape === "not_current" ? hatch(this.colours) : this.colours[shape];
    ctx.fill();
    ctx.lineWidth = OUTLINE_PX;
    ctx.strokeStyle = this.colours.outline;
    ctx.stroke();
    return { image, half };
  }
}

function hatch({ ground, line }) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 4;
  const ctx = tile.getContext("2d");
  ctx.fillStyle = ground;
  ctx.fillRect(0, 0, 4, 4);
  ctx.strokeStyle = line;
  ctx.lineWidth = 1.3;
  ctx.beginPath();
  ctx.moveTo(0, 4);
  ctx.lineTo(4, 0);
  ctx.stroke();
  return ctx.createPattern(tile, "repeat");
}

/** The canvas of the marks. */
export const MarksCanvas = L.Canvas.extend({
  /** Take up colours: one of each shape, `ground` and `line` of the hatching, `outline`. */
  setColours(colours) {
    this.pictures = new Pictures(colours);
  },

  _draw() {
    this._sort();
    L.Canvas.prototype._draw.call(this);
  },

  /** Leaflet draws, and looks for what was clicked on, along a chain. */
  _sort() {
    const found = ORDER.map(() => []);
    for (let each = this._drawFirst; each; each = each.next) found[each.layer.rank()].push(each);
    const chain = found.flat();
    chain.forEach((each, index) => {
      each.prev = chain[index - 1] ?? null;
      each.next = chain[index + 1] ?? null;
    });
    this._drawFirst = chain[0] ?? null;
    this._drawLast = chain.at(-1) ?? null;
  },
});

/** A segment. Options: `shape`; `isSelected`; `heading`, the way that the traffic goes, as [east, north] of length 1. */
export const Mark = L.CircleMarker.extend({
  options: { opacity: 1, shape: "not_current", isSelected: false, heading: null },

  rank() {
    return ORDER.indexOf(this.options.isSelected ? "selected" : this.options.shape);
  },

  _updatePath() {
    const renderer = this._renderer;
    if (!renderer._drawing || this._empty()) return;
    const { x, y } = this._drawnAt();
    const { image, half } = renderer.pictures.of(this.options.shape, this._radius);
    renderer._ctx.globalAlpha = this.options.opacity;
    renderer._ctx.drawImage(image, Math.round(x) - half, Math.round(y) - half, 2 * half, 2 * half);
  },

  _updateBounds() {
    const reach = Math.ceil(REACH * this._radius + OUTLINE_PX) + OFFSET_PX + 1;
    const corner = L.point(reach, reach);
    this._pxBounds = L.bounds(this._point.subtract(corner), this._point.add(corner));
  },

  _drawnAt() {
    const [east, north] = this.options.heading ?? [0, 0];
    return this._point.add(L.point(north * OFFSET_PX, east * OFFSET_PX));
  },

  _containsPoint(point) {
    return point.distanceTo(this._drawnAt()) <= this._radius + this._clickTolerance();
  },
});

/** A road, or several, along the way that the traffic goes. */
export const Road = L.Polyline.extend({
  options: { weight: 3, opacity: 0.9, interactive: false },

  _simplifyPoints() {
    L.Polyline.prototype._simplifyPoints.call(this);
    this._parts = this._parts.map(toTheRight);
  },
});

/** Move a line of points on the screen to the right, each along the middle of what is right before and after it. */
function toTheRight(points) {
  return points.map((point, index) => {
    const before = right(points[index - 1] ?? point, point);
    const after = right(point, points[index + 1] ?? point);
    const middle = before.add(after);
    const length = Math.hypot(middle.x, middle.y);
    return length ? point.add(middle.multiplyBy(OFFSET_PX / length)) : point;
  });
}

/** Return what is to the right of the way between two points, of length 1; y grows downwards. */
function right(from, to) {
  const [east, south] = [to.x - from.x, to.y - from.y];
  const length = Math.hypot(east, south);
  return length ? L.point(-south / length, east / length) : L.point(0, 0);
}
