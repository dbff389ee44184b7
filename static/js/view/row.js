/**
 * A row of the table. Rows are reused; only differences are written.
 *
 * @import { Freshness, Prediction, SpeedUnit } from "../types.d.ts"
 */
import { CATEGORIES, NOT_CURRENT } from "../categories.js";
import { SILENT } from "../freshness.js";
import { fromTemplate, parts, setAttribute, setText } from "./elements.js";
import { age, category as categoryText, change, direction, label, NONE, share, sparkline, speed } from "./format.js";

const QUIET_MS = 2_000;
const LIT_MS = 900;
const reducedMotion = globalThis.matchMedia("(prefers-reduced-motion: reduce)");

export class Row {
  /** @type {Prediction | null} */
  #prediction = null;
  #changedAt = 0;

  /** @param {SpeedUnit} unit */
  constructor(unit) {
    this.element = fromTemplate("row-template");
    this.parts = parts(this.element);
    this.unit = unit;
  }

  /** The segment that the row shows. */
  get segment() {
    return this.#prediction?.segment_id ?? null;
  }

  /** Prepare the row for another segment, whose first value is not an update. */
  reset() {
    this.#prediction = null;
    this.#changedAt = performance.now();
  }

  /**
   * @param {Prediction} prediction
   * @param {object} given
   * @param {number} given.index aria-rowindex: from 1, the header's row included
   * @param {number} given.ageSeconds
   * @param {Freshness} given.freshness
   * @param {number[]} given.trail
   */
  render(prediction, { index, ageSeconds, freshness, trail }) {
    setAttribute(this.element, "aria-rowindex", String(index));
    setAttribute(this.element, "data-parity", String(index % 2));
    setAttribute(this.element, "data-freshness", freshness);
    setText(this.parts.age, freshness === SILENT ? `no data, ${age(ageSeconds)}` : age(ageSeconds));
    this.#renderCategory(prediction, freshness);
    if (prediction === this.#prediction) return;
    this.#renderValues(prediction);
    setAttribute(this.parts.spark, "points", sparkline(trail, this.unit));
    this.#highlight(prediction);
    this.#prediction = prediction;
  }

  /**
   * @param {Prediction} prediction
   * @param {Freshness} freshness
   */
  #renderCategory({ category }, freshness) {
    const known = category && CATEGORIES.includes(category) ? category : NOT_CURRENT;
    setAttribute(this.element, "data-category", known);
    setAttribute(this.parts.mark, "href", `#shape-${freshness === SILENT ? NOT_CURRENT : known}`);
    setText(this.parts.category, categoryText(category, freshness));
  }

  /** @param {Prediction} prediction */
  #renderValues({ segment_id: id, road_name: road, current_speed: now, predicted_speed: predicted, speed_diff: difference }) {
    setAttribute(this.element, "data-segment", label(id));
    setWithTitle(this.parts.segment, label(id));
    setWithTitle(this.parts.road, typeof road === "string" ? label(road) : NONE);
    setText(this.parts.roadBelow, label(road ?? ""));
    setMeasured(this.parts.now, speed(now), now);
    setText(this.parts.predicted, speed(predicted));
    this.#renderChange(difference);
    setAttribute(this.parts.bar, "width", String(100 * share(predicted, this.unit)));
    setAttribute(this.parts.tick, "x", String(100 * share(now, this.unit) - 0.75));
    setAttribute(this.element, "data-now", typeof now === "number" ? "known" : "unknown");
  }

  /** @param {number | null | undefined} difference */
  #renderChange(difference) {
    setMeasured(this.parts.change, change(difference), difference);
    setAttribute(this.element, "data-change", typeof difference === "number" ? "known" : "unknown");
    const way = direction(difference) ?? "same";
    setAttribute(this.parts.arrow, "href", `#arrow-${way}`);
    setAttribute(this.parts.arrow, "data-direction", way);
  }

  /**
   * Highlight a new value for a moment, unless it follows another one so soon that the cell would always be lit.
   *
   * @param {Prediction} prediction
   */
  #highlight(prediction) {
    const before = this.#prediction;
    if (before === null || before.predicted_speed === prediction.predicted_speed) return;
    const now = performance.now();
    const isQuiet = now - this.#changedAt >= QUIET_MS;
    this.#changedAt = now;
    if (!isQuiet || reducedMotion.matches) return;
    this.parts.predictedCell.animate([{ backgroundColor: "var(--blink)" }, { backgroundColor: "transparent" }], LIT_MS);
  }
}

/**
 * @param {Element} element
 * @param {string} text
 */
function setWithTitle(element, text) {
  setText(element, text);
  setAttribute(element, "title", text);
}

/**
 * @param {Element} element
 * @param {string} text
 * @param {unknown} value
 */
function setMeasured(element, text, value) {
  setText(element, text);
  setAttribute(element, "title", typeof value === "number" ? null : "not measured");
}
