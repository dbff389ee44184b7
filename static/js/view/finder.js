/**
 * Search, road filter, "Clear filters", and what replaces an empty table.
 *
 * @import { Rows } from "../rows.js"
 * @import { Store } from "../store.js"
 * @import { Query } from "../types.d.ts"
 */
import { narrows, WORST } from "../query.js";
import { t } from "../texts.js";
import { parts, setAttribute, setText } from "./elements.js";
import { label } from "./format.js";

const MAX_WARNING = 1_500;
const MAX_ROADS = 1_000;
const ANNOUNCE_AFTER_MS = 500;
const ROADS_EVERY_MS = 2_000;
const FIRST_ROADS_EVERY_MS = 200;

export class FinderView {
  #announced = "";
  /** @type {number | undefined} */
  #timer;
  #roads = "";
  #roadsAt = -Infinity;

  /**
   * @param {ParentNode} root
   * @param {{ rows: Rows, onWords(words: string): void, onRoad(road: string | null): void, onWorst(): void, onClear(): void }} options
   */
  constructor(root, { rows, onWords, onRoad, onWorst, onClear }) {
    this.rows = rows;
    this.parts = parts(root);
    const { search, road, worst, clear, clearEmpty } = this.parts;
    worst.addEventListener("click", onWorst);
    road.addEventListener("change", () => onRoad(road.value || null));
    search.addEventListener("input", () => onWords(search.value));
    search.addEventListener("keydown", ({ key }) => {
      if (key === "Escape") onWords("");
    });
    for (const button of [clear, clearEmpty]) {
      button.addEventListener("click", () => {
        onClear();
        search.focus();
      });
    }
  }

  focus() {
    this.parts.search.focus();
    this.parts.search.select();
  }

  /**
   * @param {Store} store
   * @param {Query} query
   * @param {number} matching
   */
  render(store, query, matching) {
    const { search, worst, clear, matches } = this.parts;
    setAttribute(worst, "aria-pressed", String(query.column === WORST));
    if (search.value !== query.words) search.value = query.words;
    clear.hidden = !narrows(query);
    setText(matches, narrows(query) ? t("finder.matches", { count: matching }) : "");
    if (store.segments.size > 0) this.#announce(query);
    this.#renderRoads(query.road);
    this.#renderEmpty(store, matching);
  }

  /**
   * Announce the number of matches to screen readers when the filter changes, but not when updates change it.
   *
   * @param {Query} query
   */
  #announce({ words, road, groups }) {
    const filter = JSON.stringify([words, road, groups]);
    if (filter === this.#announced) return;
    this.#announced = filter;
    clearTimeout(this.#timer);
    const { matches, matchesSpoken } = this.parts;
    this.#timer = setTimeout(() => setText(matchesSpoken, matches.textContent ?? ""), ANNOUNCE_AFTER_MS);
  }

  /**
   * List the roads of all segments, and the chosen one in any case.
   *
   * @param {string | null} chosen
   */
  #renderRoads(chosen) {
    const now = performance.now();
    const { road } = this.parts;
    const everyMs = road.hidden ? FIRST_ROADS_EVERY_MS : ROADS_EVERY_MS;
    if (now - this.#roadsAt >= everyMs || road.value !== (chosen ?? "")) {
      this.#roadsAt = now;
      const roads = this.rows.corridors().slice(0, MAX_ROADS);
      if (chosen !== null && !roads.includes(chosen)) roads.push(chosen);
      const key = JSON.stringify(roads);
      if (key !== this.#roads) road.replaceChildren(road.options[0], ...roads.map((each) => new Option(label(each), each)));
      this.#roads = key;
      road.value = chosen ?? "";
    }
    road.hidden = road.options.length < 2;
  }

  /**
   * @param {Store} store
   * @param {number} matching
   */
  #renderEmpty({ segments: { size }, status, stats, hasView, loading }, matching) {
    const { phase, lostAt } = status.connection;
    const isStarting = status.consumer?.state === "starting";
    const isConnected = (phase === "live" || phase === "polling") && !isStarting;
    const isEmpty = size === 0 && isConnected && hasView && !status.isKafkaUnreachable;
    const warning = stats?.warning ?? null;
    this.parts.nothingMatches.hidden = size === 0 || matching > 0;
    this.parts.noData.hidden = !isEmpty || warning !== null;
    this.parts.unreadTopic.hidden = !isEmpty || warning === null;
    setText(this.parts.unreadTopicText, label(warning ?? "", MAX_WARNING));
    setText(this.parts.loadingTitle, loadingText(isStarting, isConnected, loading));
    this.parts.loading.hidden = size > 0 || (isConnected && hasView) || lostAt !== null;
    this.parts.table.hidden = matching === 0;
  }
}

/**
 * @param {boolean} isStarting
 * @param {boolean} isConnected
 * @param {number | null} loading
 */
function loadingText(isStarting, isConnected, loading) {
  if (isStarting) return t("loading.waiting");
  if (!isConnected) return t("connecting");
  return loading === null ? t("loading.connected") : t("loading.count", { count: loading });
}
