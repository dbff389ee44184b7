/**
 * The WebSocket transport, for networks whose proxies hold streams back. Same interface and reasons as
 * transports/sse.js; each message brings its cursor along.
 */
import { WholeView } from "./whole-view.js";

const OPEN_SECONDS = 3;
const HEARTBEATS_MISSED = 2;
const TRY_LATER = 1013;

/** Return the transport for the WebSocket at `url`, an http or https address. */
export function webSocketTransport({ url, heartbeatSeconds = 15, WebSocket = globalThis.WebSocket, timers = globalThis }) {
  return {
    name: "WebSocket",
    pushes: true,
    open: (options) => {
      const socket = new Socket({ ...options, url, heartbeatSeconds, WebSocket, timers });
      socket.run();
      return () => socket.close();
    },
  };
}

class Socket {
  #socket = null;
  #closed = false;
  #opened = false;
  #watch = null;

  constructor({ url, cursor, heartbeatSeconds, WebSocket, timers, onMessage, onState }) {
    Object.assign(this, { url, cursor, heartbeatSeconds, WebSocket, timers, onState });
    this.view = new WholeView(onMessage);
  }

  run() {
    this.#expect(OPEN_SECONDS, "late");
    const address = this.url.replace(/^http/, "ws");
    const { WebSocket } = this;
    this.#socket = new WebSocket(this.cursor === null ? address : `${address}?after=${encodeURIComponent(this.cursor)}`);
    this.#socket.onmessage = ({ data }) => this.#data(data);
    this.#socket.onclose = ({ code }) => this.#left(code);
  }

  close() {
    this.#closed = true;
    this.timers.clearTimeout(this.#watch);
    this.#socket?.close();
  }

  #left(code) {
    if (code === TRY_LATER) return this.#end("busy");
    return this.#end(this.#opened ? "ended" : "unreachable");
  }

  #expect(seconds, reason) {
    this.timers.clearTimeout(this.#watch);
    this.#watch = this.timers.setTimeout(() => this.#end(reason), seconds * 1000);
  }

  #data(text) {
    const message = parse(text);
    if (message === null || this.#closed) return;
    if (!this.#opened) this.#open(message);
    this.#expect(HEARTBEATS_MISSED * this.heartbeatSeconds, "silent");
    const { cursor = null, ...rest } = message;
    this.view.push(rest, cursor);
    if (message.type === "bye") this.#end("bye");
  }

  #open(message) {
    this.#opened = true;
    if (message.heartbeat_seconds > 0) this.heartbeatSeconds = message.heartbeat_seconds;
    this.onState({ state: "open" });
  }

  #end(reason) {
    if (this.#closed) return;
    this.close();
    this.onState({ state: "closed", reason, retryMs: null });
  }
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null; // one message that can't be read doesn't end the connection
  }
}
