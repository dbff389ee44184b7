/**
 * The client of a Greenwave server for browsers and Node, in one file without dependencies. The dashboard uses it.
 *
 *   import { connect } from "/static/greenwave.js";
 *   const connection = connect({ filter: { road: "I-405" }, onView: show, onChange: update });
 *
 * It reads a stream over SSE or WebSocket, polls where streams are blocked, reconnects with random waits, and continues
 * at its cursor. docs/clients.md describes the options, messages and states. From top to bottom: connect(), the ladder of
 * transports, each transport, the parsers, and the tabs that share a connection. It knows no DOM.
 *
 * @import { ConnectionState, Fetch, LiveConnection, Message, Observation, OnMessage, OnState, Prediction, Stats, Timers, Transport, TransportOptions } from "./js/types.d.ts"
 * @typedef {string | number | (string | number)[]} FilterValue
 * @typedef {() => Promise<Record<string, string>>} Authorization returns the headers that carry the token; rejects with a Refusal
 * @typedef {object} Options
 * @property {string} [url] the address of the application; without it, the origin of the page
 * @property {Record<string, FilterValue>} [filter] parameters such as { road: ["I-405"], bbox: [-118.6, 33.7, -117.9, 34.3] }
 * @property {number} [every] the pace in seconds
 * @property {string | (() => string | Promise<string>)} [token] sent as a header; a function is called before each connection
 *   and each poll, and before a token expires over a WebSocket
 * @property {RequestCredentials} [credentials] "include" sends the cookie to another origin
 * @property {string | null} [cursor] where to continue; without it, at the view
 * @property {("sse" | "websocket" | "polling")[]} [transports] the best one first
 * @property {number} [pollSeconds] interval of polls; at least the pace
 * @property {number} [heartbeatSeconds] until the server has sent its own
 * @property {() => Message[]} [snapshot] returns messages that carry the state of this page to another tab; with it, the tabs
 *   of an origin that ask for the same share one connection. Not with a token
 * @property {(view: Extract<Message, { type: "initial" }>) => void} [onView] called with each whole view
 * @property {(change: Extract<Message, { type: "prediction" | "observation" | "left" }>) => void} [onChange]
 * @property {(message: Message) => void} [onMessage] called with each message, views and changes included
 * @property {OnState} [onState] called with a new object at each change of the connection's state
 */
const MESSAGES = new Set(
  ["connected", "initial", "loading", "prediction", "observation", "left", "position", "stats", "status", "gap", "renewed", "error", "busy", "bye"],
);
const HEARTBEATS_MISSED = 2;

/**
 * Connect to a server. Return the connection: `state`, `cursor`, stop(), start() after a stop(), and retryNow().
 *
 * @param {Options} options
 * @returns {LiveConnection}
 */
export function connect(options) {
  const { url = globalThis.location?.origin, filter = {}, every, token, snapshot, onView, onChange, onMessage } = options;
  if (!url) throw new TypeError("connect() needs the url of the server where there is no page");
  const base = new URL(url, globalThis.location?.href).href.replace(/\/+$/, "");
  const query = writeFilter(filter);
  const transports = makeTransports(base, query, options);
  const canRenew = typeof token !== "string";

  /** @param {Message} message */
  const deliver = (message) => {
    if (!MESSAGES.has(message.type)) return; // of a newer server
    call(onMessage, message);
    if (message.type === "initial") call(onView, message);
    else if (message.type === "prediction" || message.type === "observation" || message.type === "left") call(onChange, message);
  };
  /** @type {OnState} */
  const onState = (state) => call(options.onState, state);
  /** @param {{ cursor: string | null, onMessage: OnMessage, onState: OnState }} given */
  const make = ({ cursor, ...listeners }) => {
    const connection = new Connection({ transports, canRenew, unreachable: unreachableFrom(base), ...listeners });
    connection.cursor = cursor;
    return connection;
  };
  const cursor = options.cursor ?? null;
  const mayShare = token === undefined && "BroadcastChannel" in globalThis;
  // The name changes with the messages of the tabs, since tabs of two versions may be open at the same time.
  const channel = snapshot && mayShare ? channelOf(`greenwave tabs 4 ${base}${query} ${every ?? ""}`) : null;
  const connection = snapshot && channel
    ? new Tabs({ channel, connect: make, snapshot, onMessage: deliver, onState })
    : make({ cursor, onMessage: deliver, onState });
  connection.cursor = cursor;
  connection.start();
  return connection;
}

/**
 * Return a channel to the other tabs; null where the browser forbids it, as Firefox does with cookies blocked.
 *
 * @param {string} name
 */
function channelOf(name) {
  try {
    return new BroadcastChannel(name);
  } catch {
    return null;
  }
}

/**
 * Return what to say about a server without answers: browsers hide from a page that its origin is refused.
 *
 * @param {string} base
 */
function unreachableFrom(base) {
  const page = globalThis.location?.origin;
  if (page === undefined || page === new URL(base).origin) return null;
  return `no answer that this page may read: the server is not reachable, or its ALLOWED_ORIGINS lacks ${page}`;
}

/**
 * Call a function of the page. What it throws is reported as any uncaught exception, and concerns neither the connection
 * nor other functions: the message counts as delivered.
 *
 * @template T
 * @param {((value: T) => void) | undefined} callback
 * @param {T} value
 */
function call(callback, value) {
  try {
    callback?.(value);
  } catch (error) {
    reportUncaught(error);
  }
}

/** @param {unknown} error */
function reportUncaught(error) {
  if (globalThis.reportError) return globalThis.reportError(error);
  return queueMicrotask(() => { // Node has no reportError
    throw error;
  });
}

/**
 * Write a filter as a query: "?road=I-405&road=I-5", with the numbers of a bbox in one value. No filter is "".
 *
 * @param {Record<string, FilterValue>} filter
 */
function writeFilter(filter) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(filter)) {
    if (name === "bbox") query.set(name, String(value));
    else for (const each of Array.isArray(value) ? value : [value]) query.append(name, String(each));
  }
  return query.size > 0 ? `?${query}` : "";
}

/**
 * @param {string} base
 * @param {string} query
 * @param {Options} options
 */
function makeTransports(base, query, { every, token, credentials, pollSeconds = 5, heartbeatSeconds, transports = ["sse", "websocket", "polling"] }) {
  const paced = every === undefined ? query : `${query}${query ? "&" : "?"}every=${every}`;
  const authorization = authorizationBy(token);
  /** @type {Record<string, () => Transport>} */
  const makers = {
    sse: () => sseTransport({ url: `${base}/predictions/stream${paced}`, heartbeatSeconds, authorization, credentials }),
    websocket: () => {
      const ticketUrl = token === undefined ? null : `${base}/api/tickets`;
      const canRenew = typeof token === "function";
      return webSocketTransport({ url: `${base}/predictions/ws${paced}`, ticketUrl, canRenew, heartbeatSeconds, authorization });
    },
    polling: () => {
      const everySeconds = Math.max(pollSeconds, every ?? 0);
      return pollingTransport({ url: `${base}/api/predictions${query}`, healthUrl: `${base}/api/health`, everySeconds, authorization, credentials });
    },
  };
  for (const name of transports) {
    if (!Object.hasOwn(makers, name)) throw new TypeError(`transport is "${name}"; allowed: ${Object.keys(makers).join(", ")}`);
  }
  const usable = transports.filter((name) => name !== "websocket" || "WebSocket" in globalThis); // Node 20 has none
  if (usable.length === 0) throw new TypeError("there is no WebSocket here: allow another transport");
  return usable.map((name) => makers[name]());
}

const TOKEN_SECONDS = 10;
/** Other bytes can't be in a header. */
const TOKEN = /^[!-~]+$/;

/**
 * Return the function that makes the headers of a request.
 *
 * @param {Options["token"]} token
 * @returns {Authorization}
 */
export function authorizationBy(token) {
  if (token === undefined) return noHeaders;
  if (typeof token !== "function" && !isToken(token)) throw new TypeError("the token can't be sent; allowed: a text of visible ASCII characters");
  return async () => {
    const given = typeof token === "function" ? await called(token) : token;
    if (isToken(given)) return { Authorization: `Bearer ${given}` };
    throw withoutToken(given ? "the token can't be sent; allowed: a text of visible ASCII characters" : "the token function returned no token");
  };
}

/** @param {unknown} token */
function isToken(token) {
  return typeof token === "string" && TOKEN.test(token);
}

/** @param {() => string | Promise<string>} token */
async function called(token) {
  try {
    return await token();
  } catch (error) {
    throw withoutToken(`the token function failed: ${error instanceof Error ? error.message : error}`);
  }
}

/** @param {string} text */
function withoutToken(text) {
  return new Refusal(closed(NO_TOKEN, null, text));
}

const FIRST_WAIT_MS = 1_000;
const MAX_WAIT_MS = 8_000;
const FIRST_UPGRADE_MS = 2_000;
const MAX_UPGRADE_MS = 60_000;
const SETTLED_MS = 10_000;
/** A longer timer would be due at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** An interruption that is shorter is not shown. */
const MIN_SHOWN_MS = 1_000;

/**
 * Return the wait before attempt number `attempt` (from 0): doubled each time, of which the upper half is random.
 *
 * @param {number} attempt
 * @param {number} firstMs
 * @param {number} maxMs
 */
export function backoff(attempt, firstMs, maxMs, random = Math.random) {
  const full = Math.min(maxMs, firstMs * 2 ** Math.min(attempt, 30));
  return Math.round(full * (0.5 + random() / 2));
}

/**
 * Keeps one connection to the server, over the best transport that works. All transports share one cursor.
 *
 *   start: try each transport from the best one down; the first that opens is kept
 *   kept, not the best: after a while try again from the best one
 *   kept, ends after SETTLED_MS or by `bye`: a short wait, then from the best one
 *   none opens, or there is no token: wait with exponential back-off up to MAX_WAIT_MS, then from the best one
 *   the server refuses the request (400, 401, 403): the end, unless the next request may have another token
 *
 * At most one transport is open at a time, and each starts at the cursor of the one before. So no message is lost or
 * comes twice.
 */
export class Connection {
  /** @type {(() => void) | null} */
  #close = null;
  /** @type {number | undefined} */
  #timer;
  #stopped = true;
  #failures = 0;
  #upgrades = 0;
  #notBefore = 0;
  /** @type {number | null} when a transport that was open was lost */
  #cutAt = null;

  /**
   * @param {object} options
   * @param {Transport[]} options.transports from the best one to the last resort
   * @param {boolean} [options.canRenew] whether the next request may have another token
   * @param {string | null} [options.unreachable] what to say about a server without answers
   * @param {OnMessage} options.onMessage
   * @param {OnState} options.onState gets a new object at each change
   * @param {Timers} [options.timers]
   * @param {() => number} [options.clock]
   * @param {() => number} [options.random]
   */
  constructor({ transports, canRenew = true, unreachable = null, onMessage, onState, timers = globalThis, clock = Date.now, random = Math.random }) {
    this.transports = transports;
    this.canRenew = canRenew;
    this.unreachable = unreachable;
    this.onMessage = onMessage;
    this.onState = onState;
    this.timers = timers;
    this.clock = clock;
    this.random = random;
    /** @type {string | null} */
    this.cursor = null;
    /** @type {ConnectionState} */
    this.state = { phase: "connecting", transport: null, attempt: 1, retryAt: null, lostAt: null, reason: null, error: null };
  }

  start() {
    this.#stopped = false;
    this.#drop();
    this.#try(0);
  }

  /** End the connection. Any callback may call this. */
  stop() {
    this.#stopped = true;
    this.#drop();
  }

  /** Try again from the best transport, without a wait. */
  retryNow() {
    this.#stopped = false;
    this.#notBefore = 0;
    this.#upgrades = 0;
    this.#restart();
  }

  #restart() {
    this.#drop();
    if (["waiting", "ended"].includes(this.state.phase)) this.#change({ phase: "connecting", retryAt: null, error: null });
    if (!this.#stopped) this.#try(0);
  }

  #drop() {
    this.timers.clearTimeout(this.#timer);
    this.#close?.();
    this.#close = null;
  }

  /** @param {number} index */
  #try(index) {
    /** @type {number | null} */
    let openedAt = null;
    if (this.#cutAt !== null) this.#showCutLater(this.#cutAt);
    this.#close = this.transports[index].open({
      cursor: this.cursor,
      onMessage: (message, cursor) => {
        if (cursor !== null) this.cursor = cursor;
        this.onMessage(message, cursor);
      },
      onState: (change) => {
        if (change.state === "open") {
          openedAt = this.clock();
          this.#opened(index);
        } else if (change.refusal) this.#refused(change.refusal);
        else this.#ended(index, openedAt, change);
      },
    });
  }

  /** @param {number} index */
  #opened(index) {
    const { name, pushes, everySeconds = null } = this.transports[index];
    this.timers.clearTimeout(this.#timer);
    this.#failures = 0;
    this.#cutAt = null;
    const phase = pushes ? "live" : "polling";
    if (index > 0) this.#upgradeLater(); // before the callback, which may stop the connection
    this.#change({ phase, transport: name, everySeconds, attempt: 0, retryAt: null, lostAt: null, reason: null, error: null });
  }

  /**
   * While other transports are tried, which may take long, the state is not live.
   *
   * @param {number} cutAt
   */
  #showCutLater(cutAt) {
    const show = () => this.#change({ phase: "connecting", attempt: 1, lostAt: cutAt });
    this.#timer = this.timers.setTimeout(show, Math.max(0, cutAt + MIN_SHOWN_MS - this.clock()));
  }

  #upgradeLater() {
    const drawn = backoff(this.#upgrades, FIRST_UPGRADE_MS, MAX_UPGRADE_MS, this.random);
    const delay = Math.min(MAX_TIMER_MS, Math.max(drawn, this.#notBefore - this.clock()));
    this.#upgrades += 1;
    this.#timer = this.timers.setTimeout(() => this.#restart(), delay);
  }

  /**
   * @param {number} index
   * @param {number | null} openedAt
   * @param {TransportEnd} end
   */
  #ended(index, openedAt, { reason, retryMs, error }) {
    this.timers.clearTimeout(this.#timer);
    this.#close = null;
    const now = this.clock();
    if (retryMs && reason === "busy") this.#notBefore = now + retryMs;
    const settled = openedAt !== null && now - openedAt >= SETTLED_MS;
    if (settled && this.transports[index].pushes) this.#upgrades = 0;
    if (openedAt !== null) this.#cutAt ??= now;
    if (settled || reason === "bye" || reason === NO_TOKEN) return this.#wait(reason, retryMs, error);
    // A transport that opens and breaks at once is treated as one that doesn't open.
    if (index + 1 < this.transports.length) return this.#try(index + 1);
    return this.#wait(reason, reason === "busy" ? retryMs : null);
  }

  /** @param {{ status: number, text: string }} refusal */
  #refused({ status, text }) {
    this.timers.clearTimeout(this.#timer);
    this.#close = null;
    if (status === 401 && this.canRenew) return this.#wait("signed_out", null, text);
    const lostAt = this.state.lostAt ?? this.#cutAt ?? this.clock();
    return this.#change({ phase: "ended", retryAt: null, lostAt, reason: "refused", error: text });
  }

  /**
   * @param {string} reason
   * @param {number | null} retryMs
   * @param {string | null} [error]
   */
  #wait(reason, retryMs, error = reason === "unreachable" ? this.unreachable : null) {
    const now = this.clock();
    // A time of 0, which some proxies send, would make the client reconnect without a pause.
    const delay = Math.min(MAX_TIMER_MS, retryMs || backoff(this.#failures, FIRST_WAIT_MS, MAX_WAIT_MS, this.random));
    this.#failures += 1;
    const lostAt = this.state.lostAt ?? this.#cutAt ?? now;
    this.#cutAt = null;
    this.#timer = this.timers.setTimeout(() => this.#restart(), delay); // before the callback, which may stop the connection
    this.#change({ phase: "waiting", attempt: this.#failures, retryAt: now + delay, lostAt, reason, error });
  }

  /** @param {Partial<ConnectionState>} fields */
  #change(fields) {
    this.state = { ...this.state, ...fields };
    this.onState(this.state);
  }
}

const STREAM_OPEN_SECONDS = 5;

/** @typedef {{ url: string, heartbeatSeconds: number, authorization: Authorization, credentials: RequestCredentials, fetch: Fetch, timers: Timers, pause: () => Promise<void> }} StreamSettings */

/**
 * Return the transport for the Server-Sent Events at `url`, over fetch.
 *
 * A transport is `{ name, pushes, open({ cursor, onMessage, onState }) -> close() }`. It calls `onMessage(message,
 * cursor or null)` for each message of the wire format, `onState({ state: "open" })` with the first message, and
 * `onState({ state: "closed", reason, retryMs })` exactly once unless it was closed from outside. `refusal` is there if the
 * server's own answer says that the request can't be used.
 *
 * Reasons: `unreachable` (no answer), `refused` (a status other than 200, or no event stream), `late` (no message before
 * the deadline), `silent` (no heartbeat before the deadline), `busy`, `bye`, `ended` (cut off), `signed_out`, `no_token` (the
 * token function gave none; `error` says how).
 *
 * @param {Partial<StreamSettings> & { url: string }} settings
 * @returns {Transport}
 */
export function sseTransport({ url, heartbeatSeconds = 15, authorization = noHeaders, credentials = "same-origin", fetch = globalThis.fetch, timers = globalThis, pause = nextTask }) {
  return {
    name: "SSE",
    pushes: true,
    open: (options) => {
      const stream = new Stream({ url, heartbeatSeconds, authorization, credentials, fetch, timers, pause }, options);
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
  constructor({ url, heartbeatSeconds, authorization, credentials, fetch, timers, pause }, { cursor, onMessage, onState }) {
    this.url = resumeAt(url, cursor);
    this.heartbeatSeconds = heartbeatSeconds;
    this.authorization = authorization;
    this.credentials = credentials;
    this.fetch = fetch;
    this.timers = timers;
    this.pause = pause;
    this.onState = onState;
    this.reader = new EventStreamReader((data) => this.#receive(parseMessage(data)));
    this.view = new WholeView(onMessage);
  }

  async run() {
    this.#expect(TOKEN_SECONDS, NO_TOKEN);
    try {
      const headers = { Accept: "text/event-stream", ...(await this.authorization()) };
      if (this.#closed) return undefined;
      this.#expect(STREAM_OPEN_SECONDS, "late");
      const { fetch, credentials } = this; // called without a receiver: window.fetch throws as a method of another object
      const { signal } = this.#abort;
      const response = await fetch(this.url, { headers, credentials, cache: "no-store", signal });
      if (response.body === null || !isEventStream(response)) return this.#refuse(await endOf(response));
      await this.#read(response.body.getReader());
      return this.#end("ended");
    } catch (error) {
      if (error instanceof Refusal) return this.#refuse(error.end);
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
    if (this.#closed) return; // by the callback
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
    this.#refuse(closed(reason, this.reader.retryMs));
  }

  /** @param {TransportEnd} end */
  #refuse(end) {
    if (this.#closed) return;
    this.close();
    this.onState(end);
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

const SOCKET_OPEN_SECONDS = 3;
const TRY_LATER = 1013;
const MIN_RENEW_MS = 1_000;

/** @typedef {{ url: string, ticketUrl: string | null, canRenew: boolean, heartbeatSeconds: number, authorization: Authorization, fetch: Fetch, WebSocket: typeof globalThis.WebSocket, timers: Timers }} SocketSettings */

/**
 * Return the transport for the WebSocket at `url`, an http or https address: for networks whose proxies hold back streams.
 * Each message has its cursor as a field. A WebSocket sends no headers, so with a `ticketUrl` the token is exchanged there
 * for a ticket, which opens one stream. A token that `canRenew` is renewed before it expires, and the stream goes on.
 *
 * @param {Partial<SocketSettings> & { url: string }} settings
 * @returns {Transport}
 */
export function webSocketTransport({ url, ticketUrl = null, canRenew = false, heartbeatSeconds = 15, authorization = noHeaders, fetch = globalThis.fetch, WebSocket = globalThis.WebSocket, timers = globalThis }) {
  return {
    name: "WebSocket",
    pushes: true,
    open: (options) => {
      const socket = new Socket({ url, ticketUrl, canRenew, heartbeatSeconds, authorization, fetch, WebSocket, timers }, options);
      socket.run();
      return () => socket.close();
    },
  };
}

class Socket {
  #abort = new AbortController();
  /** @type {WebSocket | null} */
  #socket = null;
  #closed = false;
  #opened = false;
  /** @type {number | undefined} */
  #deadline;
  /** @type {number | undefined} */
  #renewal;

  /**
   * @param {SocketSettings} settings
   * @param {TransportOptions} options
   */
  constructor({ url, ticketUrl, canRenew, heartbeatSeconds, authorization, fetch, WebSocket, timers }, { cursor, onMessage, onState }) {
    this.url = resumeAt(url.replace(/^http/, "ws"), cursor);
    this.ticketUrl = ticketUrl;
    this.canRenew = canRenew;
    this.heartbeatSeconds = heartbeatSeconds;
    this.authorization = authorization;
    this.fetch = fetch;
    this.WebSocket = WebSocket;
    this.timers = timers;
    this.onState = onState;
    this.view = new WholeView(onMessage);
  }

  async run() {
    this.#expect(TOKEN_SECONDS, NO_TOKEN);
    try {
      const headers = this.ticketUrl === null ? {} : await this.authorization();
      if (this.#closed) return undefined;
      this.#expect(SOCKET_OPEN_SECONDS, "late");
      if (this.ticketUrl === null) return this.#connect(this.url);
      const { fetch } = this; // called without a receiver: window.fetch throws as a method of another object
      const response = await fetch(this.ticketUrl, { method: "POST", headers, signal: this.#abort.signal });
      if (!response.ok) return this.#refuse(await endOf(response));
      const { ticket } = (await response.json()).data;
      if (this.#closed) return undefined;
      return this.#connect(`${this.url}${this.url.includes("?") ? "&" : "?"}ticket=${encodeURIComponent(ticket)}`);
    } catch (error) {
      return error instanceof Refusal ? this.#refuse(error.end) : this.#end("unreachable");
    }
  }

  /** @param {string} url */
  #connect(url) {
    const { WebSocket } = this;
    this.#socket = new WebSocket(url);
    this.#socket.onmessage = ({ data }) => this.#receive(parseMessage(data));
    this.#socket.onclose = ({ code }) => this.#onClose(code);
  }

  close() {
    this.#closed = true;
    this.timers.clearTimeout(this.#deadline);
    this.timers.clearTimeout(this.#renewal);
    this.#abort.abort();
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
    if (this.#closed) return; // by the callback
    this.#expect(HEARTBEATS_MISSED * this.heartbeatSeconds, "silent");
    if (received.type === "connected" || received.type === "renewed") this.#renewLater(lifetimeMs(received));
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

  /**
   * Renew the token after half of its remaining lifetime, and again after half of the rest (as in RFC 2131, section 4.4.5).
   * So a token function that fails, or has no new token yet, is called again in time.
   *
   * @param {number} remainingMs NaN for a token that does not expire
   */
  #renewLater(remainingMs) {
    this.timers.clearTimeout(this.#renewal);
    const delayMs = Math.min(MAX_TIMER_MS, remainingMs / 2);
    if (!this.canRenew || !(delayMs >= MIN_RENEW_MS)) return;
    const renew = () => {
      this.#renewLater(remainingMs - delayMs);
      this.#renew();
    };
    this.#renewal = this.timers.setTimeout(renew, delayMs);
  }

  async #renew() {
    const headers = await this.authorization().catch(() => null);
    if (headers === null || this.#closed) return;
    const token = headers.Authorization.slice("Bearer ".length);
    this.#socket?.send(JSON.stringify({ type: "renew", token }));
  }

  /** @param {string} reason */
  #end(reason) {
    this.#refuse(closed(reason));
  }

  /** @param {TransportEnd} end */
  #refuse(end) {
    if (this.#closed) return;
    this.close();
    this.onState(end);
  }
}

/**
 * Return how long a token is valid, by the server's clock; NaN if it does not expire, or the server does not say.
 *
 * @param {{ timestamp: string, expires_at?: string | null }} message
 */
function lifetimeMs({ timestamp, expires_at: expiresAt }) {
  return Date.parse(expiresAt ?? "") - Date.parse(timestamp);
}

/**
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
 * @typedef {{ url: string, healthUrl: string, everySeconds: number, authorization: Authorization, credentials: RequestCredentials, fetch: Fetch, timers: Timers }} PollingSettings
 */
const MAX_ROUND_SECONDS = 10;
const END = { at: Infinity, at_observation: Infinity };

/**
 * Return the transport that polls `url`, and `healthUrl` for the consumer's state, every `everySeconds`: the last resort.
 * An answer becomes the messages of a stream. The cursor moves once, with the last of them, so an answer counts as a whole
 * or not at all.
 *
 * @param {Partial<PollingSettings> & Pick<PollingSettings, "url" | "healthUrl" | "everySeconds">} settings
 * @returns {Transport}
 */
export function pollingTransport({ url, healthUrl, everySeconds, authorization = noHeaders, credentials = "same-origin", fetch = globalThis.fetch, timers = globalThis }) {
  return {
    name: "Polling",
    pushes: false,
    everySeconds,
    open: (options) => {
      const poller = new Poller({ url, healthUrl, everySeconds, authorization, credentials, fetch, timers }, options);
      poller.round();
      return () => poller.close();
    },
  };
}

class Poller {
  #abort = new AbortController();
  #closed = false;
  #opened = false;
  /** @type {string | null} of the last answer */
  #tag = null;
  /** @type {number | undefined} */
  #timer;
  /** @type {number | undefined} */
  #deadline;

  /**
   * @param {PollingSettings} settings
   * @param {TransportOptions} options
   */
  constructor({ url, healthUrl, everySeconds, authorization, credentials, fetch, timers }, { cursor, onMessage, onState }) {
    this.url = url;
    this.healthUrl = healthUrl;
    this.everySeconds = everySeconds;
    this.authorization = authorization;
    this.credentials = credentials;
    this.fetch = fetch;
    this.timers = timers;
    this.cursor = cursor;
    this.onMessage = onMessage;
    this.onState = onState;
  }

  /** Request once, pass on the messages, and schedule the next round. */
  async round() {
    this.#expect(TOKEN_SECONDS, NO_TOKEN);
    try {
      const headers = await this.authorization();
      if (this.#closed) return;
      this.#expect(MAX_ROUND_SECONDS, "late");
      const [answer, status] = await Promise.all([this.#poll(headers), this.#pollStatus(headers)]);
      if (this.#closed) return;
      if (!this.#opened) this.#open(answer);
      if (status && !this.#closed) this.onMessage(status, null);
      if (answer) this.#pass(answer);
      if (this.#closed) return; // by a callback
      this.#timer = this.timers.setTimeout(() => this.round(), answer?.more ? 0 : this.everySeconds * 1000);
    } catch (error) {
      this.#end(error instanceof Refusal ? error.end : closed("unreachable"));
    } finally {
      this.timers.clearTimeout(this.#deadline);
    }
  }

  close() {
    this.#closed = true;
    this.timers.clearTimeout(this.#timer);
    this.timers.clearTimeout(this.#deadline);
    this.#abort.abort();
  }

  /**
   * @param {number} seconds
   * @param {string} reason
   */
  #expect(seconds, reason) {
    this.timers.clearTimeout(this.#deadline);
    this.#deadline = this.timers.setTimeout(() => this.#end(closed(reason)), seconds * 1000);
  }

  /**
   * Request the view or the changes; null if they are what the last answer had.
   *
   * @param {Record<string, string>} headers
   * @returns {Promise<Answer | null>}
   */
  async #poll(headers) {
    /** @type {Record<string, string>} */
    const tag = this.cursor === null && this.#tag !== null ? { "If-None-Match": this.#tag } : {};
    const response = await this.#get(resumeAt(this.url, this.cursor), { ...headers, ...tag });
    if (response.status === 304) return null;
    if (response.status === 400 && this.cursor !== null) return this.#startOver(headers);
    if (!response.ok) throw new Refusal(await endOf(response));
    this.#tag = response.headers.get("etag");
    return (await response.json()).data;
  }

  /**
   * Request the view: what was wrong may be the cursor. Without it, the error of a filter is final.
   *
   * @param {Record<string, string>} headers
   * @returns {Promise<Answer>}
   */
  async #startOver(headers) {
    this.cursor = null;
    const response = await this.#get(this.url, headers);
    if (!response.ok) throw new Refusal(await endOf(response));
    return { ...(await response.json()).data, gap: { reason: "bad_cursor", missed: null } };
  }

  /**
   * Request the consumer's state. A failure of this request doesn't matter, since the data has its own.
   *
   * @param {Record<string, string>} headers
   * @returns {Promise<Message | null>}
   */
  async #pollStatus(headers) {
    try {
      const { state, since, reason, retry_in } = (await (await this.#get(this.healthUrl, headers)).json()).data;
      return { type: "status", state, since, reason, retry_in };
    } catch {
      return null;
    }
  }

  /**
   * @param {string} address
   * @param {Record<string, string>} headers
   */
  #get(address, headers) {
    const { fetch, credentials } = this; // called without a receiver: window.fetch throws as a method of another object
    return fetch(address, { headers: { Accept: "application/json", ...headers }, credentials, signal: this.#abort.signal });
  }

  /** @param {Answer | null} answer */
  #open(answer) {
    this.#opened = true;
    this.onState({ state: "open" });
    if (answer && !this.#closed) this.onMessage({ type: "connected", timestamp: answer.timestamp }, null);
  }

  /** @param {Answer} answer */
  #pass(answer) {
    const isWhole = this.cursor === null || "gap" in answer;
    for (const message of isWhole ? wholeView(answer) : changes(answer)) {
      if (this.#closed) return; // by a callback
      this.onMessage(message, null);
    }
    if (this.#closed) return;
    this.cursor = answer.cursor ?? null;
    this.onMessage({ type: "position" }, this.cursor);
  }

  /** @param {TransportEnd} end */
  #end(end) {
    if (this.#closed) return;
    this.close();
    this.onState(end);
  }
}

class Refusal extends Error {
  /** @param {TransportEnd} end */
  constructor(end) {
    super();
    this.end = end;
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

const FINAL = [400, 401, 403];
const NO_TOKEN = "no_token";
const SILENT_FUNCTION = `the token function has not answered for ${TOKEN_SECONDS} s`;

/** @typedef {Extract<import("./js/types.d.ts").TransportState, { state: "closed" }>} TransportEnd */

/**
 * Return how an answer that can't be used ends a transport. A proxy may answer 403, too: only an answer with the server's
 * own text is a refusal.
 *
 * @param {Response} response
 * @returns {Promise<TransportEnd>}
 */
async function endOf(response) {
  const { status, headers } = response;
  if (FINAL.includes(status)) {
    const answer = await response.json().catch(() => null);
    if (answer?.success === false) return { ...closed("refused"), refusal: { status, text: String(answer.error) } };
    return closed(status === 401 ? "signed_out" : "refused");
  }
  const retryAfter = headers.get("retry-after") ?? "";
  const isBusy = (status === 429 || status === 503) && /^[0-9]+$/.test(retryAfter);
  return isBusy ? closed("busy", 1000 * Number(retryAfter)) : closed("refused");
}

/**
 * @param {string} reason
 * @param {number | null} [retryMs]
 * @param {string} [error]
 * @returns {TransportEnd}
 */
function closed(reason, retryMs = null, error = reason === NO_TOKEN ? SILENT_FUNCTION : undefined) {
  return { state: "closed", reason, retryMs, ...(error === undefined ? {} : { error }) };
}

/** @type {Authorization} */
const noHeaders = async () => ({});

/**
 * Parses text/event-stream by the WHATWG standard (HTML, "Parsing an event stream"), from chunks of any size. Pure.
 *
 * EventSource is not used because it hides comments. The server's heartbeats are comments, so a dead connection would
 * look like a quiet topic.
 */
export class EventStreamReader {
  #rest = "";
  /** @type {string[]} */
  #data = [];
  #afterReturn = false;

  /** @param {(text: string) => void} onData called for each event; `lastId` and `retryMs` are up to date then */
  constructor(onData) {
    this.onData = onData;
    /** @type {string | null} */
    this.lastId = null;
    /** @type {number | null} */
    this.retryMs = null;
  }

  /**
   * Take in the next chunk of text.
   *
   * @param {string} text
   */
  push(text) {
    // The line feed of a CR LF that was cut in two would be read as an empty line, which ends an event.
    if (this.#afterReturn && text.startsWith("\n")) text = text.slice(1);
    this.#afterReturn = text === "" ? this.#afterReturn : text.endsWith("\r");
    const all = this.#rest + text;
    const lines = all.split(all.includes("\r") ? /\r\n|\n|\r/ : "\n"); // the pattern takes twice as long
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#line(line);
  }

  /** @param {string} line */
  #line(line) {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) return undefined;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    return this.#field(field, value);
  }

  /**
   * @param {string} field
   * @param {string} value
   */
  #field(field, value) {
    if (field === "data") this.#data.push(value);
    else if (field === "id" && !value.includes("\0")) this.lastId = value;
    else if (field === "retry" && /^[0-9]+$/.test(value)) this.retryMs = Number(value);
  }

  #dispatch() {
    if (this.#data.length === 0) return;
    const data = this.#data.length === 1 ? this.#data[0] : this.#data.join("\n");
    this.#data = [];
    if (data !== "") this.onData(data);
  }
}

/**
 * Return the message of a JSON text; null for text that isn't JSON, which doesn't end the connection.
 *
 * @param {string} text
 * @returns {Message | null}
 */
function parseMessage(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * Add a cursor to an address.
 *
 * @param {string} url
 * @param {string | null} cursor
 */
function resumeAt(url, cursor) {
  return cursor === null ? url : `${url}${url.includes("?") ? "&" : "?"}after=${encodeURIComponent(cursor)}`;
}

/**
 * Joins a view that arrives in parts: `initial` with counts, then `prediction` and `observation` messages up to them.
 *
 * Without it the page would show a part of the view for a moment, and take the rest for updates. A view that is cut
 * off is dropped. Only its last part has the cursor, so the next connection begins with a view again. Before an incomplete
 * view `loading` says how many predictions are on their way.
 *
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

const ANSWER_MS = 80;
const TAKEOVER_MS = 400;
const HERE_MS = 2_000;
const SILENCE_MS = 10_000;
const FOLLOWED_MS = 10_000;
const NEVER = -Infinity;

/** @typedef {{ leader: string, number: number }} Place the last batch of a leader that was taken in */

/**
 * Shares one connection among all tabs of a browser, which opens at most six connections to a host. One tab is the leader:
 * it holds the connection and forwards each message; the others follow. Web Locks would do this, but browsers offer them
 * on https only.
 *
 *   start        send "hello"; the leader answers "welcome" with its view. No answer: become the leader
 *   leader       forward messages ("messages") while there are followers; every 2 s "here", answered by "there"
 *   follower     nothing received for 10 s, or "bye": become the leader, from the cursor of the last message
 *   two leaders  the one that started later stays; the other one follows and asks for the view
 *   gap          forwarded batches are numbered; a follower that missed one sends "hello" again
 *   no view      a leader whose snapshot fails keeps its connection for itself, and says "bye"
 *
 * Forwarding costs more than everything else that the page does with a message, and most pages have no followers: hence
 * "there". It has the interface of a connection. It knows no DOM; `channel` is a BroadcastChannel.
 */
export class Tabs {
  /** @type {string} */
  #id;
  /** @type {Connection | null} */
  #connection = null;
  #epoch = 0;
  #receivedAt = 0;
  /** @type {number[]} */
  #timers = [];
  /** @type {string | null} */
  #leader = null;
  #number = 0;
  #followedAt = NEVER;
  #hereAt = NEVER;
  /** @type {Message[]} */
  #batch = [];
  #isAlone = false;

  /**
   * @param {object} options
   * @param {BroadcastChannel} options.channel
   * @param {(options: { cursor: string | null, onMessage: OnMessage, onState: OnState }) => Connection} options.connect
   * @param {() => Message[]} options.snapshot returns messages that carry the whole state
   * @param {(message: Message) => void} options.onMessage
   * @param {OnState} options.onState
   * @param {Timers} [options.timers]
   * @param {() => number} [options.clock]
   * @param {() => number} [options.random]
   */
  constructor({ channel, connect, snapshot, onMessage, onState, timers = globalThis, clock = Date.now, random = Math.random }) {
    this.channel = channel;
    this.connect = connect;
    this.snapshot = snapshot;
    this.onMessage = onMessage;
    this.onState = onState;
    this.timers = timers;
    this.clock = clock;
    this.random = random;
    this.#id = `${clock()}-${random()}`;
    /** @type {string | null} */
    this.cursor = null;
    /** @type {ConnectionState} */
    this.state = { phase: "connecting", transport: null, attempt: 1, retryAt: null, lostAt: null, reason: null, error: null };
  }

  get leads() {
    return this.#connection !== null;
  }

  start() {
    this.#isAlone = false;
    this.#receivedAt = NEVER;
    this.channel.onmessage = ({ data }) => this.#receive(data);
    this.#send({ type: "hello" });
    this.#leadUnlessAnswered(ANSWER_MS * (1 + this.random()));
    this.#timers.push(this.timers.setInterval(() => this.#beat(), HERE_MS));
  }

  /** Leave, for instance when the page is hidden for good; another tab takes over at once. */
  stop() {
    for (const timer of this.#timers.splice(0)) this.timers.clearTimeout(timer);
    this.channel.onmessage = null; // a tab that has stopped neither takes over nor shows messages
    if (!this.leads) return;
    this.#follow();
    this.#send({ type: "bye" });
  }

  retryNow() {
    if (this.#connection) this.#connection.retryNow();
    else this.#send({ type: "retry" });
  }

  /** @param {any} data a message of another tab */
  #receive(data) {
    if (data.type === "here") this.#onHere(data);
    else if (this.#connection) this.#onMessageAsLeader(data, this.#connection);
    else this.#onMessageAsFollower(data);
  }

  /**
   * @param {any} data
   * @param {Connection} connection
   */
  #onMessageAsLeader(data, connection) {
    if (data.type === "retry") connection.retryNow();
    else if (data.type === "there") this.#followedAt = this.clock();
    else if (data.type === "hello") {
      this.#followedAt = this.clock();
      this.#flush();
      this.#welcome(data.from);
    }
  }

  /** @param {string} to */
  #welcome(to) {
    const { cursor, state } = this;
    try {
      this.#send({ type: "welcome", to, cursor, state, number: this.#number, view: this.snapshot() });
    } catch (error) {
      reportUncaught(error);
      this.#send({ type: "bye" });
      this.#leaveOthers();
    }
  }

  #leaveOthers() {
    this.#isAlone = true;
    this.channel.onmessage = null;
    for (const timer of this.#timers.splice(0)) this.timers.clearTimeout(timer);
  }

  /** @param {any} data */
  #onMessageAsFollower(data) {
    if (data.type === "messages") this.#onMessages(data);
    else if (data.type === "welcome" && data.to === this.#id) {
      this.#received(data.cursor);
      [this.#leader, this.#number] = [data.from, data.number];
      this.#setState(data.state);
      for (const message of data.view) this.onMessage(message);
    } else if (data.type === "state") {
      this.#received(null);
      this.#setState(data.state);
    } else if (data.type === "bye") {
      this.#receivedAt = NEVER;
      this.#leadUnlessAnswered(TAKEOVER_MS * this.random());
    }
  }

  /** @param {{ epoch: number, from: string, number: number, after: Place | null }} data */
  #onHere({ epoch, from, number, after }) {
    if (this.leads) {
      const isLater = epoch > this.#epoch || (epoch === this.#epoch && from > this.#id);
      if (!isLater) return;
      this.#follow();
    }
    this.#received(null);
    // A new leader that continues from the same place needs no new view.
    if (after !== null && after.leader === this.#leader && after.number === this.#number) {
      [this.#leader, this.#number] = [from, number];
    }
    const isComplete = from === this.#leader && number === this.#number;
    this.#send({ type: isComplete ? "there" : "hello" });
  }

  /** @param {{ from: string, messages: Message[], cursor: string | null, number: number }} data */
  #onMessages({ from, messages, cursor, number }) {
    if (from !== this.#leader) return;
    if (number !== this.#number + 1) {
      this.#leader = null; // until its view has arrived
      this.#send({ type: "hello" });
      return;
    }
    this.#received(cursor);
    this.#number = number;
    for (const message of messages) this.onMessage(message);
  }

  #beat() {
    if (this.leads) this.#here(null);
    else if (this.clock() - this.#receivedAt > SILENCE_MS) this.#lead();
  }

  /** @param {number} delayMs */
  #leadUnlessAnswered(delayMs) {
    const check = () => {
      if (this.#receivedAt === NEVER) this.#lead();
    };
    this.#timers.push(this.timers.setTimeout(check, delayMs));
  }

  #lead() {
    if (this.leads) return;
    this.#epoch = this.clock();
    const after = this.#leader === null ? null : { leader: this.#leader, number: this.#number };
    [this.#leader, this.#number] = [null, 0];
    this.#connection = this.connect({
      cursor: this.cursor,
      onMessage: (message, cursor) => this.#forward(message, cursor),
      onState: (state) => {
        this.#flush();
        this.#send({ type: "state", state });
        this.#setState(state);
      },
    });
    this.#here(after);
    this.#connection.start();
  }

  /** @param {Place | null} after where a new leader continues */
  #here(after) {
    this.#flush();
    this.#hereAt = this.clock();
    this.#send({ type: "here", epoch: this.#epoch, number: this.#number, after });
  }

  #follow() {
    this.#flush();
    this.#connection?.stop();
    this.#connection = null;
    this.#receivedAt = this.clock();
  }

  /**
   * @param {Message} message
   * @param {string | null} cursor
   */
  #forward(message, cursor) {
    if (cursor !== null) this.cursor = cursor;
    const now = this.clock();
    if (now - this.#hereAt >= HERE_MS) this.#here(null); // timers of a hidden tab are slow
    if (now - this.#followedAt > FOLLOWED_MS) this.#number += 1;
    // A chunk of a stream has hundreds of messages, which are read at once: they leave as one batch.
    else if (this.#batch.push(message) === 1) queueMicrotask(() => this.#flush());
    this.onMessage(message);
  }

  #flush() {
    if (this.#batch.length === 0) return;
    this.#number += 1;
    this.#send({ type: "messages", messages: this.#batch.splice(0), cursor: this.cursor, number: this.#number });
  }

  /** @param {string | null} cursor */
  #received(cursor) {
    this.#receivedAt = this.clock();
    if (cursor !== null) this.cursor = cursor;
  }

  /** @param {ConnectionState} state */
  #setState(state) {
    this.state = state;
    this.onState(state);
  }

  /** @param {object} message */
  #send(message) {
    if (!this.#isAlone) this.channel.postMessage({ ...message, from: this.#id });
  }
}
