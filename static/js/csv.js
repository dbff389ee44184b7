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
import { targetOf } from "./prediction.js";

/** By this mark, spreadsheets read the file as UTF-8. */
const MARK = "\ufeff";
const FORMULA = /^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]/;
const MAX_TIME_MS = 8.64e15;

/**
 * Return segments as CSV, in their order.
 *
 * @param {Shown[]} segments
 * @param {{ store: Store, unit: string }} given the store that they are of; the unit of their speeds, as text
 */
export function csvOf(segments, { store, unit }) {
  const { ages } = store;
  /** @type {Column[]} */
  const columns = [
    ["segment", (each) => each.segment_id],
    ["road", (each) => each.road_name],
    [`now (${unit})`, (each) => each.current_speed],
    [`predicted (${unit})`, (each) => each.predicted_speed],
    [`change (${unit})`, (each) => each.speed_diff],
    ...(store.usual?.isOn ? usualColumns(store, unit) : []),
    ["horizon (min)", (each) => each.horizon_minutes],
    ["target time (UTC)", (each) => (each.predicted_speed === null ? "" : timeOf(targetOf(each)))],
    ["category", (each) => store.category(each)],
    ["state", (each) => ages.freshness(each)],
    ["age (s)", (each) => Math.round(ages.seconds(each))],
    ["observed (UTC)", (each) => timeOf(each.timestamp)],
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

/** @param {number | null} time */
function timeOf(time) {
  if (time === null || !(Math.abs(time) <= MAX_TIME_MS)) return "";
  return new Date(time).toISOString().replace(/\.\d+Z$/, "Z");
}
