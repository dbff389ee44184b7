/** The connection pill, the button beside it, and what is read out when the connection changes. */
import { pill } from "./format.js";
import { parts, setAttribute, setText } from "./elements.js";

const SPEAK_AFTER_MS = 1_000;

export class PillView {
  #spoken = "";
  #waiting = null;

  constructor(root, { onRetry }) {
    this.parts = parts(root);
    this.parts.retry.addEventListener("click", onRetry);
  }

  /** `shown` says what is shown instead of now: `{ time }` of the past, or `{ paused, waiting }`. */
  render(store, now, shown) {
    const { connection, consumer, newsAt } = store;
    const state = { connection, consumer, newsAt, now, browserOnline: navigator.onLine, shown };
    const { tone, text, spoken } = pill(state);
    setAttribute(this.parts.pill, "data-tone", tone);
    setText(this.parts.pillText, text);
    this.parts.retry.hidden = connection.phase === "live" || (connection.phase === "connecting" && !connection.lostAt);
    this.#speak(spoken);
  }

  /** A state that lasts less than a second isn't worth an interruption. */
  #speak(text) {
    if (text === this.#spoken) return;
    this.#spoken = text;
    clearTimeout(this.#waiting);
    this.#waiting = setTimeout(() => setText(this.parts.spoken, text), SPEAK_AFTER_MS);
  }
}
