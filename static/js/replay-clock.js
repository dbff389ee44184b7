/** Estimates the age of replayed events from the newest event and the replay's speed. Pure. */

const WINDOW_MS = 60_000;
const MIN_SAMPLE_MS = 1_000;

/** @typedef {{ eventMs: number, wallMs: number, speed?: number }} Sample */

export class ReplayClock {
  /** @type {Sample | null} */
  #since = null;
  /** @type {Sample | null} */
  #newest = null;

  /**
   * Record an event of a replay. The speed is estimated over a window of one minute, since it may change.
   *
   * @param {number} eventMs
   * @param {number} wallMs
   */
  record(eventMs, wallMs) {
    if (this.#newest === null || eventMs > this.#newest.eventMs) this.#newest = { eventMs, wallMs };
    else this.#newest.wallMs = wallMs;
    this.#since ??= { ...this.#newest };
    if (wallMs - this.#since.wallMs > WINDOW_MS) this.#since = { ...this.#newest, speed: this.#speed() };
  }

  /**
   * Move the arrival of the newest event into the past: it came with a view, some time after the server had read it.
   *
   * @param {number} wallMs
   */
  arrivedAt(wallMs) {
    if (this.#newest && wallMs < this.#newest.wallMs) this.#newest.wallMs = wallMs;
  }

  /** The newest event time in epoch milliseconds; null before the first event. */
  get newestMs() {
    return this.#newest?.eventMs ?? null;
  }

  /**
   * Return how long there was no event.
   *
   * @param {number} wallMs
   */
  silentMs(wallMs) {
    return this.#newest === null ? 0 : wallMs - this.#newest.wallMs;
  }

  /**
   * Return the age of an event in milliseconds of the replay: its distance to the newest event, or the time without
   * events multiplied by the replay's speed (at most `maxSpeed`), whichever is larger.
   *
   * @param {number} eventMs
   * @param {number} wallMs
   * @param {number} maxSpeed
   */
  ageMs(eventMs, wallMs, maxSpeed) {
    if (this.#newest === null) return 0;
    return Math.max(this.#newest.eventMs - eventMs, this.silentMs(wallMs) * Math.min(this.#speed(), maxSpeed));
  }

  #speed() {
    if (this.#newest === null || this.#since === null) return 1;
    const passedMs = this.#newest.wallMs - this.#since.wallMs;
    if (passedMs < MIN_SAMPLE_MS) return this.#since.speed ?? 1;
    return Math.max(1, (this.#newest.eventMs - this.#since.eventMs) / passedMs);
  }
}
