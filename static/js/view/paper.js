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
  const { words, road, groups } = query;
  const items = [
    `${verb} ${exactly(now)}`,
    time !== null && `shows ${exactly(time)}`,
    query.time !== null && (query.time === NOW ? "speeds now" : `predicted ${horizonText(Number(query.time))}`),
    paused && "paused",
    words.trim() && `search: ${label(words.trim())}`,
    road !== null && `road: ${label(road)}`,
    groups.length && `only: ${groups.map((group) => LABELS[group]).join(", ")}`,
    plural(count, "segment", "segments"),
  ];
  return items.filter(Boolean).join(" · ");
}
