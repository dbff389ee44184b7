/**
 * Which alerts were acknowledged: per segment the kind, and the time from and until which the alert is known. Pure.
 *
 * An alert of the same segment and kind whose time overlaps is the same alert. So an acknowledgement holds after a
 * reload, and in another tab.
 *
 * @import { Alert } from "./types.d.ts"
 * @typedef {{ kind: string, since: number, until: number }} Acknowledgement
 */

const MAX_ENTRIES = 1_000;

export class Acknowledgements {
  /** @type {Map<string, Acknowledgement>} */
  #bySegment = new Map();

  /** @param {{ silenceMs: number }} options a page that was closed for less may have missed steps between */
  constructor({ silenceMs }) {
    this.silenceMs = silenceMs;
  }

  /** @returns {[string, string, number, number][]} id, kind, since, until; at most the last 1,000 */
  entries() {
    return [...this.#bySegment].map(([id, { kind, since, until }]) => [id, kind, since, until]);
  }

  /** @param {Alert} alert */
  add({ id, kind, since, timestamp }) {
    this.#put(id, { kind, since, until: timestamp });
  }

  /**
   * Take over entries of another tab, or of before a reload, unless a newer one is known.
   *
   * @param {[string, string, number, number][]} entries
   */
  recall(entries) {
    for (const [id, kind, since, until] of entries) {
      const known = this.#bySegment.get(id);
      if (!known || known.until <= until) this.#put(id, { kind, since, until });
    }
  }

  /**
   * Drop a segment's entry if its alert has ended.
   *
   * @param {string} id
   * @param {number} timestamp
   */
  end(id, timestamp) {
    const known = this.#bySegment.get(id);
    if (known && timestamp > known.until) this.#bySegment.delete(id);
  }

  /**
   * Return the entry that an alert belongs to.
   *
   * @param {Alert} alert
   */
  of(alert) {
    const known = this.#bySegment.get(alert.id);
    if (known?.kind !== alert.kind || known.since > alert.timestamp) return null;
    return alert.since - known.until < this.silenceMs ? known : null;
  }

  /**
   * @param {string} id
   * @param {Acknowledgement} entry
   */
  #put(id, entry) {
    this.#bySegment.delete(id); // so that the Map's order is the order of changes
    this.#bySegment.set(id, entry);
    for (const oldest of this.#bySegment.keys()) {
      if (this.#bySegment.size <= MAX_ENTRIES) break;
      this.#bySegment.delete(oldest);
    }
  }
}
