/**
 * How segments and roads look on the map: Leaflet layers for its canvas. Both are drawn to the right of the direction of
 * travel, so that the two directions of a road don't hide each other.
 *
 * Methods whose names begin with "_" override Leaflet's own, which its types don't include: there `this` is any.
 *
 * @typedef {Record<string, string>} Colours by category, and by name
 * @typedef {{ shape: string, radius: number, ring: string | null, course: string | null }} Look `ring` is a category
 * @typedef {new (...args: any[]) => any} LayerClass a class of Leaflet's own class system
 */
import { WORSENING } from "../speeds.js";
import { categoryColours, themeColour } from "./colours.js";

const { L } = globalThis;
const OFFSET_PX = 3;
const OUTLINE_PX = 1.2;
const RING_PX = 2.6;
const NO_DATA = "not_current";
/** Of roads by category, in the order of drawing: the worse, the wider, so that not only the colour tells. */
const WIDTHS = /** @type {Record<string, number>} */ ({
  not_current: 2.5,
  free_flow: 3,
  moderate_traffic: 3.5,
  heavy_traffic: 4.5,
  severe_congestion: 5.5,
});
const WIDEST = 6;
const ARROW_PX = 4.5;
/** The largest distance from the centre of a shape to its outline, in radii. */
const REACH = 1.25;
/** @type {Record<string, (ctx: CanvasRenderingContext2D, r: number) => void>} */
const SHAPES = {
  not_current: (ctx, r) => ctx.arc(0, 0, 0.85 * r, 0, 2 * Math.PI),
  free_flow: (ctx, r) => ctx.arc(0, 0, r, 0, 2 * Math.PI),
  moderate_traffic: (ctx, r) => ctx.rect(-0.88 * r, -0.88 * r, 1.76 * r, 1.76 * r),
  heavy_traffic: (ctx, r) => polygon(ctx, [[0, -1.15 * r], [1.1 * r, 0.85 * r], [-1.1 * r, 0.85 * r]]),
  severe_congestion: (ctx, r) => polygon(ctx, [[0, -REACH * r], [REACH * r, 0], [0, REACH * r], [-REACH * r, 0]]),
};
/** The drawing order, so that severe congestion is on top, and the selected segment above it. */
const ORDER = [...Object.keys(SHAPES), "selected"];

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {[number, number][]} points
 */
function polygon(ctx, points) {
  for (const [index, [x, y]] of points.entries()) {
    if (index) ctx.lineTo(x, y);
    else ctx.moveTo(x, y);
  }
  ctx.closePath();
}

/**
 * Return the colours of the current theme.
 *
 * @returns {Colours}
 */
export function readColours() {
  const colour = themeColour();
  return {
    ...categoryColours(colour),
    ground: colour("hatch-ground"),
    line: colour("hatch-line"),
    outline: colour("outline"),
    arrow: colour("course"),
    road: colour("road"),
    county: colour("county"),
  };
}

/** Images of all shapes, each drawn once: to copy an image costs half as much as to fill and outline a path. */
class ShapeImages {
  /** @type {Map<string, { image: HTMLCanvasElement, half: number }>} */
  #images = new Map();

  /** @param {Colours} colours */
  constructor(colours) {
    this.colours = colours;
  }

  /** @param {Look} look */
  of(look) {
    const { shape, radius, ring, course } = look;
    const key = `${shape} ${radius} ${ring} ${course}`;
    const image = this.#images.get(key) ?? this.#draw(look);
    this.#images.set(key, image);
    return image;
  }

  /** @param {Look} look */
  #draw({ shape, radius, ring, course }) {
    const scale = L.Browser.retina ? 2 : 1; // as in Leaflet's canvas
    const half = reachOf({ shape, radius, ring, course });
    const { image, ctx } = canvas(2 * half * scale);
    ctx.scale(scale, scale);
    ctx.translate(half, half);
    if (course !== null) arrow(ctx, course, this.colours.arrow, REACH * radius + (ring ? RING_PX : 0));
    ctx.beginPath();
    SHAPES[shape](ctx, radius);
    if (ring !== null) {
      stroke(ctx, this.colours.outline, 2 * (RING_PX + OUTLINE_PX));
      stroke(ctx, this.colours[ring], 2 * RING_PX);
    }
    ctx.fillStyle = shape === "not_current" ? hatch(this.colours) : this.colours[shape];
    ctx.fill();
    stroke(ctx, this.colours.outline, OUTLINE_PX);
    return { image, half };
  }
}

/**
 * Return the distance from the centre of a mark to the edge of its image.
 *
 * @param {Look} look
 */
function reachOf({ radius, ring, course }) {
  return Math.ceil(REACH * radius + OUTLINE_PX + (ring ? RING_PX : 0) + (course ? ARROW_PX + 2 : 0));
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {string} colour
 * @param {number} width
 */
function stroke(ctx, colour, width) {
  ctx.lineWidth = width;
  ctx.strokeStyle = colour;
  ctx.stroke();
}

/**
 * Draw an arrow: below a mark downwards for "worsening", above it upwards for "recovering".
 *
 * @param {CanvasRenderingContext2D} ctx
 * @param {string} course
 * @param {string} colour
 * @param {number} distance from the centre to the arrow
 */
function arrow(ctx, course, colour, distance) {
  const sign = course === WORSENING ? 1 : -1;
  const from = sign * (distance + 1);
  ctx.beginPath();
  polygon(ctx, [[-ARROW_PX, from], [ARROW_PX, from], [0, from + sign * ARROW_PX]]);
  ctx.fillStyle = colour;
  ctx.fill();
}

/** @param {Colours} colours */
function hatch({ ground, line }) {
  const { image, ctx } = canvas(4);
  ctx.fillStyle = ground;
  ctx.fillRect(0, 0, 4, 4);
  ctx.strokeStyle = line;
  ctx.lineWidth = 1.3;
  ctx.beginPath();
  ctx.moveTo(0, 4);
  ctx.lineTo(4, 0);
  ctx.stroke();
  return ctx.createPattern(image, "repeat") ?? ground;
}

/** @param {number} size */
function canvas(size) {
  const image = document.createElement("canvas");
  image.width = image.height = size;
  return { image, ctx: /** @type {CanvasRenderingContext2D} */ (image.getContext("2d")) };
}

/** The canvas of the marks. */
export const MarksCanvas = /** @type {LayerClass} */ (L.Canvas.extend({
  /**
   * Set the colours: one of each category, `ground` and `line` of the hatching, `outline`.
   *
   * @this {any}
   * @param {Colours} colours
   */
  setColours(colours) {
    this.shapeImages = new ShapeImages(colours);
  },

  /** @this {any} */
  _draw() {
    this._sort();
    /** @type {any} */ (L.Canvas.prototype)._draw.call(this);
  },

  /**
   * Sort the linked list along which Leaflet draws, and looks for the clicked layer.
   *
   * @this {any}
   */
  _sort() {
    /** @type {any[][]} */
    const byRank = ORDER.map(() => []);
    for (let each = this._drawFirst; each; each = each.next) byRank[each.layer.rank()].push(each);
    const list = byRank.flat();
    for (const [index, each] of list.entries()) {
      each.prev = list[index - 1] ?? null;
      each.next = list[index + 1] ?? null;
    }
    this._drawFirst = list[0] ?? null;
    this._drawLast = list.at(-1) ?? null;
  },
}));

/**
 * A segment. Options: `shape`, `ring` and `course` of its look; `isQuiet` if its road shows all that there is to see;
 * `isSelected`; `heading`, the direction of travel.
 */
export const Mark = /** @type {LayerClass} */ (L.CircleMarker.extend({
  options: { opacity: 1, shape: "not_current", ring: null, course: null, isQuiet: false, isSelected: false, heading: null },

  /** @this {any} */
  rank() {
    const { isSelected, ring, shape } = this.options;
    return ORDER.indexOf(isSelected ? "selected" : (ring ?? shape)); // a ring is worse than its shape
  },

  /** @this {any} */
  _look() {
    const { shape, ring, course } = this.options;
    return { shape, radius: this._radius, ring, course };
  },

  /** @this {any} */
  _updatePath() {
    const renderer = this._renderer;
    if (!renderer._drawing || this._empty()) return;
    const { x, y } = this._drawnAt();
    if (this.options.isQuiet && !this.options.isSelected) return;
    const { image, half } = renderer.shapeImages.of(this._look());
    renderer._ctx.globalAlpha = this.options.opacity;
    renderer._ctx.drawImage(image, Math.round(x) - half, Math.round(y) - half, 2 * half, 2 * half);
  },

  /** @this {any} */
  _updateBounds() {
    const reach = reachOf(this._look()) + OFFSET_PX + 1;
    const corner = L.point(reach, reach);
    this._pxBounds = L.bounds(this._point.subtract(corner), this._point.add(corner));
  },

  /** @this {any} */
  _drawnAt() {
    const [east, north] = this.options.heading ?? [0, 0];
    return this._point.add(L.point(north * OFFSET_PX, east * OFFSET_PX));
  },

  /**
   * @this {any}
   * @param {L.Point} point
   */
  _containsPoint(point) {
    return point.distanceTo(this._drawnAt()) <= this._radius + this._clickTolerance();
  },
}));

/**
 * The roads, one part per segment in the direction of travel. All parts of a look are one path: thousands of paths would
 * take longer than a frame.
 */
export const Road = /** @type {LayerClass} */ (L.Polyline.extend({
  options: { weight: WIDEST, interactive: false, noClip: true, smoothFactor: 0 },

  /**
   * @this {any}
   * @param {Colours} colours
   */
  setColours(colours) {
    this.colours = colours;
    if (this._map) this.redraw();
  },

  /**
   * Set the category of each part, and whether it is faint; draw again if something changed.
   *
   * @this {any}
   * @param {{ category: string, isFaint: boolean }[]} looks
   */
  setLooks(looks) {
    const names = looks.map(({ category, isFaint }) => `${category} ${isFaint}`);
    if (this.names?.length === names.length && names.every((name, index) => name === this.names[index])) return;
    this.names = names;
    if (this._map) this.redraw();
  },

  /** @this {any} */
  _updatePath() {
    const { _ctx: ctx, _drawing: isDrawing } = this._renderer;
    if (!isDrawing || this._parts.length === 0) return;
    ctx.lineCap = ctx.lineJoin = "round";
    for (const category of Object.keys(WIDTHS)) {
      for (const isFaint of [true, false]) this._strokeParts(ctx, category, isFaint);
    }
    ctx.globalAlpha = 1;
  },

  /**
   * @this {any}
   * @param {CanvasRenderingContext2D} ctx
   * @param {string} category
   * @param {boolean} isFaint
   */
  _strokeParts(ctx, category, isFaint) {
    const name = `${category} ${isFaint}`;
    ctx.beginPath();
    for (const [index, part] of this._parts.entries()) {
      if ((this.names?.[index] ?? `${NO_DATA} false`) !== name) continue;
      for (const [at, { x, y }] of part.entries()) {
        if (at) ctx.lineTo(x, y);
        else ctx.moveTo(x, y);
      }
    }
    ctx.globalAlpha = isFaint ? 0.25 : 0.95;
    stroke(ctx, category === NO_DATA ? this.colours.road : this.colours[category], WIDTHS[category]);
  },

  /** @this {any} */
  _simplifyPoints() {
    /** @type {any} */ (L.Polyline.prototype)._simplifyPoints.call(this);
    this._parts = this._parts.map(toTheRight);
  },
}));

/**
 * Move a line of points on the screen to the right, each along the middle of the directions before and after it.
 *
 * @param {L.Point[]} points
 */
function toTheRight(points) {
  return points.map((point, index) => {
    const before = right(points[index - 1] ?? point, point);
    const after = right(point, points[index + 1] ?? point);
    const middle = before.add(after);
    const length = Math.hypot(middle.x, middle.y);
    return length ? point.add(middle.multiplyBy(OFFSET_PX / length)) : point;
  });
}

/**
 * Return the direction to the right of the way between two points, of length 1; y grows downwards.
 *
 * @param {L.Point} from
 * @param {L.Point} to
 */
function right(from, to) {
  const [east, south] = [to.x - from.x, to.y - from.y];
  const length = Math.hypot(east, south);
  return length ? L.point(-south / length, east / length) : L.point(0, 0);
}
