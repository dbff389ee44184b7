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
    const { connection, consumer } = store;
    const news = { at: store.newsAt, staleSeconds: store.staleSeconds, any: store.segments.size > 0 };
    const state = { connection, consumer, news, now, browserOnline: navigator.onLine, shown };
    const { tone, text, spoken } = pill(state);
    setAttribute(this.parts.pill, "data-tone", tone);
    setText(this.parts.pillText, text);
    this.parts.retry.hidden = connection.phase === "live" || (connection.phase === "connecting" && !connection.lostAt);
    this.#speak(spoken);
  }

  /** A state that lasts less than a second isn't worth an interruption; what isn't true any more is gone at once. */
  #speak(text) {
    if (text === this.#spoken) return;
    this.#spoken = text;
    clearTimeout(this.#waiting);
    setText(this.parts.spoken, "");
    this.#waiting = setTimeout(() => setText(this.parts.spoken, text), SPEAK_AFTER_MS);
  }
}
