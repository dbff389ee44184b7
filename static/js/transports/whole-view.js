/**
 * Joins a view that arrives in parts: `initial` with counts, then `prediction` and `observation` messages up to them.
 *
 * Without it the page would show a part of the view for a moment, and take the rest for updates. A view that is cut
 * off is dropped. Only its last part has the cursor, so the next connection begins with a view again. Before an incomplete
 * view `loading` says how many predictions are on their way.
 *
 * @import { Message, OnMessage } from "../types.d.ts"
 * @typedef {Extract<Message, { type: "initial" }>} View
 */
export class WholeView {
  /** @type {View | null} */
  #view = null;

  /** @param {OnMessage} onMessage called for each message, with joined views */
  constructor(onMessage) {
    this.onMessage = onMessage;
  }

  /**
   * Take in the next message.
   *
   * @param {Message} message
   * @param {string | null} cursor
   */
  push(message, cursor) {
    if (message.type === "initial") this.#view = copyOf(message);
    else if (this.#view !== null && message.type === "prediction") this.#view.predictions.push(message.data);
    else if (this.#view !== null && message.type === "observation") this.#view.observations?.push(message.data);
    else return this.onMessage(message, cursor);
    const view = this.#view;
    const observed = view.observations?.length ?? 0;
    if (view.predictions.length < (view.count ?? 0) || observed < (view.observation_count ?? 0)) {
      if (message.type === "initial") this.onMessage({ type: "loading", count: view.count ?? 0 }, null);
      return undefined;
    }
    this.#view = null;
    return this.onMessage(view, cursor);
  }
}

/**
 * @param {View} message
 * @returns {View}
 */
function copyOf(message) {
  const { observations, observation_count: count } = message;
  const copy = { ...message, predictions: [...message.predictions] };
  return observations || count ? { ...copy, observations: [...(observations ?? [])] } : copy;
}
