/**
 * Totals of a view. Pure.
 *
 * @import { Store } from "./store.js"
 */
import { GROUPS } from "./categories.js";
import { FRESH } from "./freshness.js";

/**
 * Return the number of segments, of those that report, the counts by group at the chosen time and at the other one of now
 * and predicted, and the means of fresh values (null if there are none). While a connection is lost, all are as they were
 * when it was lost.
 *
 * @param {Store} store
 */
export function totalsOf(store) {
  const counts = Object.fromEntries(GROUPS.map((group) => [group, 0]));
  const others = Object.fromEntries(GROUPS.map((group) => [group, 0]));
  const fresh = [];
  for (const shown of store.segments.values()) {
    counts[store.group(shown)] += 1;
    if (store.ages.freshness(shown) !== FRESH) continue;
    fresh.push(shown);
    const other = store.otherCategory(shown) ?? "";
    if (Object.hasOwn(others, other)) others[other] += 1;
  }
  return {
    total: store.segments.size,
    reporting: fresh.length,
    keptSince: store.keptSince,
    counts,
    others,
    meanNow: mean(fresh.map(({ current_speed }) => current_speed)),
    meanPredicted: mean(fresh.map(({ predicted_speed }) => predicted_speed)),
    meanChange: mean(fresh.map(({ speed_diff }) => speed_diff)),
  };
}

/** @param {(number | null | undefined)[]} values */
function mean(values) {
  const known = values.filter((each) => typeof each === "number");
  return known.length ? known.reduce((sum, each) => sum + each, 0) / known.length : null;
}
