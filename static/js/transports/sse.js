/**
 * The stream transport: Server-Sent Events over fetch.
 *
 * A transport is `{ name, pushes, open({ cursor, onMessage, onState }) -> close() }`. It calls `onMessage(message,
 * cursor or null)` with the messages of the wire format, `onState({ state: "open" })` once it has proved itself, and
 * `onState({ state: "closed", reason, retryMs })` exactly once unless it was closed from outside.
 *
 * Reasons: `unreachable` (no answer), `refused` (a status other than 200, or no event stream), `late` (no word in
 * time), `silent` (no heartbeat in time), `busy`, `bye`, `ended` (cut).
 */
import { EventStreamReader } from "./event-stream.js";
import { WholeView } from "./whole-view.js";

const OPEN_SECONDS = 5;
const HEARTBEATS_MISSED = 2;

/** Return the transport for the stream at `url`; `timers` and `fetch` are those of the window unless given. */
export function sseTransport({ url, heartbeatSeconds = 15, fetch = globalThis.fetch, timers = globalThis, pause = nextTask }) {
  return {
    name: "SSE",
    pushes: true,
    open: (options) => {
      const stream = new Stream({ ...options, url, heartbeatSeconds, fetch, timers, pause });
      stream.run();
      return () => stream.close();
    },
  };
}

class Stream {
  #abort = new AbortController();
  #closed = false;
  #opened = false;
  #watch = null;

  constructor({ url, cursor, heartbeatSeconds, fetch, timers, pause, onMessage, onState }) {
    Object.assign(this, { url, cursor, heartbeatSeconds, fetch, timers, pause, onState });
    this.reader = new EventStreamReader((data) => this.#data(data));
    this.view = new WholeView(onMessage);
  }

  async run() {
    this.#expect(OPEN_SECONDS, "late");
    try {
      const response = await this.#request();
      if (!isEventStream(response)) return this.#end("refused");
      await this.#read(response.body.getReader());
      return this.#end("ended");
    } catch {
      return this.#end(this.#opened ? "ended" : "unreachable");
    }
  }

  close() {
    this.#closed = true;
    this.timers.clearTimeout(this.#watch);
    this.#abort.abort();
  }

  #request() {
    const address = this.cursor === null ? this.url : `${this.url}?after=${encodeURIComponent(this.cursor)}`;
    const { fetch } = this; // a bare call: window.fetch refuses to be a method of something else
    return fetch(address, {
      headers: { Accept: "text/event-stream" },
      cache: "no-store",
      signal: this.#abort.signal,
    });
  }

  async #read(body) {
    const decoder = new TextDecoder();
    for (;;) {
      const { done, value } = await body.read();
      if (done || this.#closed) return;
      this.#heard();
      this.reader.push(decoder.decode(value, { stream: true }));
      // What waited while the page was busy would be read in one go, and hold up frames for as long as all of it takes.
      await this.pause();
    }
  }

  #heard() {
    // Bytes before the greeting don't prove a stream: proxies pad too.
    if (this.#opened) this.#expect(HEARTBEATS_MISSED * this.heartbeatSeconds, "silent");
  }

  #expect(seconds, reason) {
    this.timers.clearTimeout(this.#watch);
    this.#watch = this.timers.setTimeout(() => this.#end(reason), seconds * 1000);
  }

  #data(text) {
    const message = parse(text);
    if (message === null || this.#closed) return;
    if (message.type === "busy") return void this.#end("busy");
    if (!this.#opened) this.#open(message);
    this.view.push(message, this.reader.lastId);
    if (message.type === "bye") this.#end("bye");
  }

  #open(message) {
    this.#opened = true;
    if (message.heartbeat_seconds > 0) this.heartbeatSeconds = message.heartbeat_seconds;
    this.#heard();
    this.onState({ state: "open" });
  }

  #end(reason) {
    if (this.#closed) return;
    this.close();
    this.onState({ state: "closed", reason, retryMs: this.reader.retryMs });
  }
}

/** Let others have a turn; a timer would do, but a hidden tab's are a second late. */
function nextTask() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

function isEventStream(response) {
  return response.status === 200 && (response.headers.get("content-type") ?? "").startsWith("text/event-stream");
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null; // one event that can't be read doesn't end the stream
  }
}
