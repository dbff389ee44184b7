import assert from "node:assert/strict";
import test from "node:test";
import { coverageOf, horizonOf, nearest, scoreOf, seriesOf, silencesOf, spread, withUsual } from "../../static/js/series.js";

const MINUTE = 60_000;
/** @returns {import("../../static/js/types.js").Prediction} */
const at = (minute, current, predicted, horizon = 15) => ({
  segment_id: "A",
  timestamp: minute * MINUTE,
  current_speed: current,
  predicted_speed: predicted,
  horizon_minutes: horizon,
});

test("a prediction stands at its target time, with its error once measured", () => {
  const { x, actual, predicted, error } = seriesOf([at(0, 50, 42), at(15, 40, 38)], 15);
  assert.deepEqual(x, [0, 900, 1800]);
  assert.deepEqual(actual, [50, 40, null]);
  assert.deepEqual(predicted, [null, 42, 38]);
  assert.deepEqual(error, [null, 2, null]);
});

test("the no-change error uses the speed measured at prediction time", () => {
  const { error, noChange } = seriesOf([at(0, 50, 42), at(15, 40, 38), at(30, 41, 30)], 15);
  assert.deepEqual(error, [null, 2, -3, null]);
  assert.deepEqual(noChange, [null, 10, -1, null]);
  assert.deepEqual(scoreOf(error), { count: 2, rmse: Math.sqrt(6.5), mae: 2.5 });
  assert.equal(scoreOf([null]), null);
});

test("observations are measured speeds, and decide errors", () => {
  const observations = [{ segment_id: "A", timestamp: 15 * MINUTE, current_speed: 40 }];
  const { x, actual, error } = seriesOf([at(0, 50, 42)], 15, observations);
  assert.deepEqual(x, [0, 900]);
  assert.deepEqual(actual, [50, 40]);
  assert.deepEqual(error, [null, 2]);
});

test("a prediction without a horizon has no error", () => {
  assert.deepEqual(seriesOf([at(0, 50, 42, null), at(15, 40, 38, null)], null).error, [null, null]);
});

test("nothing is checked before its target time", () => {
  assert.equal(seriesOf([at(0, 50, 42), at(14, 40, 38)], 15).error[2], null);
});

test("a short horizon is not checked by the speed at prediction time", () => {
  const history = [at(0, 50, 42, 1), { ...at(2, 40, 38, 1), timestamp: MINUTE + 30_001 }];
  assert.equal(seriesOf(history, 1).error[1], null);
});

test("a stated target time takes precedence over the horizon", () => {
  const stated = { ...at(0, 50, 42), target_time: new Date(20 * MINUTE).toISOString() };
  assert.deepEqual(seriesOf([stated], 15).x, [0, 1200]);
});

test("a measurement counts up to 150 s from the target time", () => {
  const near = [at(0, 50, 42), { ...at(15, 40, 38), timestamp: 15 * MINUTE + 150_000 }];
  assert.equal(seriesOf(near, 15).error[1], 2);
  const far = [at(0, 50, 42), { ...at(15, 40, 38), timestamp: 15 * MINUTE + 150_001 }];
  assert.equal(seriesOf(far, 15).error[1], null);
});

test("the horizon shown is the unstated one, else the smallest", () => {
  assert.equal(horizonOf([at(0, 1, 1, 30), at(0, 1, 1, 15)]), 15);
  assert.equal(horizonOf([at(0, 1, 1, 30), at(0, 1, 1, null)]), null);
  assert.equal(horizonOf([]), null);
});

test("missing values make no points", () => {
  assert.deepEqual(seriesOf([], null), { x: [], actual: [], predicted: [], lower: [], upper: [], judge: [], error: [], noChange: [] });
  assert.deepEqual(seriesOf([at(0, null, 30)], 15).actual, [null]);
  assert.equal(nearest([], 5), null);
  assert.equal(nearest([1, 4, 9], 6), 4);
});

test("a prediction interval stands at the target time", () => {
  const { lower, upper } = seriesOf([{ ...at(0, 50, 42), lower: 38, upper: 47 }, at(15, 40, 38)], 15);
  assert.deepEqual(lower, [null, 38, null]);
  assert.deepEqual(upper, [null, 47, null]);
});

test("the usual speed changes at quarter-hours, also between the times of a history", () => {
  const band = (/** @type {number} */ speed) => ({ low: speed - 5, median: speed, high: speed + 5 });
  const usualAt = (/** @type {number} */ atMs) => (atMs < 15 * MINUTE ? band(50) : atMs < 30 * MINUTE ? band(30) : null);
  const { x, place, low, median, high } = withUsual([600, 1200, 2400], usualAt);
  assert.deepEqual(x, [600, 900, 1200, 2400]);
  assert.deepEqual(median, [50, 30, 30, null]);
  assert.deepEqual([low[0], high[0]], [45, 55]);
  assert.deepEqual(spread([1, 2, 3], place, x.length), [1, null, 2, 3]);
});

test("without usual speeds a history has its own times only", () => {
  assert.deepEqual(withUsual([600, 1200], () => null).x, [600, 1200]);
  assert.deepEqual(withUsual([], () => null).x, []);
});

test("checked predictions with an interval say how many it held", () => {
  const of = (/** @type {number} */ lower, /** @type {number} */ upper, /** @type {number} */ minute) => ({ ...at(minute, 40, 42), lower, upper });
  assert.deepEqual(coverageOf(seriesOf([of(38, 47, 0), of(41, 47, 15), of(30, 40, 30), at(45, 40, 38)], 15)), { count: 3, held: 2 });
  assert.equal(coverageOf(seriesOf([at(0, 50, 42), at(15, 40, 38)], 15)), null);
});

test("a line is interrupted where it has no value for long, whatever others have", () => {
  assert.deepEqual(silencesOf([1, 2, 3, 4, 9, 10], [null, 20, null, 30, null, 40], 2), [[4, 10]]);
  assert.deepEqual(silencesOf([1, 3, 5], [20, 30, 40], 2), []);
  assert.deepEqual(silencesOf([], [], 2), []);
});
