/** How time goes in a replay: its newest event, and how fast that moves on beside the wall clock. Pure. */

const WINDOW_MS = 60_000;
const LEAST_MS = 1_000;

export class ReplayClock {
  #since = null;
  #newest = null;

  /**
   * An event of a replay came; both times in epoch milliseconds. How fast it goes is known once it moves on, and
   * learned anew each minute, since whoever replays may change it.
   */
  hear(eventMs, wallMs) {
    if (this.#newest === null || eventMs > this.#newest.eventMs) this.#newest = { eventMs, wallMs };
    else this.#newest.wallMs = wallMs;
    this.#since ??= { ...this.#newest };
    if (wallMs - this.#since.wallMs > WINDOW_MS) this.#since = { ...this.#newest, speed: this.#speed };
  }

  /** The newest event time in epoch milliseconds; null when nothing was heard. */
  get newestMs() {
    return this.#newest?.eventMs ?? null;
  }

  /**
   * Return how old an event is in milliseconds of the replay: behind its newest one, or, when nothing comes any more, by
   * the wall clock times the replay's speed, though at most times `mostSpeed`.
   */
  ageMs(eventMs, wallMs, mostSpeed) {
    const silent = wallMs - this.#newest.wallMs;
    return Math.max(this.#newest.eventMs - eventMs, silent * Math.min(this.#speed, mostSpeed));
  }

  get #speed() {
    const passed = this.#newest.wallMs - this.#since.wallMs;
    if (passed < LEAST_MS) return this.#since.speed ?? 1;
    return Math.max(1, (this.#newest.eventMs - this.#since.eventMs) / passed);
  }
}
