/** Search, road, "Clear filters", and what stands in the table's place when there is nothing to list. */
import { kafkaIsAway, label, plural } from "./format.js";
import { narrows } from "../query.js";
import { parts, setText } from "./elements.js";

const MOST_ROADS = 1_000;
const ROADS_EVERY_MS = 2_000;

export class FinderView {
  #roads = "";
  #roadsAt = -Infinity;

  constructor(root, { rows, onWords, onRoad, onClear }) {
    this.rows = rows;
    this.parts = parts(root);
    const { search, road, clear, clearEmpty } = this.parts;
    road.addEventListener("change", () => onRoad(road.value || null));
    search.addEventListener("input", () => onWords(search.value));
    for (const button of [clear, clearEmpty]) {
      button.addEventListener("click", () => {
        onClear();
        search.focus();
      });
    }
    document.addEventListener("keydown", (event) => this.#key(event, onWords));
  }

  render(store, query, matching) {
    const { search, clear, matches } = this.parts;
    if (search.value !== query.words) search.value = query.words;
    clear.hidden = !narrows(query);
    setText(matches, narrows(query) ? `${plural(matching, "segment matches", "segments match")}` : "");
    this.#renderRoads(query.road);
    this.#renderEmpty(store, matching);
  }

  /** The roads there are, and the one asked for even if there is none of it; made anew only when they are others. */
  #renderRoads(wanted) {
    const now = performance.now();
    const { road } = this.parts;
    if (now - this.#roadsAt >= ROADS_EVERY_MS || road.value !== (wanted ?? "")) {
      this.#roadsAt = now;
      const roads = this.rows.corridors().slice(0, MOST_ROADS);
      if (wanted !== null && !roads.includes(wanted)) roads.push(wanted);
      const key = JSON.stringify(roads);
      if (key !== this.#roads) road.replaceChildren(road.options[0], ...roads.map((each) => new Option(label(each), each)));
      this.#roads = key;
      road.value = wanted ?? "";
    }
    road.hidden = road.options.length < 2;
  }

  #renderEmpty(store, matching) {
    const { size } = store.segments;
    const { phase } = store.connection;
    const connected = phase === "live" || phase === "polling";
    this.parts.nothingMatches.hidden = size === 0 || matching > 0;
    this.parts.noData.hidden = size > 0 || !connected || kafkaIsAway(store.consumer);
    this.parts.loading.hidden = size > 0 || connected || store.connection.lostAt !== null;
    this.parts.table.hidden = matching === 0;
  }

  #key(event, onWords) {
    const { search } = this.parts;
    const typing = event.target.matches("input, textarea, select, [contenteditable]");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      search.focus();
      search.select();
    } else if (event.key === "Escape" && event.target === search) onWords("");
  }
}
