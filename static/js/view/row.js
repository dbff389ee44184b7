/** One row of the table. It is made once and restyled; only what differs is written. */
import { CATEGORIES } from "../store.js";
import { age, category as named, change, direction, label, share, sparkline, speed } from "./format.js";
import { fromTemplate, parts, setAttribute, setText } from "./elements.js";
import { SILENT } from "../freshness.js";

const QUIET_MS = 2_000;
const LIT_MS = 900;
const still = globalThis.matchMedia("(prefers-reduced-motion: reduce)");

export class Row {
  #prediction = null;
  #changedAt = 0;

  constructor(unit) {
    this.element = fromTemplate("row-template");
    this.parts = parts(this.element);
    this.unit = unit;
  }

  /** Take the row for another segment: what it showed before isn't a change worth a blink. */
  reset() {
    this.#prediction = null;
    this.#changedAt = performance.now();
  }

  /** Show a prediction at a place (from 1, the header's row included) with its age in seconds. */
  render(prediction, place, ageSeconds, freshness, trail) {
    setAttribute(this.element, "aria-rowindex", String(place));
    setAttribute(this.element, "data-freshness", freshness);
    const shownAge = freshness === SILENT ? `no data, ${age(ageSeconds)}` : age(ageSeconds);
    setText(this.parts.age, shownAge);
    setAttribute(this.element, "data-parity", String(place % 2));
    this.#renderCategory(prediction, freshness);
    if (prediction === this.#prediction) return;
    this.#renderValues(prediction);
    setAttribute(this.parts.spark, "points", sparkline(trail, this.unit));
    this.#blink(prediction);
    this.#prediction = prediction;
  }

  #renderCategory({ category }, freshness) {
    const known = CATEGORIES.includes(category) ? category : "not_current";
    const mark = freshness === SILENT ? "not_current" : known;
    setAttribute(this.element, "data-category", known);
    setAttribute(this.parts.mark, "href", `#shape-${mark}`);
    setText(this.parts.category, named(category, freshness));
  }

  #renderValues(prediction) {
    const { segment_id: id, road_name: road, current_speed: now, predicted_speed: predicted } = prediction;
    this.element.segment = id;
    setAttribute(this.element, "data-segment", label(id));
    this.#name(this.parts.segment, label(id));
    this.#name(this.parts.road, typeof road === "string" ? label(road) : "–");
    setText(this.parts.roadBelow, label(road ?? ""));
    this.#measured(this.parts.now, speed(now), now);
    setText(this.parts.predicted, speed(predicted));
    this.#renderChange(prediction.speed_diff);
    setAttribute(this.parts.bar, "width", String(100 * share(predicted, this.unit)));
    setAttribute(this.parts.tick, "x", String(100 * share(now, this.unit) - 0.75));
    setAttribute(this.element, "data-now", typeof now === "number" ? "known" : "unknown");
  }

  #renderChange(difference) {
    this.#measured(this.parts.change, change(difference), difference);
    setAttribute(this.element, "data-change", typeof difference === "number" ? "known" : "unknown");
    const way = direction(difference) ?? "same";
    setAttribute(this.parts.arrow, "href", `#arrow-${way}`);
    setAttribute(this.parts.arrow, "data-direction", way);
  }

  #name(element, text) {
    setText(element, text);
    setAttribute(element, "title", text);
  }

  #measured(element, text, value) {
    setText(element, text);
    setAttribute(element, "title", typeof value === "number" ? null : "not measured");
  }

  /** A new value lights up its cell for a moment, unless it comes so soon after another that it would always be lit. */
  #blink(prediction) {
    const before = this.#prediction;
    if (before === null || before.predicted_speed === prediction.predicted_speed) return;
    const now = performance.now();
    const isQuiet = now - this.#changedAt >= QUIET_MS;
    this.#changedAt = now;
    if (!isQuiet || still.matches) return;
    this.parts.predictedCell.animate([{ backgroundColor: "var(--blink)" }, { backgroundColor: "transparent" }], LIT_MS);
  }
}
