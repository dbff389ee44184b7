/**
 * The Server-Sent Events transport, over fetch.
 *
 * A transport is `{ name, pushes, open({ cursor, onMessage, onState }) -> close() }`. It calls `onMessage(message,
 * cursor or null)` for each message of the wire format, `onState({ state: "open" })` with the first message, and
 * `onState({ state: "closed", reason, retryMs })` exactly once unless it was closed from outside.
 *
 * Reasons: `unreachable` (no answer), `refused` (a status other than 200, or no event stream), `late` (no message before
 * the deadline), `silent` (no heartbeat before the deadline), `busy`, `bye`, `ended` (cut off).
 *
 * @import { Fetch, Message, Timers, Transport, TransportOptions } from "../types.d.ts"
 * @typedef {{ url: string, heartbeatSeconds: number, fetch: Fetch, timers: Timers, pause: () => Promise<void> }} StreamSettings
 */
import { EventStreamReader } from "./event-stream.js";
import { parseMessage, resumeAt } from "./messages.js";
import { WholeView } from "./whole-view.js";

const OPEN_SECONDS = 5;
const HEARTBEATS_MISSED = 2;

/**
 * Return the transport for the stream at `url`.
 *
 * @param {Partial<StreamSettings> & { url: string }} settings
 * @returns {Transport}
 */
export function sseTransport({ url, heartbeatSeconds = 15, fetch = globalThis.fetch, timers = globalThis, pause = nextTask }) {
  return {
    name: "SSE",
    pushes: true,
    open: (options) => {
      const stream = new Stream({ url, heartbeatSeconds, fetch, timers, pause }, options);
      stream.run();
      return () => stream.close();
    },
  };
}

class Stream {
  #abort = new AbortController();
  #closed = false;
  #opened = false;
  /** @type {number | undefined} */
  #deadline;

  /**
   * @param {StreamSettings} settings
   * @param {TransportOptions} options
   */
  constructor({ url, heartbeatSeconds, fetch, timers, pause }, { cursor, onMessage, onState }) {
    this.url = resumeAt(url, cursor);
    this.heartbeatSeconds = heartbeatSeconds;
    this.fetch = fetch;
    this.timers = timers;
    this.pause = pause;
    this.onState = onState;
    this.reader = new EventStreamReader((data) => this.#receive(parseMessage(data)));
    this.view = new WholeView(onMessage);
  }

  async run() {
    this.#expect(OPEN_SECONDS, "late");
    try {
      const { fetch } = this; // called without a receiver: window.fetch throws as a method of another object
      const { signal } = this.#abort;
      const response = await fetch(this.url, { headers: { Accept: "text/event-stream" }, cache: "no-store", signal });
      if (response.body === null || !isEventStream(response)) return this.#end("refused");
      await this.#read(response.body.getReader());
      return this.#end("ended");
    } catch {
      return this.#end(this.#opened ? "ended" : "unreachable");
    }
  }

  close() {
    this.#closed = true;
    this.timers.clearTimeout(this.#deadline);
    this.#abort.abort();
  }

  /** @param {ReadableStreamDefaultReader<Uint8Array>} body */
  async #read(body) {
    const decoder = new TextDecoder();
    for (;;) {
      const { done, value } = await body.read();
      if (done || this.#closed) return;
      this.#extendDeadline();
      this.reader.push(decoder.decode(value, { stream: true }));
      // Chunks that arrived while the page was busy would otherwise be read in one task, which delays frames.
      await this.pause();
    }
  }

  /** Bytes before the first message don't count: proxies send padding, too. */
  #extendDeadline() {
    if (this.#opened) this.#expect(HEARTBEATS_MISSED * this.heartbeatSeconds, "silent");
  }

  /**
   * @param {number} seconds
   * @param {string} reason
   */
  #expect(seconds, reason) {
    this.timers.clearTimeout(this.#deadline);
    this.#deadline = this.timers.setTimeout(() => this.#end(reason), seconds * 1000);
  }

  /** @param {Message | null} message */
  #receive(message) {
    if (message === null || this.#closed) return;
    if (message.type === "busy") return void this.#end("busy");
    if (!this.#opened) this.#open(message);
    this.view.push(message, this.reader.lastId);
    if (message.type === "bye") this.#end("bye");
  }

  /** @param {Message} message */
  #open(message) {
    this.#opened = true;
    if (message.type === "connected" && message.heartbeat_seconds) this.heartbeatSeconds = message.heartbeat_seconds;
    this.#extendDeadline();
    this.onState({ state: "open" });
  }

  /** @param {string} reason */
  #end(reason) {
    if (this.#closed) return;
    this.close();
    this.onState({ state: "closed", reason, retryMs: this.reader.retryMs });
  }
}

/**
 * Return a promise of the next task. A timer would do, but those of a hidden tab are a second late.
 *
 * @returns {Promise<void>}
 */
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

/** @param {Response} response */
function isEventStream(response) {
  return response.status === 200 && (response.headers.get("content-type") ?? "").startsWith("text/event-stream");
}
