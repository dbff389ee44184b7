/**
 * A segment's history as lines over time: measured speeds, predictions at their target times with their intervals, errors,
 * and usual speeds. Pure.
 *
 * @import { Band, Observation, Prediction } from "./types.d.ts"
 * @typedef {(number | null)[]} Values
 */

import { targetOf } from "./prediction.js";
import { QUARTER_MS } from "./usual.js";

const MINUTE_MS = 60_000;
const MAX_DISTANCE_MS = 150_000;
/** Usual speeds are shown for the last day of a longer history. */
const MAX_QUARTERS = 100;

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
 * measured at the target time or later, and `judge` then is the measured speed. A prediction without a horizon has no error. `noChange` is the error of the no-change forecast, which takes
 * the speed measured at the time of the prediction.
 *
 * @param {Prediction[]} history
 * @param {number | null} horizon
 * @param {Observation[]} observations more measured speeds
 * @returns {{ x: number[], actual: Values, predicted: Values, lower: Values, upper: Values, judge: Values, error: Values, noChange: Values }}
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
    lower: times.map((time) => predicted.get(time)?.lower ?? null),
    upper: times.map((time) => predicted.get(time)?.upper ?? null),
    judge: times.map((time) => (predicted.has(time) ? (actualFor(time) ?? null) : null)),
    error: times.map((time) => difference(predicted.get(time)?.speed, actualFor(time))),
    noChange: times.map((time) => difference(predicted.get(time)?.now, actualFor(time))),
  };
}

/**
 * Return how many of the known actual speeds are within the interval of their prediction; null if none has an interval.
 *
 * @param {{ lower: Values, upper: Values, judge: Values }} series
 */
export function coverageOf({ lower, upper, judge }) {
  let [count, held] = [0, 0];
  for (const [at, actual] of judge.entries()) {
    const [low, high] = [lower[at], upper[at]];
    if (actual === null || low === null || high === null) continue;
    count += 1;
    if (low <= actual && actual <= high) held += 1;
  }
  return count === 0 ? null : { count, held };
}

/**
 * Return the usual speeds at each of some times, and the beginnings of the quarter-hours between them, since the usual
 * speed changes there. `x` has both kinds of times, and `place` the indices of the given ones in it.
 *
 * @param {number[]} times epoch seconds, in rising order
 * @param {(atMs: number) => Band | null} usualAt
 * @returns {{ x: number[], place: number[], low: Values, median: Values, high: Values }}
 */
export function withUsual(times, usualAt) {
  const last = times.length === 0 ? -1 : Math.floor((1000 * times[times.length - 1]) / QUARTER_MS);
  const first = times.length === 0 ? 0 : Math.max(Math.ceil((1000 * times[0]) / QUARTER_MS), last - MAX_QUARTERS);
  /** @type {Set<number>} */
  const all = new Set(times);
  for (let quarter = first; quarter <= last; quarter += 1) {
    if (usualAt(quarter * QUARTER_MS) !== null) all.add((quarter * QUARTER_MS) / 1000);
  }
  const x = [...all].sort(byTime);
  const places = new Map(x.map((time, place) => [time, place]));
  const bands = x.map((time) => (1000 * time < (first - 1) * QUARTER_MS ? null : usualAt(1000 * time)));
  return {
    x,
    place: times.map((time) => places.get(time) ?? 0),
    low: bands.map((band) => band?.low ?? null),
    median: bands.map((band) => band?.median ?? null),
    high: bands.map((band) => band?.high ?? null),
  };
}

/**
 * Return values at other places of a longer list; null between them.
 *
 * @param {Values} values
 * @param {number[]} place
 * @param {number} length
 * @returns {Values}
 */
export function spread(values, place, length) {
  /** @type {Values} */
  const found = Array(length).fill(null);
  for (const [index, value] of values.entries()) found[place[index]] = value;
  return found;
}

/**
 * Return the silences of a line, from value to value: they are longer than `silence`, in the unit of the times.
 *
 * @param {number[]} times in rising order
 * @param {Values} values
 * @param {number} silence
 */
export function silencesOf(times, values, silence) {
  /** @type {[number, number][]} */
  const found = [];
  let last = Infinity;
  for (const [index, time] of times.entries()) {
    if (values[index] === null) continue;
    if (time - last > silence) found.push([last, time]);
    last = time;
  }
  return found;
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
  /** @type {Map<number, Pick<Prediction, "lower" | "upper"> & { speed: number, now: number | null | undefined }>} */
  const predicted = new Map();
  for (const each of history) {
    const { current_speed: now, predicted_speed: speed, lower, upper } = each;
    if (typeof now === "number") actual.set(each.timestamp, now);
    if ((each.horizon_minutes ?? null) === horizon) predicted.set(targetOf(each) ?? each.timestamp, { speed, now, lower, upper });
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
 * Return the error of a speed; null where one of both is not known.
 *
 * @param {number | null | undefined} speed
 * @param {number | undefined} actual
 */
export function difference(speed, actual) {
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
