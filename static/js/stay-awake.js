/**
 * Keeps the screen on, where the browser allows it: over https and on localhost. Pure.
 *
 * @typedef {{ readonly released: boolean }} Lock
 * @typedef {{ request(type: "screen"): Promise<Lock> }} WakeLock
 */

const RETRY_MS = 60_000;

export class StayAwake {
  /** @type {Lock | null} */
  #lock = null;
  #retryAt = -Infinity;

  /** @param {{ wakeLock: WakeLock | undefined, clock: () => number }} options */
  constructor({ wakeLock, clock }) {
    this.wakeLock = wakeLock;
    this.clock = clock;
  }

  /** Forget a refusal: the next keep() asks at once. */
  retryNow() {
    this.#retryAt = -Infinity;
  }

  /**
   * Ask for the lock, unless it is held. To be called again and again: the browser releases it when the page is hidden, and
   * refuses it with a low battery, for example.
   *
   * @param {boolean} isVisible
   */
  async keep(isVisible) {
    const isHeld = this.#lock !== null && !this.#lock.released;
    if (!this.wakeLock || isHeld || !isVisible || this.clock() < this.#retryAt) return;
    this.#retryAt = this.clock() + RETRY_MS;
    this.#lock = await this.wakeLock.request("screen").catch(() => null);
  }
}
