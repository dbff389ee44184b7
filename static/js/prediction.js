/** What a prediction is, checked at the door, so that nothing behind it has to doubt a type. Pure. */

const isText = (value) => typeof value === "string";
const isPlace = (value) => Number.isFinite(value?.latitude) && Number.isFinite(value?.longitude);

const MAY_BE_UNKNOWN = Object.entries({
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

/** Return the time that a prediction is about, in epoch milliseconds; null when it states neither it nor a horizon. */
export function targetOf({ timestamp, horizon_minutes: horizon, target_time: stated }) {
  const target = Date.parse(stated);
  if (!Number.isNaN(target)) return target;
  return typeof horizon === "number" ? timestamp + horizon * MINUTE_MS : null;
}

/**
 * Whether a prediction is of a larger horizon than what its segment shows, and so doesn't replace it. One that is not
 * stated counts as the smallest; what is more than `maxAgeMs` older counts no more.
 */
export function isOfLargerHorizon({ timestamp, horizon_minutes: horizon }, shown, maxAgeMs) {
  return (horizon ?? -1) > (shown.horizon_minutes ?? -1) && timestamp - shown.timestamp <= maxAgeMs;
}

/**
 * Return `value` as a prediction, or null for what isn't one: it needs a segment, a time and a predicted speed. Another
 * field of the wrong type is unknown: it becomes null.
 */
export function readPrediction(value) {
  if (!isText(value?.segment_id)) return null;
  if (!Number.isFinite(value.timestamp) || !Number.isFinite(value.predicted_speed)) return null;
  for (const [field, isRight] of MAY_BE_UNKNOWN) {
    const given = value[field];
    if (given !== undefined && given !== null && !isRight(given)) value[field] = null;
  }
  return value;
}
