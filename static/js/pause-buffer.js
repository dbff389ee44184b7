/**
 * Messages that wait in a pause. Per segment and horizon a `left` and the newest prediction after it are kept, so that a
 * pause of hours takes no more memory than two views. Pure.
 *
 * @import { Message } from "./types.d.ts"
 */
import { isOlder } from "./prediction.js";

/** Messages that change shown values. All others are applied in a pause, too. */
const BUFFERED = new Set(["initial", "prediction", "observation", "left", "stats"]);

export class PauseBuffer {
  /** @type {Map<string, Message>} */
  #messages = new Map();
  /** @type {Set<number | null>} */
  #horizons = new Set();
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

  /** @param {Message} message */
  add(message) {
    if (message.type === "stats") this.#stats = message;
    else if (message.type === "initial") this.#messages = new Map([["initial", message]]);
    else if (message.type === "left") this.#addRemoval(message);
    else if (message.type === "observation" && message.data && !message.data.late) {
      const key = keyOf("observation", message.data.segment_id, null);
      const known = this.#messages.get(key);
      if (!(known?.type === "observation" && known.data.timestamp > message.data.timestamp)) this.#put(key, message);
    }
    else if (message.type === "prediction" && message.data && !message.data.late) {
      const { segment_id: id, horizon_minutes: given } = message.data;
      const horizon = typeof given === "number" ? given : null; // not checked yet
      this.#horizons.add(horizon);
      const key = keyOf("prediction", id, horizon);
      const known = this.#messages.get(key);
      if (!isOlder(message.data, known?.type === "prediction" ? known.data : undefined)) this.#put(key, message);
    }
  }

  /** Return the messages in the order in which they have to be applied. */
  messages() {
    return [...this.#messages.values(), ...(this.#stats ? [this.#stats] : [])];
  }

  clear() {
    this.#messages = new Map();
    this.#horizons.clear();
    this.#stats = null;
  }

  /** @param {Extract<Message, { type: "left" }>} message */
  #addRemoval(message) {
    const { segment_id: id, horizon_minutes: horizon = null, kind, reason } = message;
    if (kind === "observation" || reason === "removed") this.#messages.delete(keyOf("observation", id, null));
    if (kind === "observation") return this.#put(keyOf("left observation", id, null), message);
    if (horizon !== null) this.#messages.delete(keyOf("prediction", id, horizon));
    else for (const each of this.#horizons) this.#messages.delete(keyOf("prediction", id, each));
    return this.#put(keyOf(reason === "removed" ? "removed" : "left", id, horizon), message);
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

/**
 * @param {string} kind
 * @param {string} id
 * @param {number | null} horizon
 */
function keyOf(kind, id, horizon) {
  return `${kind} ${horizon} ${id}`;
}
