/**
 * The sentences of a road's page. Pure: no DOM, and times are parameters.
 *
 * @import { Column } from "../diagram.js"
 * @import { TextName } from "../texts.js"
 * @import { TravelTime } from "../travel-time.js"
 */
import { t } from "../texts.js";
import { clock, fixed, horizonText, wholeSpeed } from "./format.js";
import { historyGapText } from "./wording.js";

/** @type {Record<"usual" | "now", [TextName, TextName, TextName]>} as long, longer, shorter */
const COMPARISONS = {
  usual: ["road.as_usual", "road.longer_than_usual", "road.shorter_than_usual"],
  now: ["road.as_now", "road.longer_than_now", "road.shorter_than_now"],
};
/** @type {Record<string, TextName>} by what the speeds are */
const MISSING = { measured: "road.not_measured", predicted: "road.not_predicted", usual: "road.not_usual" };

/**
 * Minutes as "23 min", "1 h 05 min".
 *
 * @param {number} minutes
 */
export function minutesText(minutes) {
  if (minutes < 9.95) return `${fixed(minutes, 1)} min`;
  const whole = Math.round(minutes);
  return whole < 60 ? `${whole} min` : `${Math.floor(whole / 60)} h ${String(whole % 60).padStart(2, "0")} min`;
}

/**
 * The difference of two travel times, such as "4.2 min longer than usual"; empty if they are of other segments.
 *
 * @param {TravelTime} time
 * @param {TravelTime} other
 * @param {"usual" | "now"} than
 */
export function differenceText(time, other, than) {
  if (time.minutes === null || other.minutes === null || Math.abs(time.km - other.km) > 1e-6) return "";
  const minutes = time.minutes - other.minutes;
  const [same, longer, shorter] = COMPARISONS[than];
  if (Math.abs(minutes) < 0.05) return t(same);
  return t(minutes > 0 ? longer : shorter, { minutes: minutesText(Math.abs(minutes)) });
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
    missing > 0 ? t(MISSING[kind], { missing, count }) : "",
    unknown > 0 ? t("road.no_length", { missing: unknown, count }) : "",
  ].filter(Boolean);
  return texts.map((text, at) => (at === 0 ? text[0].toUpperCase() + text.slice(1) : text)).join("; ");
}

/**
 * One cell of the diagram: "Sunset, 4.2 mi: 16:40, 12 mph measured".
 *
 * @param {{ place: string, distance: string, column: Column, speed: number | null, unit: string }} given
 */
export function cellText({ place, distance, column: { from, to, bin, horizon }, speed, unit }) {
  const where = [place, distance].filter(Boolean).join(", ");
  if (bin !== null) return `${where}: ${clock(from)}, ${speed === null ? t("not_measured") : t("cell.measured", { speed: wholeSpeed(speed), unit })}`;
  const when = horizon === null ? t("cell.no_time") : `${t("for_time", { time: clock(to) })} (${horizonText(horizon)})`;
  return `${where}: ${speed === null ? t("cell.none") : t("cell.predicted", { speed: wholeSpeed(speed), unit })} ${when}`;
}

/**
 * The diagram in one sentence: "Speeds on I-405 N from 15:05 to 17:20. Slowest now: 9 mph at Sunset."
 *
 * @param {{ road: string, from: number, to: number, slowest: { place: string, speed: number } | null, unit: string }} given
 */
export function diagramText({ road, from, to, slowest, unit }) {
  const worst = slowest === null ? t("diagram.none") : t("diagram.slowest", { speed: wholeSpeed(slowest.speed), unit, place: slowest.place });
  return `${t("diagram.text", { road, from: clock(from), to: clock(to) })} ${worst}`;
}

/**
 * What is not complete in the past: empty if all is there.
 *
 * @param {{ state: "loading" | "done" | "failed" | "cut", gap: string | null, firstMs: number | null, wantedMs: number }} given
 */
export function pastText({ state, gap, firstMs, wantedMs }) {
  if (state === "loading") return t("past.loading");
  if (state === "failed") return t("road.past_failed");
  const begin = firstMs === null ? "" : ` ${t("road.past_begins", { time: clock(firstMs) })}`;
  if (state === "cut") return t("road.past_cut");
  if (gap !== null) return `${t("road.past_gap", { reason: historyGapText(gap) })}${begin}`;
  return firstMs !== null && firstMs > wantedMs ? `${t("road.past_first")}${begin}` : "";
}
