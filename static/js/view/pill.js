/**
 * The connection pill, the button beside it, and the announcement of a changed connection to screen readers.
 *
 * @import { Store } from "../store.js"
 */
import { parts, setAttribute, setText } from "./elements.js";
import { pill } from "./wording.js";

const ANNOUNCE_AFTER_MS = 1_000;

export class PillView {
  #spoken = "";
  /** @type {number | undefined} */
  #timer;

  /**
   * @param {ParentNode} root
   * @param {{ onRetry(): void }} options
   */
  constructor(root, { onRetry }) {
    this.parts = parts(root);
    this.parts.retry.addEventListener("click", onRetry);
  }

  /**
   * @param {Store} store the live one
   * @param {number} now
   * @param {{ time?: number, paused?: boolean, waiting?: number }} shown what is shown instead of live data
   */
  render(store, now, shown) {
    const { status } = store;
    const updates = { at: store.updatedAt, staleSeconds: store.ages.staleSeconds ?? store.ages.staleReplaySeconds, any: store.segments.size > 0 };
    const { tone, text, spoken } = pill({ status, updates, now, browserOnline: navigator.onLine, shown });
    setAttribute(this.parts.pill, "data-tone", tone);
    setText(this.parts.pillText, text);
    const { phase, lostAt } = status.connection;
    this.parts.retry.hidden = phase === "live" || (phase === "connecting" && !lostAt);
    this.#announce(spoken);
  }

  /**
   * A state is announced once it has lasted a second. An outdated announcement is removed at once.
   *
   * @param {string} text
   */
  #announce(text) {
    if (text === this.#spoken) return;
    this.#spoken = text;
    clearTimeout(this.#timer);
    setText(this.parts.spoken, "");
    this.#timer = setTimeout(() => setText(this.parts.spoken, text), ANNOUNCE_AFTER_MS);
  }
}
