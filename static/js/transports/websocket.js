/**
 * The WebSocket transport, for networks whose proxies hold back streams. Interface and reasons: see sse.js. Each
 * message has its cursor as a field.
 *
 * @import { Message, Timers, Transport, TransportOptions } from "../types.d.ts"
 * @typedef {{ url: string, heartbeatSeconds: number, WebSocket: typeof globalThis.WebSocket, timers: Timers }} SocketSettings
 */
import { parseMessage, resumeAt } from "./messages.js";
import { WholeView } from "./whole-view.js";

const OPEN_SECONDS = 3;
const HEARTBEATS_MISSED = 2;
const TRY_LATER = 1013;

/**
 * Return the transport for the WebSocket at `url`, an http or https address.
 *
 * @param {Partial<SocketSettings> & { url: string }} settings
 * @returns {Transport}
 */
export function webSocketTransport({ url, heartbeatSeconds = 15, WebSocket = globalThis.WebSocket, timers = globalThis }) {
  return {
    name: "WebSocket",
    pushes: true,
    open: (options) => {
      const socket = new Socket({ url, heartbeatSeconds, WebSocket, timers }, options);
      socket.run();
      return () => socket.close();
    },
  };
}

class Socket {
  /** @type {WebSocket | null} */
  #socket = null;
  #closed = false;
  #opened = false;
  /** @type {number | undefined} */
  #deadline;

  /**
   * @param {SocketSettings} settings
   * @param {TransportOptions} options
   */
  constructor({ url, heartbeatSeconds, WebSocket, timers }, { cursor, onMessage, onState }) {
    this.url = resumeAt(url.replace(/^http/, "ws"), cursor);
    this.heartbeatSeconds = heartbeatSeconds;
    this.WebSocket = WebSocket;
    this.timers = timers;
    this.onState = onState;
    this.view = new WholeView(onMessage);
  }

  run() {
    this.#expect(OPEN_SECONDS, "late");
    const { WebSocket } = this;
    this.#socket = new WebSocket(this.url);
    this.#socket.onmessage = ({ data }) => this.#receive(parseMessage(data));
    this.#socket.onclose = ({ code }) => this.#onClose(code);
  }

  close() {
    this.#closed = true;
    this.timers.clearTimeout(this.#deadline);
    this.#socket?.close();
  }

  /** @param {number} code */
  #onClose(code) {
    if (code === TRY_LATER) return this.#end("busy");
    return this.#end(this.#opened ? "ended" : "unreachable");
  }

  /**
   * @param {number} seconds
   * @param {string} reason
   */
  #expect(seconds, reason) {
    this.timers.clearTimeout(this.#deadline);
    this.#deadline = this.timers.setTimeout(() => this.#end(reason), seconds * 1000);
  }

  /** @param {(Message & { cursor?: string }) | null} received */
  #receive(received) {
    if (received === null || this.#closed) return;
    if (!this.#opened) this.#open(received);
    this.#expect(HEARTBEATS_MISSED * this.heartbeatSeconds, "silent");
    const { cursor = null, ...message } = received;
    this.view.push(message, cursor);
    if (message.type === "bye") this.#end("bye");
  }

  /** @param {Message} message */
  #open(message) {
    this.#opened = true;
    if (message.type === "connected" && message.heartbeat_seconds) this.heartbeatSeconds = message.heartbeat_seconds;
    this.onState({ state: "open" });
  }

  /** @param {string} reason */
  #end(reason) {
    if (this.#closed) return;
    this.close();
    this.onState({ state: "closed", reason, retryMs: null });
  }
}
