/**
 * Completes the trails of visible segments from the history, since a view has one prediction of each.
 *
 * @import { Api } from "./api.js"
 * @import { Store } from "./store.js"
 */
import { writeSegments } from "./query.js";
import { TRAIL_LENGTH } from "./trails.js";

/** So that no answer takes long to read. */
const MAX_SEGMENTS = 20;
const MAX_ASKED = 50_000;

export class TrailHistory {
  /** @type {Set<string>} segments whose history was requested */
  #asked = new Set();
  #isReading = false;

  /** @param {{ store: Store, api: Api, onChange(): void }} options */
  constructor({ store, api, onChange }) {
    this.store = store;
    this.api = api;
    this.onChange = onChange;
  }

  /**
   * Request the history of segments whose trail is too short for a line; of each once, and in one request at a time.
   *
   * @param {string[]} ids
   */
  async complete(ids) {
    const { store } = this;
    if (this.#isReading || !store.hasView) return;
    const missing = ids.filter((id) => !this.#asked.has(id) && store.trail(id).length < 2);
    const filter = writeSegments(missing.slice(0, MAX_SEGMENTS));
    if (this.#asked.size > MAX_ASKED) this.#asked.clear();
    for (const id of missing.slice(0, MAX_SEGMENTS)) this.#asked.add(id);
    if (filter === "") return;
    this.#isReading = true;
    try {
      store.completeTrails(await this.api.newest(TRAIL_LENGTH, `${filter}&horizon=all`));
    } catch {
      // The trails then begin with what arrives.
    } finally {
      this.#isReading = false;
    }
    this.onChange();
  }
}
