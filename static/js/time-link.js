/**
 * Keeps the time that is shown of the past in the address.
 *
 * @import { Address } from "./address.js"
 * @import { TimeTravel } from "./time-travel.js"
 */

/** Browsers refuse to change the address too often. */
const WRITE_EVERY_MS = 500;

export class TimeLink {
  #writtenAt = -Infinity;

  /** @param {{ address: Address, past: TimeTravel }} options */
  constructor({ address, past }) {
    this.address = address;
    this.past = past;
  }

  /** @param {number} now */
  write(now) {
    const { past, address } = this;
    const at = past.isThere ? (past.missed ?? past.time) : null;
    if (past.isReading || past.playing || at === address.query.at || now - this.#writtenAt < WRITE_EVERY_MS) return;
    this.#writtenAt = now;
    address.change({ at });
  }
}
