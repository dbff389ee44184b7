/**
 * Which alerts were acknowledged: per segment and kind the time from and until which the alert is known. Pure.
 *
 * An alert of the same segment and kind whose time overlaps is the same alert. So an acknowledgement holds after a
 * reload, in another tab and, where it is shared, on all pages.
 *
 * @import { Alert, Seen, SharedAcknowledgement } from "./types.d.ts"
 * @typedef {{ id: string, kind: string, since: number, until: number, seen: Seen | null }} Acknowledgement
 */

const MAX_ENTRIES = 2_000;

export class Acknowledgements {
  /** @type {Map<string, Acknowledgement>} */
  #known = new Map();
  /** @type {Map<string, number>} when alerts ended whose entry may be given again */
  #ended = new Map();

  /** @param {{ silenceMs: number }} options a page that was closed for less may have missed steps between */
  constructor({ silenceMs }) {
    this.silenceMs = silenceMs;
  }

  /** @returns {[string, string, number, number][]} id, kind, since, until; at most the last 2,000 */
  entries() {
    return [...this.#known.values()].map(({ id, kind, since, until }) => [id, kind, since, until]);
  }

  /** @param {Alert} alert */
  add({ id, kind, since, timestamp, seen }) {
    this.#put({ id, kind, since, until: timestamp, seen });
  }

  /**
   * Take over entries of another tab, or of before a reload, unless a newer one is known.
   *
   * @param {[string, string, number, number][]} entries
   */
  recall(entries) {
    for (const [id, kind, since, until] of entries) {
      const known = this.#known.get(keyOf(id, kind));
      if (!known || known.until <= until) this.#put({ id, kind, since, until, seen: null });
    }
  }

  /**
   * Take over the entries that all pages share, in place of those before, except for alerts that have ended here.
   *
   * @param {SharedAcknowledgement[]} entries
   */
  replace(entries) {
    this.#known.clear();
    const ended = this.#ended;
    this.#ended = new Map();
    for (const { segment_id: id, kind, since, until, name, note, at } of entries) {
      const key = keyOf(id, kind);
      const endedAt = ended.get(key) ?? -Infinity;
      if (endedAt > until) this.#ended.set(key, endedAt);
      else this.#put({ id, kind, since, until, seen: { name, note, at } });
    }
  }

  /**
   * Drop the entry of a segment and kind if its alert has ended.
   *
   * @param {string} id
   * @param {string} kind
   * @param {number} timestamp
   */
  end(id, kind, timestamp) {
    const key = keyOf(id, kind);
    const known = this.#known.get(key);
    if (!known || timestamp <= known.until) return;
    this.#known.delete(key);
    this.#ended.set(key, timestamp);
    trim(this.#ended);
  }

  /** Let alerts that have ended go on: those of another horizon may. */
  forgetEnds() {
    this.#ended.clear();
  }

  /**
   * Return the entry that an alert belongs to.
   *
   * @param {Pick<Alert, "id" | "kind" | "since" | "timestamp">} alert
   */
  of({ id, kind, since, timestamp }) {
    const known = this.#known.get(keyOf(id, kind));
    if (!known || known.since > timestamp) return null;
    return since - known.until < this.silenceMs ? known : null;
  }

  /** @param {Acknowledgement} entry */
  #put(entry) {
    const key = keyOf(entry.id, entry.kind);
    this.#known.delete(key); // so that the Map's order is the order of changes
    this.#known.set(key, entry);
    trim(this.#known);
  }
}

/**
 * @param {string} id
 * @param {string} kind
 */
function keyOf(id, kind) {
  return `${kind} ${id}`;
}

/** @param {Map<string, unknown>} entries */
function trim(entries) {
  for (const oldest of entries.keys()) {
    if (entries.size <= MAX_ENTRIES) break;
    entries.delete(oldest);
  }
}
