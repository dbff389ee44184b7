/**
 * The table as CSV (RFC 4180), for spreadsheets. Pure.
 *
 * Texts come from Kafka. One that a spreadsheet would take as a formula gets an apostrophe before it (OWASP,
 * CSV Injection). Numbers are not rounded to what is shown.
 *
 * @import { Store } from "./store.js"
 * @import { Shown } from "./types.d.ts"
 * @typedef {[string, (each: Shown) => string | number | null | undefined]} Column
 */
import { freshness } from "./freshness.js";
import { targetOf } from "./prediction.js";

/** By this mark, spreadsheets read the file as UTF-8. */
const MARK = "\ufeff";
const FORMULA = /^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]/;
/** What a date can hold, in any time zone. */
const MAX_TIME_MS = 8.63e15;
const MINUTE_MS = 60_000;
const UTC = { name: "UTC", offsetMinutes: () => 0 };

/**
 * Return segments as CSV, in their order.
 *
 * @param {Shown[]} segments
 * @param {object} given
 * @param {Store} given.store the store that they are of
 * @param {string} given.unit of the speeds that the server sends, which are saved as they are
 * @param {{ name: string, offsetMinutes(time: number): number }} [given.zone] of the times
 */
export function csvOf(segments, { store, unit, zone = UTC }) {
  const { ages } = store;
  const local = (/** @type {number | null} */ time) => timeOf(time, zone.offsetMinutes);
  /** @type {Column[]} */
  const columns = [
    ["segment", (each) => each.segment_id],
    ["road", (each) => each.road_name],
    [`now (${unit})`, (each) => each.current_speed],
    [`predicted (${unit})`, (each) => each.predicted_speed],
    [`change (${unit})`, (each) => each.speed_diff],
    ...(store.usual?.isOn ? usualColumns(store, unit) : []),
    ["horizon (min)", (each) => each.horizon_minutes],
    [`target time (${zone.name})`, (each) => (each.predicted_speed === null ? "" : local(targetOf(each)))],
    ["category", (each) => store.category(each)],
    ["state", (each) => freshness(ages.seconds(each), ages.intervalSeconds)], // a file does not say that values are kept
    ["age (s)", (each) => Math.round(ages.seconds(each))],
    [`observed (${zone.name})`, (each) => local(each.timestamp)],
    ["volume", (each) => each.current_volume],
    ["confidence", (each) => each.confidence],
    ["model", (each) => each.model],
    ["source", (each) => each.source],
    ["latitude (degrees)", (each) => each.coordinates?.latitude],
    ["longitude (degrees)", (each) => each.coordinates?.longitude],
  ];
  const lines = [columns.map(([name]) => name), ...segments.map((each) => columns.map(([, value]) => value(each)))];
  return MARK + lines.map((line) => `${line.map(cell).join(",")}\r\n`).join("");
}

/**
 * @param {Store} store
 * @param {string} unit
 * @returns {Column[]}
 */
function usualColumns(store, unit) {
  return [
    [`usual (${unit})`, (each) => store.versusUsual(each)?.band.median],
    [`vs usual (${unit})`, (each) => store.versusUsual(each)?.difference],
  ];
}

/**
 * Return the name of a file with a time, "greenwave-table-2026-03-04T170500Z.csv".
 *
 * @param {string} what
 * @param {number} time
 * @param {string} ending
 */
export function fileName(what, time, ending) {
  return `greenwave-${what}-${timeOf(time).replaceAll(":", "")}.${ending}`;
}

/** @param {string | number | null | undefined} value */
function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const text = FORMULA.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * Return a time as ISO 8601, "2026-03-04T17:05:00Z" or "2026-03-04T09:05:00-08:00".
 *
 * @param {number | null} time
 * @param {(time: number) => number} [offsetMinutes] how far local time is ahead of UTC
 */
function timeOf(time, offsetMinutes = UTC.offsetMinutes) {
  if (time === null || !(Math.abs(time) <= MAX_TIME_MS)) return "";
  const offset = offsetMinutes(time);
  return new Date(time + offset * MINUTE_MS).toISOString().replace(/\.\d+Z$/, offset === 0 ? "Z" : offsetText(offset));
}

/** @param {number} minutes */
function offsetText(minutes) {
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  return `${minutes < 0 ? "-" : "+"}${String(hours).padStart(2, "0")}:${String(rest).padStart(2, "0")}`;
}
