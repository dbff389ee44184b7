/**
 * Totals of a view. Pure.
 *
 * @import { Store } from "./store.js"
 */
import { GROUPS, NOT_CURRENT } from "./categories.js";

/**
 * Return the number of segments, of those that report (while a connection is lost: that reported when it was lost),
 * the counts by group, and the means of fresh predictions (null if there are none).
 *
 * @param {Store} store
 */
export function totalsOf(store) {
  const counts = Object.fromEntries(GROUPS.map((group) => [group, 0]));
  const fresh = [];
  for (const prediction of store.segments.values()) {
    const group = store.group(prediction);
    counts[group] += 1;
    if (group !== NOT_CURRENT) fresh.push(prediction);
  }
  const { keptSince } = store;
  return {
    total: store.segments.size,
    reporting: keptSince === null ? fresh.length : reportingAt(store, keptSince),
    keptSince,
    counts,
    meanPredicted: mean(fresh.map(({ predicted_speed }) => predicted_speed)),
    meanChange: mean(fresh.map(({ speed_diff }) => speed_diff)),
  };
}

/**
 * @param {Store} store
 * @param {number} time
 */
function reportingAt(store, time) {
  let count = 0;
  for (const each of store.segments.values()) if (store.group(each, time) !== NOT_CURRENT) count += 1;
  return count;
}

/** @param {(number | null | undefined)[]} values */
function mean(values) {
  const known = values.filter((each) => typeof each === "number");
  return known.length ? known.reduce((sum, each) => sum + each, 0) / known.length : null;
}
