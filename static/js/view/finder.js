/** Search, "Clear filters", and what stands in the table's place when there is nothing to list. */
import { kafkaIsAway, plural } from "./format.js";
import { narrows } from "../query.js";
import { parts, setText } from "./elements.js";

export class FinderView {
  constructor(root, { onWords, onClear }) {
    this.parts = parts(root);
    const { search, clear, clearEmpty } = this.parts;
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
    this.#renderEmpty(store, matching);
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
