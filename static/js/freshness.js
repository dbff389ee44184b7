/** How old is too old. Pure; ages are in seconds. */

export const FRESH = "fresh";
export const STALE = "stale";
export const SILENT = "silent";

const FRESH_INTERVALS = 2;
export const STALE_INTERVALS = 5;

/** Name the freshness at an age: fresh below 2 expected intervals, stale below 5, then silent ("no data"). */
export function freshness(ageSeconds, intervalSeconds) {
  if (ageSeconds < FRESH_INTERVALS * intervalSeconds) return FRESH;
  return ageSeconds < STALE_INTERVALS * intervalSeconds ? STALE : SILENT;
}
