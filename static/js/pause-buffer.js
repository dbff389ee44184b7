/**
 * Messages that wait in a pause. Per segment a `left` and the newest prediction after it are kept, so that a pause of
 * hours takes no more memory than two views. Pure.
 *
 * @import { Message, Prediction } from "./types.d.ts"
 */

/** Messages that change shown values. All others are applied in a pause, too. */
const BUFFERED = new Set(["initial", "prediction", "left", "stats"]);

export class PauseBuffer {
  /** @type {Map<string, Message>} */
  #messages = new Map();
  /** @type {Message | null} */
  #stats = null;

  /**
   * Tell whether a message waits while the page is paused.
   *
   * @param {Message} message
   */
  static takes(message) {
    return BUFFERED.has(message?.type);
  }

  /**
   * Add a message.
   *
   * @param {Message} message
   * @param {(prediction: Prediction, known: Prediction | undefined) => boolean} isOutdated
   */
  add(message, isOutdated) {
    if (message.type === "stats") this.#stats = message;
    else if (message.type === "initial") this.#messages = new Map([["initial", message]]);
    else if (message.type === "left") {
      this.#messages.delete(`prediction ${message.segment_id}`);
      this.#put(`left ${message.segment_id}`, message);
    } else if (message.type === "prediction") {
      const key = `prediction ${message.data?.segment_id}`;
      const known = this.#messages.get(key);
      if (!isOutdated(message.data, known?.type === "prediction" ? known.data : undefined)) this.#put(key, message);
    }
  }

  /** Return the messages in the order in which they have to be applied. */
  messages() {
    return [...this.#messages.values(), ...(this.#stats ? [this.#stats] : [])];
  }

  clear() {
    this.#messages = new Map();
    this.#stats = null;
  }

  /**
   * @param {string} key
   * @param {Message} message
   */
  #put(key, message) {
    this.#messages.delete(key);
    this.#messages.set(key, message);
  }
}
