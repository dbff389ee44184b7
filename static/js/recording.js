/**
 * The history that time travel shows: predictions in the order of their observation. Pure.
 *
 * @import { Prediction } from "./types.d.ts"
 */

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
   * Return the view at a time: the newest prediction of each segment, of its smallest horizon.
   *
   * @param {number} timeMs
   */
  viewAt(timeMs) {
    this.#sort();
    /** @type {Map<string, Prediction>} */
    const view = new Map();
    for (const prediction of this.#predictions) {
      if (prediction.timestamp > timeMs) break;
      const { segment_id: id } = prediction;
      const before = view.get(id);
      if (before === undefined || replaces(prediction, before)) view.set(id, prediction);
    }
    return [...view.values()];
  }

  /**
   * Return the last `count` predicted speeds of a segment and horizon up to a time, oldest first.
   *
   * @param {string} id
   * @param {number} timeMs
   * @param {number | null | undefined} horizon
   * @param {number} count
   */
  trailAt(id, timeMs, horizon, count) {
    this.#sort();
    const found = [];
    const all = this.#bySegment.get(id) ?? [];
    for (let at = all.length - 1; at >= 0 && found.length < count; at -= 1) {
      const { timestamp, horizon_minutes: other, predicted_speed: speed } = all[at];
      if (timestamp <= timeMs && other === horizon) found.push(speed);
    }
    return found.reverse();
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

/**
 * A segment shows its smallest horizon (none stated counts as the smallest), and of one horizon the newest.
 *
 * @param {Prediction} prediction
 * @param {Prediction} shown
 */
function replaces({ horizon_minutes: horizon }, { horizon_minutes: other }) {
  return (horizon ?? -Infinity) <= (other ?? -Infinity);
}
