/**
 * The history that time travel shows: predictions in the order of their observation. Pure.
 *
 * @import { ChosenTime, Prediction } from "./types.d.ts"
 */
import { NOW } from "./forecasts.js";

const MAX_PREDICTIONS = 200_000;

export class Recording {
  /** @type {Prediction[]} */
  #predictions = [];
  /** @type {Map<string, Prediction[]>} */
  #bySegment = new Map();
  #isSorted = true;

  /**
   * Add predictions in any order. Above 200,000 the oldest are dropped.
   *
   * @param {Prediction[]} predictions
   */
  add(predictions) {
    this.#predictions.push(...predictions);
    this.#isSorted = false;
    if (this.#predictions.length > 2 * MAX_PREDICTIONS) this.#sort();
  }

  get size() {
    return this.#predictions.length;
  }

  /**
   * The first and the last time in epoch milliseconds; null if there are no predictions.
   *
   * @returns {[number, number] | null}
   */
  get range() {
    this.#sort();
    const [first, last] = [this.#predictions[0], this.#predictions.at(-1)];
    return first && last ? [first.timestamp, last.timestamp] : null;
  }

  /**
   * Return when the view is complete at first: once each segment that reports within one interval has reported. Null if
   * there are no predictions.
   *
   * @param {number} intervalMs
   */
  completeFrom(intervalMs) {
    const { range } = this;
    if (range === null) return null;
    const [first] = range;
    let complete = first;
    /** @type {Set<string>} */
    const seen = new Set();
    for (const { segment_id: id, timestamp } of this.#predictions) {
      if (timestamp - first > intervalMs) break;
      if (!seen.has(id)) complete = timestamp;
      seen.add(id);
    }
    return complete;
  }

  /**
   * Return the view at a time: the newest prediction of each segment and horizon.
   *
   * @param {number} timeMs
   */
  viewAt(timeMs) {
    this.#sort();
    /** @type {Map<string, Map<number | null | undefined, Prediction>>} */
    const view = new Map();
    for (const prediction of this.#predictions) {
      if (prediction.timestamp > timeMs) break;
      const { segment_id: id, horizon_minutes: horizon } = prediction;
      const known = view.get(id);
      if (known) known.set(horizon, prediction);
      else view.set(id, new Map([[horizon, prediction]]));
    }
    return [...view.values()].flatMap((known) => [...known.values()]);
  }

  /**
   * Return the last `count` speeds of a segment up to a time with their times, oldest first: those predicted for a horizon, or for "now"
   * the measured ones.
   *
   * @param {string} id
   * @param {number} timeMs
   * @param {ChosenTime | undefined} key
   * @param {number} count
   */
  trailAt(id, timeMs, key, count) {
    this.#sort();
    /** @type {Map<number, number>} */
    const found = new Map();
    const all = this.#bySegment.get(id) ?? [];
    for (let at = all.length - 1; at >= 0 && found.size < count; at -= 1) {
      const { timestamp, horizon_minutes: horizon = null, predicted_speed: predicted, current_speed: measured } = all[at];
      const speed = key === NOW ? measured : horizon === (key ?? null) ? predicted : null;
      if (timestamp <= timeMs && typeof speed === "number" && !found.has(timestamp)) found.set(timestamp, speed);
    }
    return [...found].reverse();
  }

  #sort() {
    if (this.#isSorted) return;
    this.#predictions.sort((one, other) => one.timestamp - other.timestamp);
    if (this.#predictions.length > MAX_PREDICTIONS) this.#predictions.splice(0, this.#predictions.length - MAX_PREDICTIONS);
    this.#bySegment.clear();
    for (const prediction of this.#predictions) {
      const known = this.#bySegment.get(prediction.segment_id);
      if (known) known.push(prediction);
      else this.#bySegment.set(prediction.segment_id, [prediction]);
    }
    this.#isSorted = true;
  }
}
