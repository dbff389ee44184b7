/** Acknowledgements that outlast a reload and hold in all tabs: kept in the browser's storage, which may be forbidden. */

export class Acknowledged {
  #kept = "[]";

  /** `storage()` returns a localStorage; even to ask for it may throw. */
  constructor({ alerts, key, storage = () => globalThis.localStorage }) {
    Object.assign(this, { alerts, key, storage });
  }

  /** Take over what is kept; it may have been written by anything. */
  read() {
    try {
      this.#kept = this.storage().getItem(this.key) ?? "[]";
      this.alerts.recall(JSON.parse(this.#kept).filter(isRight));
    } catch {
      // Then nothing is known to be acknowledged, and all is shown as new.
    }
  }

  /** Keep what is acknowledged now. */
  write() {
    const text = JSON.stringify(this.alerts.acknowledgements());
    if (text === this.#kept) return;
    this.#kept = text;
    try {
      this.storage().setItem(this.key, text);
    } catch {
      // Then it lasts as long as the page.
    }
  }
}

function isRight(entry) {
  const [id, kind, since, until, ...more] = Array.isArray(entry) ? entry : [];
  return typeof id === "string" && typeof kind === "string" && [since, until].every(Number.isFinite) && more.length === 0;
}
