/**
 * The polling transport, the last resort: a request every few seconds, whose answer becomes the messages of a stream.
 *
 * Interface and reasons: see sse.js. The cursor moves once per answer, with its last message, so an answer counts as a
 * whole or not at all.
 *
 * @import { Fetch, Message, Observation, Prediction, Stats, Timers, Transport, TransportOptions } from "../types.d.ts"
 * @typedef {{ at: number, at_observation?: number, kind?: "observation", segment_id: string, horizon_minutes: number | null, reason: string }} Removal
 * @typedef {object} Answer
 * @property {Prediction[]} predictions
 * @property {Observation[]} [observations]
 * @property {Removal[]} [left]
 * @property {{ reason: string, missed: number | null } | null} [gap] there (null for no gap) if this is the whole view
 * @property {Stats} [stats]
 * @property {string} timestamp
 * @property {string} [cursor]
 * @property {boolean} [more]
 * @typedef {{ url: string, healthUrl: string, everySeconds: number, fetch: Fetch, timers: Timers }} PollingSettings
 */
import { SIGNED_OUT } from "../server-status.js";
import { resumeAt } from "./messages.js";

const MAX_ROUND_SECONDS = 10;
const END = { at: Infinity, at_observation: Infinity };

/**
 * Return the transport that polls `url`, and `healthUrl` for the consumer's state, every `everySeconds`.
 *
 * @param {Partial<PollingSettings> & Pick<PollingSettings, "url" | "healthUrl" | "everySeconds">} settings
 * @returns {Transport}
 */
export function pollingTransport({ url, healthUrl, everySeconds, fetch = globalThis.fetch, timers = globalThis }) {
  return {
    name: "Polling",
    pushes: false,
    everySeconds,
    open: (options) => {
      const poller = new Poller({ url, healthUrl, everySeconds, fetch, timers }, options);
      poller.round();
      return () => poller.close();
    },
  };
}

class Poller {
  #abort = new AbortController();
  #closed = false;
  #opened = false;
  /** @type {number | undefined} */
  #timer;

  /**
   * @param {PollingSettings} settings
   * @param {TransportOptions} options
   */
  constructor({ url, healthUrl, everySeconds, fetch, timers }, { cursor, onMessage, onState }) {
    this.url = url;
    this.healthUrl = healthUrl;
    this.everySeconds = everySeconds;
    this.fetch = fetch;
    this.timers = timers;
    this.cursor = cursor;
    this.onMessage = onMessage;
    this.onState = onState;
  }

  /** Request once, pass on the messages, and schedule the next round. */
  async round() {
    const deadline = this.timers.setTimeout(() => this.#end("late"), MAX_ROUND_SECONDS * 1000);
    try {
      const [answer, status] = await Promise.all([this.#poll(), this.#pollStatus()]);
      if (this.#closed) return;
      if (!this.#opened) this.#open(answer);
      if (status) this.onMessage(status, null);
      this.#pass(answer);
      this.#timer = this.timers.setTimeout(() => this.round(), answer.more ? 0 : this.everySeconds * 1000);
    } catch (error) {
      this.#end(error instanceof Refusal ? error.reason : "unreachable");
    } finally {
      this.timers.clearTimeout(deadline);
    }
  }

  close() {
    this.#closed = true;
    this.timers.clearTimeout(this.#timer);
    this.#abort.abort();
  }

  /** @returns {Promise<Answer>} */
  async #poll() {
    const response = await this.#get(resumeAt(this.url, this.cursor));
    if (response.status === 400 && this.cursor !== null) return this.#startOver();
    if (!response.ok) throw new Refusal(response);
    return (await response.json()).data;
  }

  /** @returns {Promise<Answer>} */
  async #startOver() {
    this.cursor = null;
    const response = await this.#get(this.url);
    if (!response.ok) throw new Refusal(response);
    return { ...(await response.json()).data, gap: { reason: "bad_cursor", missed: null } };
  }

  /**
   * Request the consumer's state. A failure of this request doesn't matter, since the data has its own.
   *
   * @returns {Promise<Message | null>}
   */
  async #pollStatus() {
    try {
      const { state, since, reason, retry_in } = (await (await this.#get(this.healthUrl)).json()).data;
      return { type: "status", state, since, reason, retry_in };
    } catch {
      return null;
    }
  }

  /** @param {string} address */
  #get(address) {
    const { fetch } = this; // called without a receiver: window.fetch throws as a method of another object
    return fetch(address, { headers: { Accept: "application/json" }, signal: this.#abort.signal });
  }

  /** @param {Answer} answer */
  #open({ timestamp }) {
    this.#opened = true;
    this.onState({ state: "open" });
    this.onMessage({ type: "connected", timestamp }, null);
  }

  /** @param {Answer} answer */
  #pass(answer) {
    const isWhole = this.cursor === null || "gap" in answer;
    for (const message of isWhole ? wholeView(answer) : changes(answer)) this.onMessage(message, null);
    this.cursor = answer.cursor ?? null;
    this.onMessage({ type: "position" }, this.cursor);
  }

  /** @param {string} reason */
  #end(reason) {
    if (this.#closed) return;
    this.close();
    this.onState({ state: "closed", reason, retryMs: null });
  }
}

class Refusal extends Error {
  /** @param {Response} response */
  constructor({ status }) {
    super();
    this.reason = status === 401 ? SIGNED_OUT : "refused";
  }
}

/**
 * @param {Answer} answer
 * @returns {Generator<Message>}
 */
function* wholeView({ predictions, observations, gap, stats }) {
  if (gap) yield { type: "gap", ...gap };
  yield { type: "initial", predictions, count: predictions.length, ...(observations ? { observations } : {}) };
  if (stats) yield { type: "stats", data: stats };
}

/**
 * Put removals back to their place in the log: `at` is the number of predictions before each, and `at_observation` that of
 * observations.
 *
 * @param {Answer} answer
 * @returns {Generator<Message>}
 */
function* changes({ predictions, observations = [], left = [] }) {
  let [predicted, observed] = [0, 0];
  for (const { at, at_observation: atObservation = 0, ...removal } of [...left, END]) {
    for (const data of predictions.slice(predicted, at)) yield { type: "prediction", data };
    for (const data of observations.slice(observed, atObservation)) yield { type: "observation", data };
    [predicted, observed] = [Math.max(predicted, at), Math.max(observed, atObservation)];
    if ("segment_id" in removal) yield { type: "left", ...removal };
  }
}
