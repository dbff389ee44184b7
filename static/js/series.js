/**
 * A segment's history as lines over time: measured speeds, predictions at their target times, and errors. Pure.
 *
 * @import { Observation, Prediction } from "./types.d.ts"
 * @typedef {(number | null)[]} Values
 */

import { targetOf } from "./prediction.js";

const MINUTE_MS = 60_000;
const MAX_DISTANCE_MS = 150_000;

/**
 * Return the horizon that a history is shown for: null if one is not stated, else the smallest.
 *
 * @param {Prediction[]} history
 */
export function horizonOf(history) {
  const horizons = history.map(({ horizon_minutes: horizon }) => horizon ?? null);
  const stated = horizons.filter((each) => each !== null);
  return stated.length === 0 || stated.length < horizons.length ? null : Math.min(...stated);
}

/**
 * Return lines over `x`, epoch seconds in rising order; null where a line has no value.
 *
 * A prediction stands at its target time. Its error is predicted minus measured, by the server's rule. That takes the
 * measured speed nearest to the target, at most 150 s and half of the horizon away. The error is known once a speed was
 * measured at the target time or later. A prediction without a horizon has no error. `noChange` is the error of the no-change forecast, which takes
 * the speed measured at the time of the prediction.
 *
 * @param {Prediction[]} history
 * @param {number | null} horizon
 * @param {Observation[]} observations more measured speeds
 * @returns {{ x: number[], actual: Values, predicted: Values, error: Values, noChange: Values }}
 */
export function seriesOf(history, horizon, observations = []) {
  const { actual, predicted } = pointsOf(history, horizon);
  for (const { timestamp, current_speed: speed } of observations) actual.set(timestamp, speed);
  const measured = [...actual.keys()].sort(byTime);
  const times = [...new Set([...measured, ...predicted.keys()])].sort(byTime);
  const actualFor = actualSpeeds(actual, measured, horizon);
  return {
    x: times.map((time) => time / 1000),
    actual: times.map((time) => actual.get(time) ?? null),
    predicted: times.map((time) => predicted.get(time)?.speed ?? null),
    error: times.map((time) => difference(predicted.get(time)?.speed, actualFor(time))),
    noChange: times.map((time) => difference(predicted.get(time)?.now, actualFor(time))),
  };
}

/**
 * Return count, RMSE and MAE of the errors that are known; null if none is.
 *
 * @param {Values} errors
 */
export function scoreOf(errors) {
  const known = errors.filter((each) => each !== null);
  if (known.length === 0) return null;
  /** @param {(error: number) => number} of */
  const mean = (of) => known.reduce((sum, each) => sum + of(each), 0) / known.length;
  return { count: known.length, rmse: Math.sqrt(mean((each) => each * each)), mae: mean(Math.abs) };
}

/**
 * @param {Prediction[]} history
 * @param {number | null} horizon
 */
function pointsOf(history, horizon) {
  /** @type {Map<number, number>} */
  const actual = new Map();
  /** @type {Map<number, { speed: number, now: number | null | undefined }>} */
  const predicted = new Map();
  for (const each of history) {
    const { current_speed: now, predicted_speed: speed } = each;
    if (typeof now === "number") actual.set(each.timestamp, now);
    if ((each.horizon_minutes ?? null) === horizon) predicted.set(targetOf(each) ?? each.timestamp, { speed, now });
  }
  return { actual, predicted };
}

/**
 * Return the function that gives the actual speed of a target time; undefined while it is not known.
 *
 * @param {Map<number, number>} actual
 * @param {number[]} measured
 * @param {number | null} horizon
 * @returns {(time: number) => number | undefined}
 */
function actualSpeeds(actual, measured, horizon) {
  const reach = Math.min(MAX_DISTANCE_MS, ((horizon ?? 0) * MINUTE_MS) / 2);
  const newest = measured.at(-1) ?? -Infinity;
  return (time) => {
    const at = reach && time <= newest ? nearest(measured, time) : null;
    return at !== null && Math.abs(at - time) <= reach ? actual.get(at) : undefined;
  };
}

/**
 * @param {number | null | undefined} speed
 * @param {number | undefined} actual
 */
function difference(speed, actual) {
  return typeof speed === "number" && actual !== undefined ? speed - actual : null;
}

/**
 * @param {number} one
 * @param {number} other
 */
function byTime(one, other) {
  return one - other;
}

/**
 * Return the number of a rising list that is nearest to `wanted`; null for an empty list.
 *
 * @param {number[]} rising
 * @param {number} wanted
 */
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
