/**
 * When predictions arrived, and how many in the last minute. Pure.
 *
 * @import { Prediction, Shown } from "./types.d.ts"
 */

const RATE_SECONDS = 60;

export class Arrivals {
  /** @type {Map<number, number>} count by second */
  #bySecond = new Map();
  /** @type {WeakMap<Prediction | Shown, number>} */
  #times = new WeakMap();
  /** @type {number | null} */
  #frozenRate = null;
  /** @type {number | null} */
  #beganAt = null;
  /** @type {number | null} */
  #frozenSeconds = null;

  /** @param {{ clock: () => number }} options */
  constructor({ clock }) {
    this.clock = clock;
    this.count = 0;
    /** @type {number | null} */
    this.lastAt = null;
  }

  /** Predictions arrive from now on. */
  begin() {
    this.#beganAt ??= this.clock();
  }

  /** Over how many seconds predictions were counted: 60, and fewer in the first minute. */
  get seconds() {
    if (this.#frozenSeconds !== null) return this.#frozenSeconds;
    const passed = this.#beganAt === null ? 0 : (this.clock() - this.#beganAt) / 1000;
    return Math.min(RATE_SECONDS, Math.max(1, Math.ceil(passed)));
  }

  /** @param {Prediction} prediction */
  record(prediction) {
    this.lastAt = this.clock();
    this.count += 1;
    this.#times.set(prediction, this.lastAt);
    const second = Math.floor(this.lastAt / 1000);
    this.#bySecond.set(second, (this.#bySecond.get(second) ?? 0) + 1);
    this.#expire(second);
  }

  /**
   * Return when a prediction arrived; null if it came as part of a view.
   *
   * @param {Prediction | Shown} prediction
   */
  timeOf(prediction) {
    return this.#times.get(prediction) ?? null;
  }

  /** Predictions that arrived in the last minute; in a pause, in the minute before it. */
  get perMinute() {
    if (this.#frozenRate !== null) return this.#frozenRate;
    this.#expire(Math.floor(this.clock() / 1000));
    return [...this.#bySecond.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Stop the rate, until resume(). */
  freeze() {
    this.#frozenRate ??= this.perMinute;
    this.#frozenSeconds ??= this.seconds;
  }

  resume() {
    this.#frozenRate = null;
    this.#frozenSeconds = null;
  }

  /** @param {number} second */
  #expire(second) {
    for (const each of this.#bySecond.keys()) {
      if (each > second - RATE_SECONDS) return; // the Map is in the order of time
      this.#bySecond.delete(each);
    }
  }
}
