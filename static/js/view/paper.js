/**
 * The line that replaces the pill on paper: when it was printed, and what it shows.
 *
 * @import { Query } from "../types.d.ts"
 * @typedef {object} ShownView
 * @property {Query} query
 * @property {number | null} time the time of a view of the past; null for live
 * @property {boolean} paused
 * @property {number} count of matching segments
 * @property {number} now
 */
import { NOW } from "../forecasts.js";
import { parts, setText } from "./elements.js";
import { exactly, horizonText, label, LABELS, plural } from "./format.js";

export class PaperView {
  /** @param {ParentNode} root */
  constructor(root) {
    this.parts = parts(root);
  }

  /**
   * @param {ShownView} shown
   */
  render(shown) {
    setText(this.parts.printed, shownText("Printed", shown));
  }
}

/**
 * When the page was printed or saved, and what it shows.
 *
 * @param {string} verb
 * @param {ShownView} shown
 */
export function shownText(verb, { query, time, paused, count, now }) {
  const items = [
    `${verb} ${exactly(now)}`,
    time !== null && `shows ${exactly(time)}`,
    timeText(query),
    paused && "paused",
    ...filterTexts(query),
    plural(count, "segment", "segments"),
  ];
  return items.filter(Boolean).join(" · ");
}

/**
 * What a query asks for: "shows 4 Mar 2026, 17:05 · road: I-405 N · segment: A · a part of the map".
 *
 * @param {Query} query
 */
export function queryText(query) {
  const { at, segment, view } = query;
  const items = [
    at !== null && `shows ${exactly(at)}`,
    timeText(query),
    ...filterTexts(query),
    segment !== null && `segment: ${label(segment)}`,
    view !== null && "a part of the map",
  ];
  return items.filter(Boolean).join(" · ") || "all segments";
}

/** @param {Query} query */
function timeText({ time }) {
  return time !== null && (time === NOW ? "speeds now" : `predicted ${horizonText(Number(time))}`);
}

/** @param {Query} query */
function filterTexts({ words, road, groups }) {
  return [
    words.trim() && `search: ${label(words.trim())}`,
    road !== null && `road: ${label(road)}`,
    groups.length > 0 && `only: ${groups.map((group) => LABELS[group]).join(", ")}`,
  ];
}
