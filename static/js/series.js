/** A segment's history as lines over time: what was measured, what was predicted for then, and the error. Pure. */

const MINUTE_MS = 60_000;
const SLACK_MS = 150_000;

/** Return the horizon that a history is about: the one not stated, else the smallest. */
export function horizonOf(history) {
  const horizons = history.map(({ horizon_minutes: horizon }) => horizon);
  if (horizons.length === 0 || horizons.includes(null)) return null;
  return Math.min(...horizons);
}

/**
 * Return `{ x, actual, predicted, error }`, x in epoch seconds and rising, null where there is nothing.
 *
 * A prediction stands at its target time. Its error is known when a speed was measured there, or at most 150 s away.
 */
export function seriesOf(history, horizon) {
  const actual = new Map();
  const predicted = new Map();
  for (const each of history) {
    if (typeof each.current_speed === "number") actual.set(each.timestamp, each.current_speed);
    if (each.horizon_minutes === horizon) predicted.set(targetOf(each), each.predicted_speed);
  }
  const times = [...new Set([...actual.keys(), ...predicted.keys()])].sort((one, other) => one - other);
  const measured = [...actual.keys()].sort((one, other) => one - other);
  return {
    x: times.map((time) => time / 1000),
    actual: times.map((time) => actual.get(time) ?? null),
    predicted: times.map((time) => predicted.get(time) ?? null),
    error: times.map((time) => errorAt(time, predicted.get(time), actual, measured)),
  };
}

function targetOf({ timestamp, horizon_minutes: horizon }) {
  return timestamp + (horizon ?? 0) * MINUTE_MS;
}

function errorAt(time, value, actual, measured) {
  if (value === undefined) return null;
  const at = nearest(measured, time);
  return at === null || Math.abs(at - time) > SLACK_MS ? null : value - actual.get(at);
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
