/**
 * The travel times of a road, and the table of its segments with what is measured, predicted and usual.
 *
 * @import { Row } from "../road-rows.js"
 * @import { SpeedScale } from "../speeds.js"
 * @import { TravelTime } from "../travel-time.js"
 * @import { Parts } from "../types.d.ts"
 * @typedef {{ name: string, time: TravelTime, note: string }} Figure
 * @typedef {{ title: string, speedOf: (row: Row) => number | null }} SpeedColumn
 * @typedef {{ element: HTMLTableRowElement, parts: Parts, cells: HTMLTableCellElement[] }} Item
 */
import { t } from "../texts.js";
import { fromTemplate, parts, setAttribute, setText, shape } from "./elements.js";
import { label, LABELS, NONE, wholeSpeed } from "./format.js";
import { minutesText } from "./road-wording.js";

export class RoadFiguresView {
  /** @type {Map<string, Item>} by segment */
  #items = new Map();
  #titles = "";

  /**
   * @param {ParentNode} root
   * @param {{ scale: SpeedScale, unit: string, linkOf: (id: string) => string }} options
   */
  constructor(root, { scale, unit, linkOf }) {
    this.parts = parts(root);
    this.scale = scale;
    this.unit = unit;
    this.linkOf = linkOf;
  }

  /** @param {Figure[]} figures */
  renderTimes(figures) {
    const { times } = this.parts;
    while (times.children.length > figures.length) times.lastElementChild?.remove();
    while (times.children.length < figures.length) times.append(fromTemplate("time-template"));
    for (const [index, { name, time, note }] of figures.entries()) {
      const own = parts(/** @type {HTMLElement} */ (times.children[index]));
      setText(own.timeName, name);
      setText(own.timeValue, time.minutes === null ? NONE : minutesText(time.minutes));
      setText(own.timeNote, note);
    }
  }

  /**
   * @param {Row[]} rows
   * @param {SpeedColumn[]} columns
   * @param {{ nameOf: (row: Row) => string, distanceOf: (row: Row) => string, distanceTitle: string }} texts
   */
  renderTable(rows, columns, { nameOf, distanceOf, distanceTitle }) {
    this.#renderHead(columns.map(({ title }) => title), distanceTitle);
    const body = this.parts.segments;
    const present = new Set(rows.map(({ id }) => id));
    for (const [id, { element }] of this.#items) {
      if (present.has(id)) continue;
      element.remove();
      this.#items.delete(id);
    }
    for (const [index, row] of rows.entries()) {
      const item = this.#items.get(row.id) ?? this.#make(row.id, columns.length);
      if (body.children[index] !== item.element) body.insertBefore(item.element, body.children[index] ?? null);
      setText(item.parts.place, nameOf(row));
      setText(item.parts.segmentName, label(row.id));
      setText(item.parts.distance, distanceOf(row));
      for (const [at, { speedOf }] of columns.entries()) this.#renderSpeed(item.cells[at], speedOf(row));
    }
  }

  /**
   * @param {string[]} titles
   * @param {string} distanceTitle
   */
  #renderHead(titles, distanceTitle) {
    const all = [distanceTitle, ...titles.map((title) => `${title} ${this.unit}`)];
    if (all.join("\n") === this.#titles) return;
    const isOther = this.#titles.split("\n").length !== all.length;
    this.#titles = all.join("\n");
    const cells = [t("segment"), ...all].map((title) => Object.assign(document.createElement("th"), { scope: "col", textContent: title }));
    this.parts.segmentsHead.replaceChildren(...cells);
    if (!isOther) return;
    for (const { element } of this.#items.values()) element.remove();
    this.#items.clear();
  }

  /**
   * @param {string} id
   * @param {number} count of speeds
   * @returns {Item}
   */
  #make(id, count) {
    const element = /** @type {HTMLTableRowElement} */ (fromTemplate("segment-template"));
    const own = parts(element);
    setAttribute(own.place, "href", this.linkOf(id));
    setAttribute(element, "data-segment", label(id));
    const cells = Array.from({ length: count }, () => {
      const cell = document.createElement("td");
      cell.append(document.createElement("span"));
      return cell;
    });
    element.append(...cells);
    const item = { element, parts: own, cells };
    this.#items.set(id, item);
    return item;
  }

  /**
   * @param {HTMLTableCellElement} cell
   * @param {number | null} speed
   */
  #renderSpeed(cell, speed) {
    const category = this.scale.category(speed);
    if (cell.dataset.category !== (category ?? "")) {
      cell.dataset.category = category ?? "";
      if (category === null) cell.querySelector("svg")?.remove();
      else if (cell.firstElementChild?.tagName === "svg") cell.firstElementChild.replaceWith(shape(category));
      else cell.prepend(shape(category));
      setAttribute(cell, "title", category && LABELS[category]);
    }
    const text = cell.lastElementChild;
    if (text) setText(text, speed === null ? NONE : wholeSpeed(speed));
  }
}
