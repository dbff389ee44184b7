/**
 * Classifies ages. Pure.
 *
 * @import { Freshness } from "./types.d.ts"
 */

export const FRESH = "fresh";
export const STALE = "stale";
export const SILENT = "silent";

const FRESH_INTERVALS = 2;
export const STALE_INTERVALS = 5;

/**
 * Return the freshness of an age: fresh below 2 expected intervals, stale below 5, then silent.
 *
 * @param {number} ageSeconds
 * @param {number} intervalSeconds
 * @returns {Freshness}
 */
export function freshness(ageSeconds, intervalSeconds) {
  if (ageSeconds < FRESH_INTERVALS * intervalSeconds) return FRESH;
  return ageSeconds < STALE_INTERVALS * intervalSeconds ? STALE : SILENT;
}
