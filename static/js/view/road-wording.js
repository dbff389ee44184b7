/**
 * The sentences of a road's page. Pure: no DOM, and times are parameters.
 *
 * @import { Column } from "../diagram.js"
 * @import { TravelTime } from "../travel-time.js"
 */
import { clock, horizonText, plural, wholeSpeed } from "./format.js";
import { historyGapText } from "./wording.js";

/**
 * Minutes as "23 min", "1 h 05 min".
 *
 * @param {number} minutes
 */
export function minutesText(minutes) {
  if (minutes < 9.95) return `${minutes.toFixed(1)} min`;
  const whole = Math.round(minutes);
  return whole < 60 ? `${whole} min` : `${Math.floor(whole / 60)} h ${String(whole % 60).padStart(2, "0")} min`;
}

/**
 * The difference of two travel times, such as "4.2 min longer than usual"; empty if they are of other segments.
 *
 * @param {TravelTime} time
 * @param {TravelTime} other
 * @param {string} than
 */
export function differenceText(time, other, than) {
  if (time.minutes === null || other.minutes === null || Math.abs(time.km - other.km) > 1e-6) return "";
  const minutes = time.minutes - other.minutes;
  if (Math.abs(minutes) < 0.05) return `as long as ${than}`;
  return `${minutesText(Math.abs(minutes))} ${minutes > 0 ? "longer" : "shorter"} than ${than}`;
}

/**
 * What a travel time does not cover: "without 2 of 31 segments, which have no current speed".
 *
 * @param {TravelTime} time
 * @param {number} count
 * @param {string} kind
 */
export function missingText({ missing, unknown }, count, kind) {
  const texts = [
    missing > 0 && `${missing} of ${plural(count, "segment", "segments")}, no ${kind} speed`,
    unknown > 0 && `${unknown} of ${plural(count, "segment", "segments")}, no known length`,
  ].filter(Boolean);
  return texts.length ? `Without ${texts.join("; without ")}` : "";
}

/**
 * One cell of the diagram: "Sunset, 4.2 mi: 16:40, 12 mph measured".
 *
 * @param {{ place: string, distance: string, column: Column, speed: number | null, unit: string }} given
 */
export function cellText({ place, distance, column: { from, to, bin, horizon }, speed, unit }) {
  const where = [place, distance].filter(Boolean).join(", ");
  if (bin !== null) return `${where}: ${clock(from)}, ${speed === null ? "not measured" : `${wholeSpeed(speed)} ${unit} measured`}`;
  const when = horizon === null ? "at no stated time" : `for ${clock(to)} (${horizonText(horizon)})`;
  return `${where}: ${speed === null ? "no current prediction" : `${wholeSpeed(speed)} ${unit} predicted`} ${when}`;
}

/**
 * The diagram in one sentence: "Speeds on I-405 N from 15:05 to 17:20. Slowest now: 9 mph at Sunset."
 *
 * @param {{ road: string, from: number, to: number, slowest: { place: string, speed: number } | null, unit: string }} given
 */
export function diagramText({ road, from, to, slowest, unit }) {
  const worst = slowest === null ? "No speed is current." : `Slowest now: ${wholeSpeed(slowest.speed)} ${unit}, ${slowest.place}.`;
  return `Speeds on ${road} from ${clock(from)} to ${clock(to)}. ${worst}`;
}

/**
 * What is not complete in the past: empty if all is there.
 *
 * @param {{ state: "loading" | "done" | "failed" | "cut", gap: string | null, firstMs: number | null, wantedMs: number }} given
 */
export function pastText({ state, gap, firstMs, wantedMs }) {
  if (state === "loading") return "Loading history …";
  if (state === "failed") return "History could not be loaded. New speeds appear in the diagram.";
  const begin = firstMs === null ? "" : ` The diagram begins at ${clock(firstMs)}.`;
  if (state === "cut") return "The history is longer than a page loads; its newest part may be missing.";
  if (gap !== null) return `Earlier speeds are missing: ${historyGapText(gap)}.${begin}`;
  return firstMs !== null && firstMs > wantedMs ? `Nothing earlier is known.${begin}` : "";
}
