/**
 * Keeps acknowledgements of alerts in the browser's storage, so that they outlast a reload and hold in all tabs.
 *
 * @import { Alerts } from "./alerts.js"
 */

export class AcknowledgementStorage {
  #stored = "[]";

  /** @param {{ alerts: Alerts, key: string, storage?: () => Storage }} options `storage()` may throw, too */
  constructor({ alerts, key, storage = () => globalThis.localStorage }) {
    this.alerts = alerts;
    this.key = key;
    this.storage = storage;
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
}

/** @param {unknown} entry */
function isEntry(entry) {
  const [id, kind, since, until, ...more] = Array.isArray(entry) ? entry : [];
  return typeof id === "string" && typeof kind === "string" && [since, until].every(Number.isFinite) && more.length === 0;
}
