/**
 * What the user asked to see: filters, order, selection, map position, time. Pure. A URL's search part holds it, so that
 * a link shows the same view to other users.
 *
 * @import { ChosenTime, MapPosition, Query } from "./types.d.ts"
 */
import { GROUPS } from "./categories.js";
import { NOW } from "./forecasts.js";

/** The order by the lower one of the measured and the predicted speed; it has no column. */
export const WORST = "worst";
export const COLUMNS = [WORST, "segment", "road", "now", "predicted", "change", "usual", "category", "age"];
const DEFAULT_COLUMN = WORST;
const MAX_TEXT = 200;
/** The server refuses request lines of more than 4,094 bytes, and the cursor needs room, too. */
const MAX_FILTER = 3_000;

/**
 * Read a search part such as "?q=i-405&road=I-405+N&category=heavy_traffic&sort=-predicted&map=34.05,-118.25,11",
 * "?horizon=15", "?horizon=now" or "?at=2026-03-04T17:05:00Z". Unknown values are ignored.
 *
 * @param {string} search
 * @returns {Query}
 */
export function readQuery(search) {
  const given = new URLSearchParams(search);
  const sort = given.get("sort") ?? "";
  const column = sort.replace(/^-/, "");
  const isKnown = COLUMNS.includes(column);
  return {
    segment: given.get("segment") || null,
    details: given.get("details") === "1",
    predictions: given.get("predictions") !== "0",
    words: (given.get("q") ?? "").slice(0, MAX_TEXT),
    road: (given.get("road") ?? "").slice(0, MAX_TEXT) || null,
    view: readPosition(given.get("map") ?? ""),
    at: readTime(given.get("at")),
    time: readChosenTime(given.get("horizon") ?? ""),
    groups: (given.get("category") ?? "").split(",").filter((group) => GROUPS.includes(group)),
    column: isKnown ? column : DEFAULT_COLUMN,
    descending: isKnown && sort.startsWith("-"),
  };
}

/**
 * Write a query into a URL's search part, which may have other parameters. Defaults are left out.
 *
 * @param {Query} query
 */
export function writeQuery(query, search = "") {
  const { segment = null, details, predictions = true, words, road, groups, column, descending, view, at, time } = query;
  const given = new URLSearchParams(search);
  set(given, "segment", segment);
  set(given, "details", details && segment !== null ? "1" : "");
  set(given, "predictions", predictions ? "" : "0");
  set(given, "q", words);
  set(given, "road", road);
  set(given, "category", groups.join(","));
  const isDefault = column === DEFAULT_COLUMN && !descending;
  set(given, "sort", isDefault ? "" : (descending ? "-" : "") + column);
  set(given, "map", view && [...view.centre.map((degrees) => degrees.toFixed(4)), view.zoom].join(","));
  set(given, "at", typeof at === "number" ? new Date(at).toISOString().replace(/\.\d+Z$/, "Z") : "");
  set(given, "horizon", time === null ? "" : String(time));
  const text = given.toString().replaceAll("%2C", ",").replaceAll("%3A", ":");
  return text && `?${text}`;
}

/**
 * Tell whether a query filters segments.
 *
 * @param {Pick<Query, "words" | "road" | "groups">} query
 */
export function narrows({ words, road, groups }) {
  return words.trim() !== "" || road !== null || groups.length > 0;
}

/**
 * Add a group to the filter, or remove it.
 *
 * @param {Query} query
 * @param {string} group
 * @returns {Query}
 */
export function toggleGroup(query, group) {
  const groups = query.groups.includes(group)
    ? query.groups.filter((each) => each !== group)
    : [...query.groups, group];
  return { ...query, groups };
}

/**
 * Sort by a column; the same column again reverses the order.
 *
 * @param {Query} query
 * @param {string} column
 * @returns {Query}
 */
export function sortBy(query, column) {
  return { ...query, column, descending: query.column === column && !query.descending };
}

/**
 * Write a filter by segments, "&segment=A&segment=B", of as many segments as one request can have.
 *
 * @param {string[]} ids
 */
export function writeSegments(ids) {
  let filter = "";
  for (const id of ids) {
    if (id.includes(",")) continue; // the server reads a comma as a separator
    const longer = `${filter}&segment=${encodeURIComponent(id)}`;
    if (longer.length > MAX_FILTER) break;
    filter = longer;
  }
  return filter;
}

/**
 * @param {string} text
 * @returns {MapPosition | null}
 */
function readPosition(text) {
  const [north, east, zoom, ...more] = text.split(",").map((part) => (part.trim() === "" ? NaN : Number(part)));
  const isValid = more.length === 0 && Math.abs(north) <= 85 && Math.abs(east) <= 180 && zoom >= 0 && zoom <= 19;
  return isValid ? { centre: [north, east], zoom } : null;
}

/**
 * @param {string} text
 * @returns {ChosenTime}
 */
function readChosenTime(text) {
  if (text === NOW) return NOW;
  return /^-?\d{1,5}(\.\d{1,2})?$/.test(text) ? Number(text) : null;
}

/** @param {string | null} text */
function readTime(text) {
  const time = text === null ? NaN : Date.parse(text);
  return Number.isNaN(time) ? null : time;
}

/**
 * @param {URLSearchParams} given
 * @param {string} name
 * @param {string | null} value
 */
function set(given, name, value) {
  if (value) given.set(name, value);
  else given.delete(name);
}
