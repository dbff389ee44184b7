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
import { t } from "../texts.js";
import { parts, setText } from "./elements.js";
import { exactly, horizonText, label, LABELS } from "./format.js";

export class PaperView {
  /** @param {ParentNode} root */
  constructor(root) {
    this.parts = parts(root);
  }

  /**
   * @param {ShownView} shown
   */
  render(shown) {
    setText(this.parts.printed, shownText("view.printed", shown));
  }
}

/**
 * When the page was printed or saved, and what it shows.
 *
 * @param {"view.printed" | "view.saved"} verb
 * @param {ShownView} shown
 */
export function shownText(verb, { query, time, paused, count, now }) {
  const items = [
    t(verb, { time: exactly(now) }),
    time !== null && t("view.shows", { time: exactly(time) }),
    timeText(query),
    paused && t("view.paused"),
    ...filterTexts(query),
    t("segments", { count }),
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
    at !== null && t("view.shows", { time: exactly(at) }),
    timeText(query),
    ...filterTexts(query),
    segment !== null && t("view.segment", { id: label(segment) }),
    view !== null && t("view.map"),
  ];
  return items.filter(Boolean).join(" · ") || t("view.all");
}

/** @param {Query} query */
function timeText({ time }) {
  return time !== null && (time === NOW ? t("view.now") : t("view.predicted", { horizon: horizonText(Number(time)) }));
}

/** @param {Query} query */
function filterTexts({ words, road, groups }) {
  return [
    words.trim() && t("view.search", { words: label(words.trim()) }),
    road !== null && t("view.road", { road: label(road) }),
    groups.length > 0 && t("view.only", { groups: groups.map((group) => LABELS[group]).join(", ") }),
  ];
}
