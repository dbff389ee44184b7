/** Search, road, "Clear filters", and what stands in the table's place when there is nothing to list. */
import { label, plural } from "./format.js";
import { kafkaIsAway } from "../store.js";
import { narrows } from "../query.js";
import { parts, setText } from "./elements.js";

const LONGEST_WARNING = 1_500;

const MOST_ROADS = 1_000;
const SPEAK_AFTER_MS = 500;
const ROADS_EVERY_MS = 2_000;
const FIRST_ROADS_EVERY_MS = 200;

export class FinderView {
  #asked = "";
  #timer = null;
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
    search.addEventListener("keydown", ({ key }) => key === "Escape" && onWords(""));
  }

  focus() {
    this.parts.search.focus();
    this.parts.search.select();
  }

  render(store, query, matching) {
    const { search, clear, matches } = this.parts;
    if (search.value !== query.words) search.value = query.words;
    clear.hidden = !narrows(query);
    setText(matches, narrows(query) ? `${plural(matching, "segment matches", "segments match")}` : "");
    if (store.segments.size > 0) this.#speak(query);
    this.#renderRoads(query.road);
    this.#renderEmpty(store, matching);
  }

  /** The number is read out when something else was asked for, not whenever what is live changes it. */
  #speak({ words, road, groups }) {
    const asked = JSON.stringify([words, road, groups]);
    if (asked === this.#asked) return;
    this.#asked = asked;
    clearTimeout(this.#timer);
    const { matches, matchesSpoken } = this.parts;
    this.#timer = setTimeout(() => setText(matchesSpoken, matches.textContent), SPEAK_AFTER_MS);
  }

  /** The roads there are, and the one asked for even if there is none of it; made anew only when they are others. */
  #renderRoads(wanted) {
    const now = performance.now();
    const { road } = this.parts;
    if (now - this.#roadsAt >= (road.hidden ? FIRST_ROADS_EVERY_MS : ROADS_EVERY_MS) || road.value !== (wanted ?? "")) {
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
    const isStarting = store.consumer?.state === "starting";
    const connected = (phase === "live" || phase === "polling") && !isStarting;
    this.parts.nothingMatches.hidden = size === 0 || matching > 0;
    const isEmpty = size === 0 && connected && !kafkaIsAway(store.consumer);
    const warning = store.stats?.warning ?? null;
    this.parts.noData.hidden = !isEmpty || warning !== null;
    this.parts.unreadTopic.hidden = !isEmpty || warning === null;
    setText(this.parts.unreadTopicText, label(warning ?? "", LONGEST_WARNING));
    setText(this.parts.loadingTitle, isStarting ? "Connected, but Kafka isn't read yet" : "Connecting");
    this.parts.loading.hidden = size > 0 || connected || store.connection.lostAt !== null;
    this.parts.table.hidden = matching === 0;
  }
}
