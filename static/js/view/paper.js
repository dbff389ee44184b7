/**
 * The line that replaces the pill on paper: when it was printed, and what it shows.
 *
 * @import { Query } from "../types.d.ts"
 */
import { parts, setText } from "./elements.js";
import { exactly, label, LABELS, plural } from "./format.js";

export class PaperView {
  /** @param {ParentNode} root */
  constructor(root) {
    this.parts = parts(root);
  }

  /**
   * @param {object} shown
   * @param {Query} shown.query
   * @param {number | null} shown.time the time of a view of the past; null for live
   * @param {boolean} shown.paused
   * @param {number} shown.count of matching segments
   * @param {number} shown.now
   */
  render({ query, time, paused, count, now }) {
    const { words, road, groups } = query;
    const items = [
      `Printed ${exactly(now)}`,
      time !== null && `shows ${exactly(time)}`,
      paused && "paused",
      words.trim() && `search: ${label(words.trim())}`,
      road !== null && `road: ${label(road)}`,
      groups.length && `only: ${groups.map((group) => LABELS[group]).join(", ")}`,
      plural(count, "segment", "segments"),
    ];
    setText(this.parts.printed, items.filter(Boolean).join(" · "));
  }
}
