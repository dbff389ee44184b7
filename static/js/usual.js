/**
 * The usual speeds: what the server has learnt by weekday and quarter-hour. They are requested once something that is
 * shown needs them, a quarter-hour of all segments or a day of one segment at a time. It knows no DOM.
 *
 * @import { Api } from "./api.js"
 * @import { Band } from "./types.d.ts"
 */

export const QUARTER_MS = 900_000;
/** Quarter-hours, and days of a segment, that are kept: those that were requested last. Time travel shows a day again. */
const MAX_KEPT = 100;
/** With many segments fewer are kept, but so many always. */
const LEAST_KEPT = 8;
const MAX_BANDS = 200_000;
const MAX_WANTED = 4;
const RETRY_MS = 10_000;
/** The server takes times from 2000 to 2200; a producer may state others. */
const [EARLIEST_MS, LATEST_MS] = [Date.UTC(2000), Date.UTC(2200)];

/** @typedef {Map<string | number, Band>} Bands by segment, or by the number of the quarter-hour in a day */

export class UsualSpeeds {
  /** @type {Map<string, Bands>} */
  #kept = new Map();
  /** @type {Map<string, () => Promise<Bands>>} */
  #wanted = new Map();
  #isLoading = false;
  #retryAt = -Infinity;

  /**
   * @param {object} options
   * @param {Api} options.api
   * @param {string | null} options.timezone that of the roads; null if there are no usual speeds
   * @param {() => void} options.onChange
   * @param {() => number} [options.clock]
   */
  constructor({ api, timezone, onChange, clock = Date.now }) {
    this.api = api;
    this.onChange = onChange;
    this.clock = clock;
    this.local = timezone === null ? null : localTimes(timezone);
    /** Changes with each answer. */
    this.version = 0;
  }

  get isOn() {
    return this.local !== null;
  }

  /**
   * Return the usual speed of a segment at a time; null if it is not known, or not yet.
   *
   * @param {string} id
   * @param {number} atMs
   * @returns {Band | null}
   */
  at(id, atMs) {
    if (!this.isOn || !isTaken(atMs)) return null;
    const quarter = Math.floor(atMs / QUARTER_MS);
    return this.#bands(String(quarter), () => this.api.usualAt(quarter * QUARTER_MS))?.get(id) ?? null;
  }

  /**
   * Return the usual speed of a segment at a time, from those of its day; null if it is not known, or not yet.
   *
   * @param {string} id
   * @param {number} atMs
   * @returns {Band | null}
   */
  onDay(id, atMs) {
    if (this.local === null || !isTaken(atMs)) return null;
    const { date, time } = this.local(atMs);
    return this.#bands(`${date} ${id}`, () => this.api.usualDay(id, atMs))?.get(time) ?? null;
  }

  /** Request what was wanted since the last answer, one after the other. After a failure it waits. */
  async load() {
    if (this.#isLoading || this.#wanted.size === 0 || this.clock() < this.#retryAt) return;
    this.#isLoading = true;
    const wanted = [...this.#wanted];
    this.#wanted.clear();
    try {
      for (const [key, read] of wanted) {
        this.#kept.set(key, await read());
        this.#forget();
      }
    } catch {
      this.#retryAt = this.clock() + RETRY_MS; // what is still wanted then is asked for again
    } finally {
      this.#isLoading = false;
    }
    this.version += 1;
    this.onChange();
  }

  #forget() {
    let bands = 0;
    for (const each of this.#kept.values()) bands += each.size;
    for (const [key, { size }] of this.#kept) {
      const isMuch = this.#kept.size > MAX_KEPT || bands > MAX_BANDS;
      if (!isMuch || this.#kept.size <= LEAST_KEPT) return;
      bands -= size;
      this.#kept.delete(key);
    }
  }

  /**
   * @param {string} key
   * @param {() => Promise<Bands>} read
   */
  #bands(key, read) {
    const known = this.#kept.get(key);
    if (known === undefined && this.#wanted.size < MAX_WANTED) this.#wanted.set(key, read);
    return known;
  }
}

/** @param {number} atMs */
function isTaken(atMs) {
  return atMs >= EARLIEST_MS && atMs < LATEST_MS;
}

/**
 * Return a function that gives the date and the number of the quarter-hour of a time in a zone; null for a zone that the
 * browser doesn't know.
 *
 * @param {string} timezone
 */
function localTimes(timezone) {
  /** @type {Map<number, { date: string, time: number }>} */
  const known = new Map();
  try {
    const format = new Intl.DateTimeFormat("en-CA", { timeZone: timezone, dateStyle: "short", timeStyle: "short", hourCycle: "h23" });
    return (/** @type {number} */ atMs) => {
      const quarter = Math.floor(atMs / QUARTER_MS);
      const found = known.get(quarter) ?? read(format, quarter * QUARTER_MS);
      if (known.size > 1_000) known.clear();
      known.set(quarter, found);
      return found;
    };
  } catch {
    return null;
  }
}

/**
 * @param {Intl.DateTimeFormat} format
 * @param {number} atMs
 */
function read(format, atMs) {
  /** @type {Record<string, string>} */
  const part = {};
  for (const { type, value } of format.formatToParts(atMs)) part[type] = value;
  return { date: `${part.year}-${part.month}-${part.day}`, time: 4 * Number(part.hour) + Math.floor(Number(part.minute) / 15) };
}
