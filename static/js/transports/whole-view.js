/**
 * Puts a view together that a stream gives in parts: `initial` with a `count`, and `prediction` messages up to it.
 *
 * The page would show less for a moment otherwise, and take the rest for news. What ends in between is let go: its last
 * part alone has the cursor, so the next connection begins with a view as well.
 */
export class WholeView {
  #view = null;

  /** Call `onMessage(message, cursor)` for each message, with views made whole. */
  constructor(onMessage) {
    this.onMessage = onMessage;
  }

  /** Take in the next message. */
  push(message, cursor) {
    if (message.type === "initial") this.#view = { ...message, predictions: [...message.predictions] };
    else if (this.#view !== null && message.type === "prediction") this.#view.predictions.push(message.data);
    else return this.onMessage(message, cursor);
    if (this.#view.predictions.length < this.#view.count) return undefined;
    const whole = this.#view;
    this.#view = null;
    return this.onMessage(whole, cursor);
  }
}
