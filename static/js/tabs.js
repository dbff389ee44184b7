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
 *
 * Forwarding costs more than everything else that the page does with a message, and most pages have no followers: hence
 * "there". It has the interface of a connection. It knows no DOM; `channel` is a BroadcastChannel.
 *
 * @import { Connection } from "./connection.js"
 * @import { ConnectionState, Message, OnMessage, OnState, Timers } from "./types.d.ts"
 * @typedef {{ leader: string, number: number }} Place the last batch of a leader that was taken in
 */
const ANSWER_MS = 80;
const TAKEOVER_MS = 400;
const HERE_MS = 2_000;
const SILENCE_MS = 10_000;
const FOLLOWED_MS = 10_000;
const NEVER = -Infinity;

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
    this.state = { phase: "connecting", transport: null, attempt: 1, retryAt: null, lostAt: null, reason: null };
    channel.onmessage = ({ data }) => this.#receive(data);
  }

  get leads() {
    return this.#connection !== null;
  }

  start() {
    this.#receivedAt = NEVER;
    this.#send({ type: "hello" });
    this.#leadUnlessAnswered(ANSWER_MS * (1 + this.random()));
    this.#timers.push(this.timers.setInterval(() => this.#beat(), HERE_MS));
  }

  /** Leave, for instance when the page is hidden for good; another tab takes over at once. */
  stop() {
    for (const timer of this.#timers.splice(0)) this.timers.clearTimeout(timer);
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
      const { cursor, state } = this;
      this.#send({ type: "welcome", to: data.from, cursor, state, number: this.#number, view: this.snapshot() });
    }
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
    this.channel.postMessage({ ...message, from: this.#id });
  }
}
