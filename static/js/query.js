/**
 * What is asked of the table: words, groups, order. Pure; it is read from and written to a URL's query, so that a link
 * shows the same to everybody.
 */
import { GROUPS } from "./store.js";

export const COLUMNS = ["segment", "road", "now", "predicted", "change", "category", "age"];
const DEFAULT = { words: "", groups: [], column: "segment", descending: false };

/** Read a query such as "?q=i-405&category=heavy_traffic&sort=-predicted"; what isn't known is left out. */
export function readQuery(search) {
  const given = new URLSearchParams(search);
  const sort = given.get("sort") ?? "";
  const column = sort.replace(/^-/, "");
  return {
    segment: given.get("segment") || null,
    words: (given.get("q") ?? "").slice(0, 200),
    groups: (given.get("category") ?? "").split(",").filter((group) => GROUPS.includes(group)),
    ...(COLUMNS.includes(column) ? { column, descending: sort.startsWith("-") } : pick(DEFAULT)),
  };
}

/** Write a query as a URL's search part; empty when everything is as it comes. */
export function writeQuery({ segment = null, words, groups, column, descending }, search = "") {
  const given = new URLSearchParams(search);
  set(given, "segment", segment);
  set(given, "q", words);
  set(given, "category", groups.join(","));
  const isDefault = column === DEFAULT.column && !descending;
  set(given, "sort", isDefault ? "" : (descending ? "-" : "") + column);
  const text = given.toString().replaceAll("%2C", ",");
  return text && `?${text}`;
}

/** Tell whether a query leaves out anything. */
export function narrows({ words, groups }) {
  return words.trim() !== "" || groups.length > 0;
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

function pick({ column, descending }) {
  return { column, descending };
}

function set(given, name, value) {
  if (value) given.set(name, value);
  else given.delete(name);
}
