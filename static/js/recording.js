/**
 * The history that time travel shows: predictions by segment and horizon, in the order of their observation. Pure.
 *
 * Above 200,000 predictions it keeps the last one of each step of time, and doubles the step as often as needed. So it
 * is bounded, and reaches back to its first moment.
 *
 * @import { SpeedScale } from "./speeds.js"
 * @import { ChosenTime, Prediction } from "./types.d.ts"
 * @typedef {{ severe: number, heavy: number, known: number }} Severity segments of a part of the range
 */
import { SEVERE } from "./categories.js";
import { NOW } from "./forecasts.js";
import { isJam } from "./speeds.js";

export const MAX_PREDICTIONS = 200_000;
const FIRST_STEP_MS = 60_000;

export class Recording {
  /** @type {Map<string, Map<number | null, Prediction[]>>} */
  #bySegment = new Map();
  #size = 0;
  /** how many segments and horizons there are */
  #count = 0;
  #stepMs = 0;

  /** @param {number} [most] predictions that are kept */
  constructor(most = MAX_PREDICTIONS) {
    this.most = most;
  }

  /**
   * Add predictions in any order. Those of further segments are left out when there are too many.
   *
   * @param {Prediction[]} predictions
   */
  add(predictions) {
    for (const each of predictions) {
      const series = this.#seriesOf(each);
      if (series === null) continue;
      insert(series, each);
      this.#size += 1;
    }
    if (this.#size > this.most) this.#thin();
  }

  get size() {
    return this.#size;
  }

  /** The time between two predictions of a segment and horizon at least; 0 while all are kept. */
  get stepMs() {
    return this.#stepMs;
  }

  /**
   * The first and the last time in epoch milliseconds; null if there are no predictions.
   *
   * @returns {[number, number] | null}
   */
  get range() {
    let [first, last] = [Infinity, -Infinity];
    for (const series of this.#series()) {
      first = Math.min(first, series[0].timestamp);
      last = Math.max(last, series[series.length - 1].timestamp);
    }
    return first <= last ? [first, last] : null;
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
    let complete = range[0];
    for (const known of this.#bySegment.values()) {
      const begin = Math.min(...[...known.values()].map(([first]) => first.timestamp));
      if (begin - range[0] <= Math.max(intervalMs, this.#stepMs)) complete = Math.max(complete, begin);
    }
    return complete;
  }

  /**
   * Return the view at a time: the newest prediction of each segment and horizon.
   *
   * @param {number} timeMs
   */
  viewAt(timeMs) {
    const view = [];
    for (const series of this.#series()) {
      const at = countUntil(series, timeMs) - 1;
      if (at >= 0) view.push(series[at]);
    }
    return view;
  }

  /**
   * Return the last `count` speeds of a segment up to a time with their times, oldest first: those predicted for a horizon, or for "now"
   * the measured ones.
   *
   * @param {string} id
   * @param {number} timeMs
   * @param {ChosenTime | undefined} key
   * @param {number} count
   * @returns {[number, number][]}
   */
  trailAt(id, timeMs, key, count) {
    /** @type {Map<number, number>} */
    const found = new Map();
    for (const [horizon, series] of this.#bySegment.get(id) ?? []) {
      if (key !== NOW && horizon !== (key ?? null)) continue;
      const until = countUntil(series, timeMs);
      for (const { timestamp, current_speed: measured, predicted_speed: predicted } of series.slice(Math.max(0, until - count), until)) {
        const speed = key === NOW ? measured : predicted;
        if (typeof speed === "number") found.set(timestamp, speed);
      }
    }
    return [...found].sort(([one], [other]) => one - other).slice(-count);
  }

  /**
   * Return how many segments were severe and heavy in each of `count` parts of a range: by the measured speed, or else by
   * the predicted one of the smallest horizon.
   *
   * @param {[number, number]} range
   * @param {number} count
   * @param {SpeedScale} scale
   * @returns {Severity[]}
   */
  severity([first, last], count, scale) {
    const parts = Array.from({ length: count }, () => ({ severe: 0, heavy: 0, known: 0 }));
    for (const known of this.#bySegment.values()) {
      const smallest = Math.min(...[...known.keys()].map((horizon) => horizon ?? -Infinity));
      const series = known.get(Number.isFinite(smallest) ? smallest : null) ?? [];
      const until = countUntil(series, last);
      let before = -1;
      for (let at = until - 1; at >= 0 && series[at].timestamp >= first; at -= 1) {
        const { timestamp, current_speed: measured, predicted_speed: predicted } = series[at];
        const part = Math.min(count - 1, Math.floor((count * (timestamp - first)) / Math.max(1, last - first)));
        if (part === before) continue; // the last one of each part counts
        before = part;
        const category = scale.category(measured ?? predicted);
        parts[part].known += 1;
        if (category === SEVERE) parts[part].severe += 1;
        else if (isJam(category)) parts[part].heavy += 1;
      }
    }
    return parts;
  }

  *#series() {
    for (const known of this.#bySegment.values()) yield* known.values();
  }

  /**
   * @param {Prediction} prediction
   * @returns {Prediction[] | null}
   */
  #seriesOf({ segment_id: id, horizon_minutes: horizon = null }) {
    const known = this.#bySegment.get(id) ?? new Map();
    const series = known.get(horizon);
    if (series) return series;
    if (2 * this.#count >= this.most) return null;
    this.#count += 1;
    /** @type {Prediction[]} */
    const added = [];
    this.#bySegment.set(id, known.set(horizon, added));
    return added;
  }

  #thin() {
    this.#keepLastOfEachStep();
    while (this.#size > 0.75 * this.most) {
      this.#stepMs = Math.max(FIRST_STEP_MS, 2 * this.#stepMs);
      this.#keepLastOfEachStep();
    }
  }

  #keepLastOfEachStep() {
    if (this.#stepMs === 0) return;
    this.#size = 0;
    for (const series of this.#series()) {
      keepLastOfEach(series, this.#stepMs);
      this.#size += series.length;
    }
  }
}

/**
 * Insert a prediction behind those that are not newer.
 *
 * @param {Prediction[]} series in the order of time
 * @param {Prediction} prediction
 */
function insert(series, prediction) {
  const last = series.at(-1);
  if (!last || last.timestamp <= prediction.timestamp) series.push(prediction);
  else series.splice(countUntil(series, prediction.timestamp), 0, prediction);
}

/**
 * Return how many predictions are not newer than a time.
 *
 * @param {Prediction[]} series in the order of time
 * @param {number} timeMs
 */
function countUntil(series, timeMs) {
  let [low, high] = [0, series.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (series[middle].timestamp <= timeMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Keep the last prediction of each step of time. It works in place, so that 200,000 take one short task.
 *
 * @param {Prediction[]} series in the order of time
 * @param {number} stepMs
 */
function keepLastOfEach(series, stepMs) {
  let [kept, before] = [0, NaN];
  for (const each of series) {
    const step = Math.floor(each.timestamp / stepMs);
    if (step !== before) kept += 1;
    series[kept - 1] = each;
    before = step;
  }
  series.length = kept;
}
