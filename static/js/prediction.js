/**
 * Reads predictions. Every value is checked here, so that no other module has to check types. Pure.
 *
 * @import { Observation, Prediction } from "./types.d.ts"
 */

/** @param {unknown} value */
const isText = (value) => typeof value === "string";
/** @param {any} value */
const isPlace = (value) => Number.isFinite(value?.latitude) && Number.isFinite(value?.longitude);

const OPTIONAL = Object.entries({
  prediction_time: isText,
  target_time: isText,
  horizon_minutes: Number.isFinite,
  current_speed: Number.isFinite,
  speed_diff: Number.isFinite,
  current_volume: Number.isFinite,
  confidence: Number.isFinite,
  lower: Number.isFinite,
  upper: Number.isFinite,
  category: isText,
  producer_category: isText,
  road_name: isText,
  model: isText,
  source: isText,
  coordinates: isPlace,
});

const MINUTE_MS = 60_000;
/** The last time of a Date. */
const MAX_TIME_MS = 8.64e15;

/**
 * Return `value` as a prediction, or null if it lacks a segment, a time or a predicted speed. Any other field of the
 * wrong type becomes null.
 *
 * @param {any} value
 * @returns {Prediction | null}
 */
export function readPrediction(value) {
  if (!isText(value?.segment_id)) return null;
  if (!Number.isFinite(value.timestamp) || !Number.isFinite(value.predicted_speed)) return null;
  return readOptional(value);
}

/**
 * Return `value` as an observation, or null if it lacks a segment, a time or a measured speed.
 *
 * @param {any} value
 * @returns {Observation | null}
 */
export function readObservation(value) {
  if (!isText(value?.segment_id) || !Number.isFinite(value.timestamp) || !Number.isFinite(value.current_speed)) return null;
  return readOptional(value);
}

/** @param {any} value */
function readOptional(value) {
  for (const [field, isValid] of OPTIONAL) {
    const given = value[field];
    if (given !== undefined && given !== null && !isValid(given)) value[field] = null;
  }
  return value;
}

/**
 * Return the time that a prediction is for, in epoch milliseconds; null if it states neither a time nor a horizon.
 *
 * @param {Pick<Prediction, "timestamp" | "horizon_minutes" | "target_time">} prediction
 */
export function targetOf({ timestamp, horizon_minutes: horizon, target_time: stated }) {
  const target = Date.parse(stated ?? "");
  if (!Number.isNaN(target)) return target;
  const ahead = typeof horizon === "number" ? timestamp + horizon * MINUTE_MS : NaN;
  return Math.abs(ahead) <= MAX_TIME_MS ? ahead : null;
}

/**
 * Tell whether a prediction has a larger horizon than the one its segment shows, so that it doesn't replace that one.
 * No stated horizon counts as the smallest. A shown prediction that is more than `maxAgeMs` older is always replaced.
 *
 * @param {Prediction} prediction
 * @param {Pick<Prediction, "timestamp" | "horizon_minutes">} shown
 * @param {number} maxAgeMs
 */
export function isOfLargerHorizon({ timestamp, horizon_minutes: horizon }, shown, maxAgeMs) {
  return (horizon ?? -Infinity) > (shown.horizon_minutes ?? -Infinity) && timestamp - shown.timestamp <= maxAgeMs;
}

/**
 * Tell whether a prediction is older than the known one of its segment and horizon. Servers read partitions in different
 * orders, so this happens after a change of server.
 *
 * @param {Prediction} prediction
 * @param {Prediction | undefined} known
 */
export function isOlder(prediction, known) {
  if (!known) return false;
  if (known.timestamp !== prediction.timestamp) return known.timestamp > prediction.timestamp;
  const [before, after] = [known.prediction_time, prediction.prediction_time];
  return Boolean(before && after && before > after);
}

/**
 * Tell whether two predictions of a segment are the same record, received twice.
 *
 * @param {Prediction} one
 * @param {Prediction | undefined} other
 */
export function isSameRecord(one, other) {
  return (
    other !== undefined &&
    one.timestamp === other.timestamp &&
    one.prediction_time === other.prediction_time &&
    one.horizon_minutes === other.horizon_minutes &&
    one.predicted_speed === other.predicted_speed &&
    one.current_speed === other.current_speed
  );
}
