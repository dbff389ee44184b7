/**
 * Draws a picture of the map or the chart: its canvases as they are, a title and lines above, and a legend below.
 *
 * Images of other hosts are left out: a canvas that has one can't be saved.
 *
 * @typedef {{ mark: Mark | null, text: string }} LegendItem
 * @typedef {{ shape: string, fill: string, stroke: string }} Mark
 * @typedef {{ title: string, lines: string[], legend: LegendItem[] }} Words
 */
import { themeColour } from "./colours.js";

const MARGIN = 16;
const LINE = 20;
const TITLE = 28;
const MARK_SIZE = 14;
const FONT = "system-ui, sans-serif";

/**
 * Return a picture of an element at the resolution of the screen.
 *
 * @param {HTMLElement} element
 * @param {Words} words
 */
export function pictureOf(element, { title, lines, legend }) {
  const colour = themeColour();
  const ratio = Math.max(1, globalThis.devicePixelRatio);
  const { width, height } = element.getBoundingClientRect();
  const picture = document.createElement("canvas");
  const context = /** @type {CanvasRenderingContext2D} */ (picture.getContext("2d"));
  context.font = `13px ${FONT}`;
  const wrapped = lines.flatMap((line) => wrap(context, line, width));
  const rows = legendRows(context, legend, width);
  const top = MARGIN + TITLE + LINE * wrapped.length + MARGIN / 2;
  picture.width = Math.round((width + 2 * MARGIN) * ratio);
  picture.height = Math.round((top + height + LINE * rows.length + 1.5 * MARGIN) * ratio);
  context.scale(ratio, ratio); // a new size resets the font, too
  context.fillStyle = colour("card");
  context.fillRect(0, 0, picture.width, picture.height);
  context.textBaseline = "middle";
  context.fillStyle = colour("ink");
  context.font = `600 17px ${FONT}`;
  context.fillText(title, MARGIN, MARGIN + TITLE / 2 - 4, width);
  context.font = `13px ${FONT}`;
  for (const [index, line] of wrapped.entries()) context.fillText(line, MARGIN, MARGIN + TITLE + LINE * (index + 0.5), width);
  drawElement(context, element, { left: MARGIN, top });
  for (const [index, row] of rows.entries()) drawLegend(context, row, top + height + MARGIN / 2 + LINE * (index + 0.5), colour("ink"));
  return picture;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {HTMLElement} element
 * @param {{ left: number, top: number }} at
 */
function drawElement(context, element, at) {
  const frame = element.getBoundingClientRect();
  context.save();
  context.beginPath();
  context.rect(at.left, at.top, frame.width, frame.height);
  context.clip();
  context.fillStyle = getComputedStyle(element).backgroundColor;
  context.fillRect(at.left, at.top, frame.width, frame.height);
  for (const each of layersOf(element)) {
    const { left, top, width, height } = each.getBoundingClientRect();
    if (width > 0) context.drawImage(each, at.left + left - frame.left, at.top + top - frame.top, width, height);
  }
  context.restore();
}

/**
 * Return the canvases and own images of an element, the lowest first.
 *
 * @param {HTMLElement} element
 */
function layersOf(element) {
  /** @type {NodeListOf<HTMLCanvasElement | HTMLImageElement>} */
  const found = element.querySelectorAll("canvas, img.leaflet-tile");
  const isOwn = (/** @type {Element} */ each) => !(each instanceof HTMLImageElement) || new URL(each.src, location.href).origin === location.origin;
  const level = (/** @type {Element} */ each) => Number(getComputedStyle(each.closest(".leaflet-pane[class*=-pane]") ?? each).zIndex) || 0;
  return [...found].filter(isOwn).sort((one, other) => level(one) - level(other));
}

/**
 * Draw one row of a legend.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {{ item: LegendItem, left: number }[]} row
 * @param {number} middle
 * @param {string} ink
 */
function drawLegend(context, row, middle, ink) {
  for (const { item: { mark, text }, left } of row) {
    if (mark !== null) drawMark(context, mark, MARGIN + left, middle - MARK_SIZE / 2);
    context.fillStyle = ink;
    context.fillText(text, MARGIN + left + (mark === null ? 0 : MARK_SIZE + 6), middle);
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Mark} mark
 * @param {number} left
 * @param {number} top
 */
function drawMark(context, { shape, fill, stroke }, left, top) {
  context.save();
  context.translate(left, top);
  context.scale(MARK_SIZE / 16, MARK_SIZE / 16);
  context.fillStyle = fill;
  context.strokeStyle = stroke;
  context.lineWidth = 1.5;
  const path = pathOf(shape);
  context.fill(path);
  context.stroke(path);
  context.restore();
}

/**
 * Return a shape of the page's sprite as a path, in a box of 16 by 16.
 *
 * @param {string} name
 */
function pathOf(name) {
  const drawn = document.querySelector(`#shape-${name} > *`);
  const path = new Path2D(drawn?.getAttribute("d") ?? undefined);
  const number = (/** @type {string} */ attribute) => Number(drawn?.getAttribute(attribute));
  if (drawn?.tagName === "circle") path.arc(number("cx"), number("cy"), number("r"), 0, 2 * Math.PI);
  if (drawn?.tagName === "rect") path.rect(number("x"), number("y"), number("width"), number("height"));
  return path;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {LegendItem[]} legend
 * @param {number} width
 */
function legendRows(context, legend, width) {
  /** @type {{ item: LegendItem, left: number }[][]} */
  const rows = [];
  let left = Infinity;
  for (const item of legend) {
    const size = (item.mark === null ? 0 : MARK_SIZE + 6) + context.measureText(item.text).width + 18;
    if (left + size > width) {
      rows.push([]);
      left = 0;
    }
    rows[rows.length - 1].push({ item, left });
    left += size;
  }
  return rows;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {string} text
 * @param {number} width
 */
function wrap(context, text, width) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = `${lines[lines.length - 1]} ${word}`.trim();
    if (lines[lines.length - 1] === "" || context.measureText(longer).width <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines.filter(Boolean);
}
