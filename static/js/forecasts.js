/**
 * The newest prediction of each segment and horizon, its newest observation, and what a segment shows of them for the
 * chosen time. Pure.
 *
 * The time is a horizon in minutes, or "now". Without a choice, and for now, a segment shows its smallest horizon (none
 * stated counts as the smallest), unless that is more than `maxAgeMs` older than a larger one.
 *
 * @import { ChosenTime, Observation, Prediction, Shown } from "./types.d.ts"
 */
import { isOlder, isSameRecord, targetOf } from "./prediction.js";

export const NOW = "now";
/** As many as the server keeps of a segment. */
const MAX_HORIZONS = 24;

export class Forecasts {
  /** @type {Map<string, Map<number | null, Prediction>>} */
  #bySegment = new Map();
  /** @type {Map<number | null, number>} segments by horizon */
  #counts = new Map();
  /** @type {Map<string, Observation>} */
  #observed = new Map();

  /** @param {{ maxAgeMs: number }} options */
  constructor({ maxAgeMs }) {
    this.maxAgeMs = maxAgeMs;
  }

  /**
   * Take in a prediction. Tell whether it is the newest of its segment and horizon.
   *
   * @param {Prediction} prediction
   */
  put(prediction) {
    const { segment_id: id, horizon_minutes: horizon = null } = prediction;
    const known = this.#bySegment.get(id) ?? new Map();
    if (isOlder(prediction, known.get(horizon))) return false;
    if (!known.has(horizon)) {
      if (known.size >= MAX_HORIZONS) return false;
      this.#counts.set(horizon, (this.#counts.get(horizon) ?? 0) + 1);
    }
    known.set(horizon, prediction);
    this.#bySegment.set(id, known);
    return true;
  }

  /**
   * Take in a measured speed that came without a prediction. Tell whether it is the newest of its segment.
   *
   * @param {Observation} observation
   */
  observe(observation) {
    const known = this.#observed.get(observation.segment_id);
    if (observation.late || (known && known.timestamp > observation.timestamp)) return false;
    this.#observed.set(observation.segment_id, observation);
    return true;
  }

  /** @param {string} id */
  removeObservation(id) {
    this.#observed.delete(id);
  }

  /**
   * Return the newest observation of a segment.
   *
   * @param {string} id
   */
  observationOf(id) {
    return this.#observed.get(id);
  }

  /** All observations, one of each segment. */
  get observations() {
    return [...this.#observed.values()];
  }

  /**
   * Return the known object of a record, so that it isn't taken for an update.
   *
   * @param {Prediction} prediction
   */
  known(prediction) {
    const known = this.#bySegment.get(prediction.segment_id)?.get(prediction.horizon_minutes ?? null);
    return known && isSameRecord(known, prediction) ? known : null;
  }

  /**
   * Remove one horizon of a segment; all for null.
   *
   * @param {string} id
   * @param {number | null} horizon
   */
  remove(id, horizon = null) {
    const known = this.#bySegment.get(id);
    if (!known) return;
    for (const each of horizon === null ? [...known.keys()] : [horizon]) {
      if (known.delete(each)) this.#discount(each);
    }
    if (known.size === 0) this.#bySegment.delete(id);
  }

  /** The horizons that segments have, in rising order; null for none stated. */
  get horizons() {
    return [...this.#counts.keys()].sort((one, other) => (one ?? -Infinity) - (other ?? -Infinity));
  }

  /** Whether there are measured speeds, but no predictions. */
  get isMeasuredOnly() {
    return this.#bySegment.size === 0 && this.#observed.size > 0;
  }

  /** @returns {Generator<Prediction>} all predictions */
  *all() {
    for (const known of this.#bySegment.values()) yield* known.values();
  }

  /**
   * Return the predictions of a segment.
   *
   * @param {string} id
   * @returns {Prediction[]}
   */
  of(id) {
    return [...(this.#bySegment.get(id)?.values() ?? [])];
  }

  /**
   * Return what a segment shows for a time; null if nothing is known of it. If it has no prediction for that time, what
   * was measured is left.
   *
   * @param {string} id
   * @param {ChosenTime} time
   * @returns {Shown | null}
   */
  shown(id, time) {
    const known = this.#bySegment.get(id);
    const observed = this.#observed.get(id);
    if (!known) return observed ? { ...observed, category: null, predicted_speed: null } : null;
    const nearest = this.#nearest(known);
    const found = typeof time === "number" ? (known.get(time) ?? measuredOnly(nearest)) : nearest;
    return observed && observed.timestamp > found.timestamp ? withMeasured(found, observed, time) : found;
  }

  /** @param {Map<number | null, Prediction>} known */
  #nearest(known) {
    const rising = [...known.values()];
    if (rising.length > 1) rising.sort((one, other) => (one.horizon_minutes ?? -Infinity) - (other.horizon_minutes ?? -Infinity));
    return rising.reduce((shown, each) => (each.timestamp - shown.timestamp > this.maxAgeMs ? each : shown));
  }

  /** @param {number | null} horizon */
  #discount(horizon) {
    const count = (this.#counts.get(horizon) ?? 0) - 1;
    if (count > 0) this.#counts.set(horizon, count);
    else this.#counts.delete(horizon);
  }
}

/**
 * @param {Prediction} prediction
 * @returns {Shown}
 */
function measuredOnly({ segment_id, timestamp, current_speed, current_volume, road_name, source, coordinates }) {
  return { segment_id, timestamp, current_speed, current_volume, road_name, source, coordinates, predicted_speed: null };
}

/**
 * Return a prediction with a newer measured speed. Its age stays that of the prediction, unless the page shows now.
 *
 * @param {Shown} shown
 * @param {Observation} observed
 * @param {ChosenTime} time
 * @returns {Shown}
 */
function withMeasured(shown, { current_speed, current_volume, timestamp }, time) {
  const { predicted_speed: predicted } = shown;
  const speed_diff = predicted === null ? null : predicted - current_speed;
  const measured = { ...shown, current_speed, current_volume, speed_diff };
  if (time !== NOW && predicted !== null) return measured;
  const target = targetOf(shown);
  return { ...measured, timestamp, target_time: target === null ? null : new Date(target).toISOString() };
}
