/**
 * Draws the diagram of a road over time and distance, and reads its cells out by pointer and keyboard.
 *
 * @import { Box, Column } from "../diagram.js"
 * @import { Row } from "../road-rows.js"
 * @import { SpeedScale } from "../speeds.js"
 * @typedef {object} Content
 * @property {Row[]} rows
 * @property {Column[]} columns
 * @property {number} now
 * @property {(row: Row, column: Column) => number | null} speedOf
 * @property {(row: Row) => string} nameOf
 * @property {(row: Row, column: Column) => string} textOf
 * @property {boolean} isOrdered
 * @property {string} summary
 */
import { Frame, namedRows, ticksOf } from "../diagram.js";
import { t } from "../texts.js";
import { categoryColours, themeColour } from "./colours.js";
import { parts, setAttribute, setText } from "./elements.js";
import { clock, offsetMinutes } from "./format.js";

const FONT = "12px ui-sans-serif, system-ui, sans-serif";
const LINE_PX = 15;
const TOP_PX = 24;
const BOTTOM_PX = 24;
const RIGHT_PX = 14;
const TICK_PX = 56;
const HATCH_PX = 6;
const HINT = t("diagram.hint");
/** @type {Record<string, [number, number]>} rows and columns */
const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/** @returns {Record<string, string>} the colours of the current theme */
function readColours() {
  const colour = themeColour();
  return {
    ...categoryColours(colour),
    ground: colour("card"),
    hatchGround: colour("hatch-ground"),
    hatchLine: colour("hatch-line"),
    ink: colour("ink"),
    soft: colour("ink-soft"),
    line: colour("line-strong"),
  };
}

export class DiagramView {
  /** @type {Content | null} */
  #content = null;
  /** @type {Frame | null} */
  #frame = null;
  /** @type {{ id: string, steps: number } | null} the cell that is read: a segment, and columns from now */
  #cursor = null;
  #isByKey = false;
  #colours = readColours();

  /**
   * @param {ParentNode} root
   * @param {{ scale: SpeedScale, onResize(): void }} options
   */
  constructor(root, { scale, onResize }) {
    this.parts = parts(root);
    this.scale = scale;
    this.canvas = /** @type {HTMLCanvasElement} */ (/** @type {unknown} */ (this.parts.diagramCanvas));
    const { diagram } = this.parts;
    diagram.addEventListener("pointermove", (event) => this.#point(event));
    diagram.addEventListener("pointerdown", (event) => this.#point(event));
    diagram.addEventListener("pointerleave", () => !this.#isByKey && this.#leave());
    diagram.addEventListener("keydown", (event) => this.#press(event));
    diagram.addEventListener("blur", () => this.#leave());
    new ResizeObserver(onResize).observe(diagram);
  }

  recolour() {
    this.#colours = readColours();
    this.#draw();
  }

  /** @param {Content} content */
  render(content) {
    this.#content = content;
    setAttribute(this.parts.diagram, "aria-label", `${content.summary} ${t("diagram.keys")}`);
    this.#draw();
    this.#read(false);
  }

  #draw() {
    const content = this.#content;
    if (content === null) return;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ratio = globalThis.devicePixelRatio || 1;
    const ctx = this.canvas.getContext("2d");
    if (!ctx || width === 0 || height === 0) return;
    const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== wide) this.canvas.width = wide;
    if (this.canvas.height !== high) this.canvas.height = high;
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, width, height);
    ctx.font = FONT;
    const left = Math.round(Math.min(150, 0.28 * width));
    const box = { x: left, y: TOP_PX, width: Math.max(1, width - left - RIGHT_PX), height: Math.max(1, height - TOP_PX - BOTTOM_PX) };
    this.#frame = new Frame(box, content.rows, content.columns);
    this.#drawCells(ctx, content, this.#frame);
    this.#drawAxes(ctx, content, this.#frame);
    this.#drawNow(ctx, content, this.#frame);
    this.#drawCursor(ctx, this.#frame);
  }

  /**
   * @param {CanvasRenderingContext2D} ctx
   * @param {Content} content
   * @param {Frame} frame
   */
  #drawCells(ctx, { speedOf }, frame) {
    const { rows, columns, box } = frame;
    hatch(ctx, box, this.#colours);
    const xs = columns.map(({ from, to }) => [Math.round(frame.x(from)), Math.round(frame.x(to))]);
    const stripes = stripesOf(ctx);
    for (const row of rows) {
      const [top, bottom] = [Math.round(frame.y(row.from)), Math.round(frame.y(row.to))];
      for (let at = 0; at < columns.length; at += 1) {
        const category = this.scale.category(speedOf(row, columns[at]));
        if (category === null) continue;
        const begin = at;
        // Equal neighbours of the past are one rectangle; columns of the forecast stay apart.
        while (isPast(columns[at + 1]) && this.scale.category(speedOf(row, columns[at + 1])) === category) at += 1;
        const gap = columns[begin].bin === null ? 1 : 0;
        ctx.fillStyle = this.#colours[category];
        ctx.fillRect(xs[begin][0] + gap, top, xs[at][1] - xs[begin][0] - gap, bottom - top);
        if (category !== "severe_congestion" || stripes === null) continue;
        ctx.fillStyle = stripes;
        ctx.fillRect(xs[begin][0] + gap, top, xs[at][1] - xs[begin][0] - gap, bottom - top);
      }
      if (!row.beginsPart) continue;
      ctx.fillStyle = this.#colours.ground;
      ctx.fillRect(box.x, top - 1, box.width, 3);
    }
  }

  /**
   * @param {CanvasRenderingContext2D} ctx
   * @param {Content} content
   * @param {Frame} frame
   */
  #drawAxes(ctx, { nameOf, isOrdered }, frame) {
    const { box } = frame;
    ctx.fillStyle = this.#colours.soft;
    ctx.textBaseline = "middle";
    ctx.textAlign = "right";
    for (const row of namedRows(frame, LINE_PX)) {
      ctx.fillText(fitted(ctx, nameOf(row), box.x - 10), box.x - 8, frame.y((row.from + row.to) / 2));
    }
    if (isOrdered) ctx.fillText(t("diagram.travel"), box.x - 8, TOP_PX / 2);
    ctx.textAlign = "center";
    ctx.strokeStyle = this.#colours.line;
    for (const at of ticksOf(frame, TICK_PX, offsetMinutes)) {
      const x = Math.round(frame.x(at)) + 0.5;
      const bottom = box.y + box.height;
      line(ctx, x, bottom, bottom + 4);
      const half = ctx.measureText("00:00").width / 2;
      ctx.fillText(clock(at), Math.min(x, box.x + box.width + RIGHT_PX - half), bottom + BOTTOM_PX / 2 + 2);
    }
  }

  /**
   * @param {CanvasRenderingContext2D} ctx
   * @param {Content} content
   * @param {Frame} frame
   */
  #drawNow(ctx, { now, columns }, frame) {
    const { box } = frame;
    const x = Math.round(frame.x(now));
    ctx.strokeStyle = this.#colours.ground;
    ctx.lineWidth = 6;
    line(ctx, x, box.y, box.y + box.height);
    ctx.strokeStyle = this.#colours.ink;
    ctx.lineWidth = 3;
    line(ctx, x, box.y - 5, box.y + box.height + 5);
    ctx.lineWidth = 1;
    ctx.fillStyle = this.#colours.ink;
    const text = t("diagram.now", { time: clock(now) });
    const width = ctx.measureText(text).width;
    ctx.textAlign = "right";
    ctx.fillText(text, Math.max(box.x + width, x), TOP_PX / 2 - 2);
    if (columns.at(-1)?.bin !== null) return;
    ctx.textAlign = "left";
    const room = box.x + box.width + RIGHT_PX - x - 8;
    ctx.fillText(fitted(ctx, t("diagram.forecast"), room), x + 8, TOP_PX / 2 - 2);
  }

  /**
   * @param {CanvasRenderingContext2D} ctx
   * @param {Frame} frame
   */
  #drawCursor(ctx, frame) {
    const cell = this.#cell();
    if (cell === null) return;
    const [x, y] = [frame.x(cell.column.from), frame.y(cell.row.from)];
    const [width, height] = [frame.x(cell.column.to) - x, frame.y(cell.row.to) - y];
    for (const [colour, lineWidth] of /** @type {[string, number][]} */ ([[this.#colours.ground, 5], [this.#colours.ink, 2]])) {
      ctx.strokeStyle = colour;
      ctx.lineWidth = lineWidth;
      ctx.strokeRect(x, y, width, height);
    }
    ctx.lineWidth = 1;
  }

  /** The row and the column that are read; null if none is. */
  #cell() {
    const [cursor, content] = [this.#cursor, this.#content];
    if (cursor === null || content === null) return null;
    const row = content.rows.find(({ id }) => id === cursor.id);
    const column = content.columns[this.#lastOfPast() + cursor.steps];
    return row && column ? { row, column } : null;
  }

  #lastOfPast() {
    return (this.#content?.columns ?? []).filter(({ bin }) => bin !== null).length - 1;
  }

  /** @param {PointerEvent} event */
  #point({ clientX, clientY }) {
    if (this.#frame === null) return;
    const { left, top } = this.canvas.getBoundingClientRect();
    const found = this.#frame.at(clientX - left, clientY - top);
    this.#isByKey = false;
    this.#cursor = found && { id: this.#frame.rows[found.row].id, steps: found.column - this.#lastOfPast() };
    this.#draw();
    this.#read(false);
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    const content = this.#content;
    if (content === null || content.rows.length === 0 || content.columns.length === 0) return;
    if (event.key === "Escape") return this.#leave();
    const { rows, columns } = content;
    const cell = this.#cell();
    let row = cell ? rows.indexOf(cell.row) : 0;
    let column = cell ? columns.indexOf(cell.column) : Math.max(0, this.#lastOfPast());
    const move = MOVES[event.key];
    if (move && cell) [row, column] = [row + move[0], column + move[1]];
    else if (event.key === "Home") column = 0;
    else if (event.key === "End") column = columns.length - 1;
    else if (!move) return;
    event.preventDefault();
    row = Math.min(rows.length - 1, Math.max(0, row));
    column = Math.min(columns.length - 1, Math.max(0, column));
    this.#isByKey = true;
    this.#cursor = { id: rows[row].id, steps: column - this.#lastOfPast() };
    this.#draw();
    this.#read(true);
  }

  #leave() {
    this.#cursor = null;
    this.#isByKey = false;
    this.#draw();
    this.#read(false);
  }

  /** @param {boolean} isSpoken */
  #read(isSpoken) {
    const cell = this.#cell();
    const text = cell && this.#content ? this.#content.textOf(cell.row, cell.column) : HINT;
    setText(this.parts.readout, text);
    this.parts.readout.toggleAttribute("data-hint", text === HINT);
    if (isSpoken) setText(this.parts.readoutSpoken, text);
  }
}

/** @param {Column | undefined} column */
function isPast(column) {
  return column !== undefined && column.bin !== null;
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {Box} box
 * @param {Record<string, string>} colours
 */
function hatch(ctx, { x, y, width, height }, { hatchGround, hatchLine }) {
  ctx.save();
  ctx.beginPath();
  ctx.rect(x, y, width, height);
  ctx.clip();
  ctx.fillStyle = hatchGround;
  ctx.fillRect(x, y, width, height);
  ctx.strokeStyle = hatchLine;
  ctx.globalAlpha = 0.55;
  ctx.beginPath();
  for (let at = -height; at < width; at += HATCH_PX) {
    ctx.moveTo(x + at, y + height);
    ctx.lineTo(x + at + height, y);
  }
  ctx.stroke();
  ctx.restore();
}

/**
 * Return dark stripes, so that severe congestion differs from free flow without colours, too.
 *
 * @param {CanvasRenderingContext2D} ctx
 */
function stripesOf(ctx) {
  const tile = Object.assign(document.createElement("canvas"), { width: 6, height: 6 });
  const own = tile.getContext("2d");
  if (!own) return null;
  own.strokeStyle = "rgb(0 0 0 / 45%)";
  own.lineWidth = 1.5;
  own.beginPath();
  for (const from of [-6, 0, 6]) {
    own.moveTo(from, 0);
    own.lineTo(from + 6, 6);
  }
  own.stroke();
  return ctx.createPattern(tile, "repeat");
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {number} x
 * @param {number} from
 * @param {number} to
 */
function line(ctx, x, from, to) {
  ctx.beginPath();
  ctx.moveTo(x, from);
  ctx.lineTo(x, to);
  ctx.stroke();
}

/**
 * Return a text that is cut to a width.
 *
 * @param {CanvasRenderingContext2D} ctx
 * @param {string} text
 * @param {number} width
 */
function fitted(ctx, text, width) {
  if (ctx.measureText(text).width <= width) return text;
  let length = text.length;
  while (length > 0 && ctx.measureText(`${text.slice(0, length)}…`).width > width) length -= 1;
  return length > 0 ? `${text.slice(0, length)}…` : "";
}
