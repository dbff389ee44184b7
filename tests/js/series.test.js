import assert from "node:assert/strict";
import test from "node:test";
import { horizonOf, nearest, seriesOf } from "../../static/js/series.js";

const MINUTE = 60_000;
const at = (minute, current, predicted, horizon = 15) => ({
  timestamp: minute * MINUTE,
  current_speed: current,
  predicted_speed: predicted,
  horizon_minutes: horizon,
});

test("a prediction stands where it is for, and its error is known when that was measured", () => {
  const { x, actual, predicted, error } = seriesOf([at(0, 50, 42), at(15, 40, 38)], 15);
  assert.deepEqual(x, [0, 900, 1800]);
  assert.deepEqual(actual, [50, 40, null]);
  assert.deepEqual(predicted, [null, 42, 38]);
  assert.deepEqual(error, [null, 2, null]);
});

test("a measurement up to 150 s away counts, one further away doesn't", () => {
  const near = [at(0, 50, 42), { ...at(15, 40, 38), timestamp: 15 * MINUTE + 150_000 }];
  assert.equal(seriesOf(near, 15).error[1], 2);
  const far = [at(0, 50, 42), { ...at(15, 40, 38), timestamp: 15 * MINUTE + 150_001 }];
  assert.equal(seriesOf(far, 15).error[1], null);
});

test("the horizon shown is the one not stated, else the smallest", () => {
  assert.equal(horizonOf([at(0, 1, 1, 30), at(0, 1, 1, 15)]), 15);
  assert.equal(horizonOf([at(0, 1, 1, 30), at(0, 1, 1, null)]), null);
  assert.equal(horizonOf([]), null);
});

test("nothing measured and nothing predicted are no points", () => {
  assert.deepEqual(seriesOf([], null), { x: [], actual: [], predicted: [], error: [] });
  assert.deepEqual(seriesOf([at(0, null, 30)], 15).actual, [null]);
  assert.equal(nearest([], 5), null);
  assert.equal(nearest([1, 4, 9], 6), 4);
});
