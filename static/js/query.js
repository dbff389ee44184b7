/**
 * What is asked of the table: words, groups, order. Pure; it is read from and written to a URL's query, so that a link
 * shows the same to everybody.
 */
import { GROUPS } from "./store.js";

export const COLUMNS = ["segment", "road", "now", "predicted", "change", "category", "age"];
const DEFAULT = { words: "", groups: [], column: "segment", descending: false };
const LONGEST = 200;
/** Servers refuse request lines of more than 4,094 bytes, and a cursor comes on top. */
const LONGEST_FILTER = 3_000;

/**
 * Read a query such as "?q=i-405&road=I-405+N&category=heavy_traffic&sort=-predicted&map=34.05,-118.25,11" or
 * "?at=2026-03-04T17:05:00Z"; what isn't known is left out. `view` is { centre, zoom }, `at` epoch milliseconds;
 * `details` tells whether the segment is shown in full, `predictions` whether the map shows them.
 */
export function readQuery(search) {
  const given = new URLSearchParams(search);
  const sort = given.get("sort") ?? "";
  const column = sort.replace(/^-/, "");
  return {
    segment: given.get("segment") || null,
    details: given.get("details") === "1",
    predictions: given.get("predictions") !== "0",
    words: (given.get("q") ?? "").slice(0, LONGEST),
    road: (given.get("road") ?? "").slice(0, LONGEST) || null,
    view: readView(given.get("map") ?? ""),
    at: readTime(given.get("at")),
    groups: (given.get("category") ?? "").split(",").filter((group) => GROUPS.includes(group)),
    ...(COLUMNS.includes(column) ? { column, descending: sort.startsWith("-") } : pick(DEFAULT)),
  };
}

/** Write a query as a URL's search part; empty when everything is as it comes. */
export function writeQuery(query, search = "") {
  const { segment = null, details, predictions = true, words, road, groups, column, descending, view, at } = query;
  const given = new URLSearchParams(search);
  set(given, "segment", segment);
  set(given, "details", details && segment !== null ? "1" : "");
  set(given, "predictions", predictions ? "" : "0");
  set(given, "q", words);
  set(given, "road", road);
  set(given, "category", groups.join(","));
  const isDefault = column === DEFAULT.column && !descending;
  set(given, "sort", isDefault ? "" : (descending ? "-" : "") + column);
  set(given, "map", view && [...view.centre.map((degrees) => degrees.toFixed(4)), view.zoom].join(","));
  set(given, "at", Number.isFinite(at) ? new Date(at).toISOString().replace(/\.\d+Z$/, "Z") : "");
  const text = given.toString().replaceAll("%2C", ",").replaceAll("%3A", ":");
  return text && `?${text}`;
}

/** Tell whether a query leaves out anything. */
export function narrows({ words, road, groups }) {
  return words.trim() !== "" || road !== null || groups.length > 0;
}

/** Put a group in, or out if it was in. */
export function toggleGroup(query, group) {
  const groups = query.groups.includes(group)
    ? query.groups.filter((each) => each !== group)
    : [...query.groups, group];
  return { ...query, groups };
}

/** Sort by a column; the same column again turns the order round. */
export function sortBy(query, column) {
  return { ...query, column, descending: query.column === column && !query.descending };
}

/** Write a filter by segments, "&segment=A&segment=B", as many as a request can name. */
export function writeSegments(ids) {
  let filter = "";
  for (const id of ids) {
    if (id.includes(",")) continue; // a comma would make two names of it
    const longer = `${filter}&segment=${encodeURIComponent(id)}`;
    if (longer.length > LONGEST_FILTER) break;
    filter = longer;
  }
  return filter;
}

function readView(text) {
  const [north, east, zoom, ...more] = text.split(",").map((part) => (part.trim() === "" ? NaN : Number(part)));
  const isThere = more.length === 0 && Math.abs(north) <= 85 && Math.abs(east) <= 180 && zoom >= 0 && zoom <= 19;
  return isThere ? { centre: [north, east], zoom } : null;
}

function readTime(text) {
  const time = text === null ? NaN : Date.parse(text);
  return Number.isNaN(time) ? null : time;
}

function pick({ column, descending }) {
  return { column, descending };
}

function set(given, name, value) {
  if (value) given.set(name, value);
  else given.delete(name);
}
