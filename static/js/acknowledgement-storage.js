/**
 * Keeps acknowledgements of alerts in the browser's storage, so that they outlast a reload and hold in all tabs.
 *
 * @import { Alerts } from "./alerts.js"
 * @import { Timers } from "./types.d.ts"
 */

const WRITE_EVERY_MS = 30_000;

export class AcknowledgementStorage {
  #stored = "[]";
  /** @type {number | undefined} */
  #timer;

  /** @param {{ alerts: Alerts, key: string, storage?: () => Storage, timers?: Timers }} options `storage()` may throw, too */
  constructor({ alerts, key, storage = () => globalThis.localStorage, timers = globalThis.window }) {
    this.alerts = alerts;
    this.key = key;
    this.storage = storage;
    this.timers = timers;
  }

  /** Take over what is stored, and store every half a minute how long alerts have lasted. */
  start() {
    this.read();
    this.#schedule();
  }

  stop() {
    this.timers.clearTimeout(this.#timer);
    this.write();
  }

  /** Take over what is stored; any script of this origin may have written it. */
  read() {
    try {
      this.#stored = this.storage().getItem(this.key) ?? "[]";
      this.alerts.recall(JSON.parse(this.#stored).filter(isEntry));
    } catch {
      // Storage may be forbidden, or hold something else: all alerts are shown as new.
    }
  }

  /** Store what is acknowledged now. */
  write() {
    const text = JSON.stringify(this.alerts.acknowledgements());
    if (text === this.#stored) return;
    this.#stored = text;
    try {
      this.storage().setItem(this.key, text);
    } catch {
      // Storage may be forbidden: the acknowledgements last as long as the page.
    }
  }

  #schedule() {
    this.timers.clearTimeout(this.#timer);
    this.#timer = this.timers.setTimeout(() => {
      this.write();
      this.#schedule();
    }, WRITE_EVERY_MS);
  }
}

/** @param {unknown} entry */
function isEntry(entry) {
  const [id, kind, since, until, ...more] = Array.isArray(entry) ? entry : [];
  return typeof id === "string" && typeof kind === "string" && [since, until].every(Number.isFinite) && more.length === 0;
}
