/**
 * The transport of last resort: a plain request every few seconds, turned into the same messages that a stream gives.
 *
 * Same interface and reasons as transports/sse.js. The cursor moves once per answer, with its last message, so an
 * answer counts as a whole or not at all.
 */
const ROUND_SECONDS = 10;

/** Return the transport that polls `url`, and `healthUrl` for the consumer's state, every `everySeconds`. */
export function pollingTransport({ url, healthUrl, everySeconds, fetch = globalThis.fetch, timers = globalThis }) {
  return {
    name: "Polling",
    pushes: false,
    everySeconds,
    open: (options) => {
      const poller = new Poller({ ...options, url, healthUrl, everySeconds, fetch, timers });
      poller.round();
      return () => poller.close();
    },
  };
}

class Poller {
  #abort = new AbortController();
  #closed = false;
  #opened = false;
  #timer = null;

  constructor({ url, healthUrl, cursor, everySeconds, fetch, timers, onMessage, onState }) {
    Object.assign(this, { url, healthUrl, cursor, everySeconds, fetch, timers, onMessage, onState });
  }

  /** Ask once, hand on what came, and arrange for the next time. */
  async round() {
    const limit = this.timers.setTimeout(() => this.#end("late"), ROUND_SECONDS * 1000);
    try {
      const [answer, status] = await Promise.all([this.#ask(), this.#askStatus()]);
      if (this.#closed) return;
      this.#opening(answer);
      if (status) this.onMessage(status, null);
      this.#hand(answer);
      this.#again(answer.more ? 0 : this.everySeconds);
    } catch (error) {
      this.#end(error instanceof Refusal ? "refused" : "unreachable");
    } finally {
      this.timers.clearTimeout(limit);
    }
  }

  close() {
    this.#closed = true;
    this.timers.clearTimeout(this.#timer);
    this.#abort.abort();
  }

  async #ask() {
    const response = await this.#get(this.#address());
    if (response.status === 400 && this.cursor !== null) return this.#startOver();
    if (!response.ok) throw new Refusal();
    return (await response.json()).data;
  }

  async #startOver() {
    this.cursor = null;
    const response = await this.#get(this.url);
    if (!response.ok) throw new Refusal();
    return { ...(await response.json()).data, gap: { reason: "bad_cursor", missed: null } };
  }

  /** The state of the consumer comes apart, and its failure harms nothing: the data is what counts. */
  async #askStatus() {
    try {
      const { state, since, reason, retry_in } = (await (await this.#get(this.healthUrl)).json()).data;
      return { type: "status", state, since, reason, retry_in };
    } catch {
      return null;
    }
  }

  #get(address) {
    const { fetch } = this; // a bare call: window.fetch refuses to be a method of something else
    return fetch(address, { headers: { Accept: "application/json" }, signal: this.#abort.signal });
  }

  #address() {
    return this.cursor === null ? this.url : `${this.url}?after=${encodeURIComponent(this.cursor)}`;
  }

  #opening(answer) {
    if (this.#opened) return;
    this.#opened = true;
    this.onState({ state: "open" });
    this.onMessage({ type: "connected", transport: "polling", timestamp: answer.timestamp }, null);
  }

  #hand(answer) {
    const isWhole = this.cursor === null || "gap" in answer;
    for (const message of isWhole ? wholeView(answer) : changes(answer)) this.onMessage(message, null);
    this.cursor = answer.cursor ?? null;
    this.onMessage({ type: "position" }, this.cursor);
  }

  #again(seconds) {
    this.#timer = this.timers.setTimeout(() => this.round(), seconds * 1000);
  }

  #end(reason) {
    if (this.#closed) return;
    this.close();
    this.onState({ state: "closed", reason, retryMs: null });
  }
}

class Refusal extends Error {}

function* wholeView({ predictions, gap, stats }) {
  if (gap) yield { type: "gap", ...gap };
  yield { type: "initial", predictions, count: predictions.length };
  if (stats) yield { type: "stats", data: stats };
}

/** Put removals back where they stood in the log: `at` says how many predictions came before each. */
function* changes({ predictions, left = [] }) {
  const waiting = [...left];
  for (const [index, data] of predictions.entries()) {
    while (waiting.length && waiting[0].at <= index) yield removal(waiting.shift());
    yield { type: "prediction", data };
  }
  for (const each of waiting) yield removal(each);
}

function removal({ segment_id, horizon_minutes, reason }) {
  return { type: "left", segment_id, horizon_minutes, reason };
}
