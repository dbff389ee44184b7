/**
 * A row of the table. Rows are reused; only differences are written.
 *
 * @import { Freshness, Shown, SpeedUnit, VersusUsual } from "../types.d.ts"
 */
import { CATEGORIES, NOT_CURRENT } from "../categories.js";
import { SILENT } from "../freshness.js";
import { targetOf } from "../prediction.js";
import { t } from "../texts.js";
import { fromTemplate, parts, setAttribute, setName, setText } from "./elements.js";
import { age, category as categoryText, change, clock, COURSES, direction, exactly, isUnsure, label, NONE, percent, share, sparkline, speed, usualText } from "./format.js";

const QUIET_MS = 2_000;
const LIT_MS = 900;
const reducedMotion = globalThis.matchMedia("(prefers-reduced-motion: reduce)");

export class Row {
  /** @type {Shown | null} */
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
   * @param {Shown} prediction
   * @param {object} given
   * @param {number} given.index aria-rowindex: from 1, the header's row included
   * @param {number} given.ageSeconds
   * @param {Freshness} given.freshness
   * @param {number[]} given.trail
   * @param {string | null | undefined} given.category at the chosen time
   * @param {string | null} given.categoryNow
   * @param {string | null} given.course
   * @param {VersusUsual | null} given.usual
   */
  render(prediction, { index, ageSeconds, freshness, trail, category, categoryNow, course, usual }) {
    setAttribute(this.element, "aria-rowindex", String(index));
    setAttribute(this.element, "data-parity", String(index % 2));
    setAttribute(this.element, "data-freshness", freshness);
    setText(this.parts.age, freshness === SILENT ? `${t("freshness.silent")}, ${age(ageSeconds)}` : age(ageSeconds));
    this.#renderCategory(category, freshness);
    this.#renderCourse(freshness === SILENT ? null : course);
    setText(this.parts.usual, usual ? change(usual.difference) : "");
    setAttribute(this.parts.usual, "title", usual ? usualText(usual) : null);
    setAttribute(this.parts.now, "data-category", categoryNow);
    setAttribute(this.parts.spark, "points", sparkline(trail, this.unit));
    if (prediction === this.#prediction) return;
    this.#renderValues(prediction);
    this.#highlight(prediction);
    this.#prediction = prediction;
  }

  /**
   * @param {string | null | undefined} category
   * @param {Freshness} freshness
   */
  #renderCategory(category, freshness) {
    const known = category && CATEGORIES.includes(category) ? category : NOT_CURRENT;
    setAttribute(this.element, "data-category", known);
    setAttribute(this.parts.mark, "href", `#shape-${freshness === SILENT ? NOT_CURRENT : known}`);
    setText(this.parts.category, categoryText(category, freshness));
  }

  /** @param {string | null} course */
  #renderCourse(course) {
    setAttribute(this.parts.course, "href", course === null ? null : `#course-${course}`);
    setAttribute(this.parts.courseMark, "role", course === null ? null : "img");
    setAttribute(this.parts.courseMark, "aria-label", course === null ? null : COURSES[course]);
    setAttribute(this.parts.courseMark, "aria-hidden", course === null ? "true" : null);
    setAttribute(this.parts.courseMark, "data-course", course);
  }

  /** @param {Shown} prediction */
  #renderValues(prediction) {
    const { segment_id: id, road_name: road, current_speed: now, predicted_speed: predicted, speed_diff: difference } = prediction;
    setAttribute(this.element, "data-segment", label(id));
    setWithTitle(this.parts.segment, label(id));
    setWithTitle(this.parts.road, typeof road === "string" ? label(road) : NONE);
    setName(this.parts.roadBelow, label(road ?? ""));
    setMeasured(this.parts.now, speed(now), now);
    setText(this.parts.predicted, speed(predicted));
    this.#renderUnsure(prediction.confidence);
    this.#renderTarget(predicted === null ? null : targetOf(prediction));
    this.#renderChange(difference);
    setAttribute(this.parts.bar, "width", String(100 * share(predicted, this.unit)));
    setAttribute(this.parts.tick, "x", String(100 * share(now, this.unit) - 0.75));
    setAttribute(this.element, "data-now", typeof now === "number" ? "known" : "unknown");
  }

  /** @param {number | null | undefined} confidence */
  #renderUnsure(confidence) {
    const isKnown = typeof confidence === "number" && isUnsure(confidence);
    setAttribute(this.element, "data-unsure", isKnown ? "" : null);
    setAttribute(this.parts.unsure, "title", isKnown ? t("row.low", { percent: percent(confidence) }) : null);
    this.parts.unsure.hidden = !isKnown;
  }

  /** @param {number | null} target */
  #renderTarget(target) {
    setText(this.parts.target, target === null ? "" : clock(target));
    setAttribute(this.parts.target, "title", target === null ? null : t("row.target", { time: exactly(target) }));
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
   * @param {Shown} prediction
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
  setName(element, text);
  setAttribute(element, "title", text);
}

/**
 * @param {Element} element
 * @param {string} text
 * @param {unknown} value
 */
function setMeasured(element, text, value) {
  setText(element, text);
  setAttribute(element, "title", typeof value === "number" ? null : t("not_measured"));
}
