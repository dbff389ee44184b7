/**
 * Reads predictions. Every value is checked here, so that no other module has to check types. Pure.
 *
 * @import { Prediction } from "./types.d.ts"
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
  for (const [field, isValid] of OPTIONAL) {
    const given = value[field];
    if (given !== undefined && given !== null && !isValid(given)) value[field] = null;
  }
  return value;
}

/**
 * Return the time that a prediction is for, in epoch milliseconds; null if it states neither a time nor a horizon.
 *
 * @param {Prediction} prediction
 */
export function targetOf({ timestamp, horizon_minutes: horizon, target_time: stated }) {
  const target = Date.parse(stated ?? "");
  if (!Number.isNaN(target)) return target;
  return typeof horizon === "number" ? timestamp + horizon * MINUTE_MS : null;
}

/**
 * Tell whether a prediction has a larger horizon than the one its segment shows, so that it doesn't replace that one.
 * No stated horizon counts as the smallest. A shown prediction that is more than `maxAgeMs` older is always replaced.
 *
 * @param {Prediction} prediction
 * @param {Prediction} shown
 * @param {number} maxAgeMs
 */
export function isOfLargerHorizon({ timestamp, horizon_minutes: horizon }, shown, maxAgeMs) {
  return (horizon ?? -Infinity) > (shown.horizon_minutes ?? -Infinity) && timestamp - shown.timestamp <= maxAgeMs;
}

/**
 * Tell whether a prediction is older than what its segment shows, or of a larger horizon. The server marks the late
 * ones, except after a change of server, when it may not have read the newer one yet.
 *
 * @param {Prediction | null} prediction
 * @param {Prediction | undefined} shown
 * @param {number} maxAgeMs
 */
export function isOutdated(prediction, shown, maxAgeMs) {
  if (prediction?.late) return true;
  if (!shown || !prediction) return false;
  if (shown.horizon_minutes !== prediction.horizon_minutes) return isOfLargerHorizon(prediction, shown, maxAgeMs);
  if (shown.timestamp !== prediction.timestamp) return shown.timestamp > prediction.timestamp;
  const [before, after] = [shown.prediction_time, prediction.prediction_time];
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
