/** A segment's history as lines over time: what was measured, what was predicted for then, and the error. Pure. */

import { targetOf } from "./prediction.js";

const MINUTE_MS = 60_000;
const MATCH_MS = 150_000;

/** Return the horizon that a history is about: the one not stated, else the smallest. */
export function horizonOf(history) {
  const horizons = history.map(({ horizon_minutes: horizon }) => horizon);
  if (horizons.length === 0 || horizons.includes(null)) return null;
  return horizons.reduce((least, each) => Math.min(least, each));
}

/**
 * Return `{ x, actual, predicted, error }`, x in epoch seconds and rising, null where there is nothing.
 *
 * A prediction stands at its target time. Its error is predicted minus measured, by the server's rule: the measured
 * speed nearest to the target, at most 150 s and half of the horizon away, once one came at the target or later. What
 * states no horizon has no error: the speed of now is not what it foretold.
 */
export function seriesOf(history, horizon) {
  const { actual, predicted } = pointsOf(history, horizon);
  const measured = [...actual.keys()].sort(byTime);
  const times = [...new Set([...measured, ...predicted.keys()])].sort(byTime);
  const actualFor = actualSpeeds(actual, measured, horizon);
  return {
    x: times.map((time) => time / 1000),
    actual: times.map((time) => actual.get(time) ?? null),
    predicted: times.map((time) => predicted.get(time)?.speed ?? null),
    error: times.map((time) => difference(predicted.get(time)?.speed, actualFor(time))),
    /** The error of persistence: the speed measured when the prediction was made, as the forecast. */
    still: times.map((time) => difference(predicted.get(time)?.now, actualFor(time))),
  };
}

/** Return `{ count, rmse, mae }` of errors, of which null are not known yet; null for none at all. */
export function scoreOf(errors) {
  const known = errors.filter((each) => each !== null);
  if (known.length === 0) return null;
  const mean = (of) => known.reduce((sum, each) => sum + of(each), 0) / known.length;
  return { count: known.length, rmse: Math.sqrt(mean((each) => each * each)), mae: mean(Math.abs) };
}

function pointsOf(history, horizon) {
  const actual = new Map();
  const predicted = new Map();
  for (const each of history) {
    const { current_speed: now, predicted_speed: speed } = each;
    if (typeof now === "number") actual.set(each.timestamp, now);
    if (each.horizon_minutes === horizon) predicted.set(targetOf(each) ?? each.timestamp, { speed, now });
  }
  return { actual, predicted };
}

/** Return the function that gives the actual speed of a target time; undefined while there is none. */
function actualSpeeds(actual, measured, horizon) {
  const reach = Math.min(MATCH_MS, ((horizon ?? 0) * MINUTE_MS) / 2);
  const newest = measured.at(-1) ?? -Infinity;
  return (time) => {
    const at = reach && time <= newest ? nearest(measured, time) : null;
    return at !== null && Math.abs(at - time) <= reach ? actual.get(at) : undefined;
  };
}

function difference(speed, actual) {
  return typeof speed === "number" && actual !== undefined ? speed - actual : null;
}

function byTime(one, other) {
  return one - other;
}

/** Return the number nearest to another in a rising list; null for an empty one. */
export function nearest(rising, wanted) {
  let [low, high] = [0, rising.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rising[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  const around = [rising[low - 1], rising[low]].filter((each) => each !== undefined);
  if (around.length === 0) return null;
  return around.reduce((best, each) => (Math.abs(each - wanted) < Math.abs(best - wanted) ? each : best));
}
