/**
 * One connection for all tabs of a browser, which opens six to a host at most. One tab leads: it has the connection and
 * passes on what comes; the others listen. It works on plain http, where browsers offer no locks.
 *
 *   start      "hello"; who leads answers with its view. No answer: lead
 *   leading    what comes at once is passed on at once, while somebody follows; "here" every 2 s, answered by "there"
 *   following  nothing heard for 10 s, or "bye" heard: lead, from the cursor of the last message
 *   two lead   the one that began later goes on; the other asks for its view and follows
 *   a hole     what is passed on is numbered; who missed a number (it slept, and nobody else followed) says "hello"
 *
 * Passing on costs more than all else that a page does with a message, and most pages are alone: hence "there".
 * It has a connection's interface. It knows no DOM; `channel` is a BroadcastChannel.
 */
const ANSWER_MS = 80;
const TAKEOVER_MS = 400;
const HERE_MS = 2_000;
const SILENCE_MS = 10_000;
const FOLLOWED_MS = 10_000;
const UNHEARD = -Infinity;

export class Tabs {
  #id;
  #connection = null;
  #epoch = 0;
  #heardAt = 0;
  #timers = [];
  #leader = null;
  #number = 0;
  #followedAt = UNHEARD;
  #saidAt = UNHEARD;
  #batch = [];

  /** `connect({ cursor, onMessage, onState })` makes a connection; `snapshot()` returns messages that tell the view. */
  constructor({ channel, connect, snapshot, onMessage, onState, timers = globalThis, clock = Date.now, random = Math.random }) {
    Object.assign(this, { channel, connect, snapshot, onMessage, onState, timers, clock, random });
    this.#id = `${clock()}-${random()}`;
    this.cursor = null;
    this.state = { phase: "connecting", transport: null, attempt: 1, retryAt: null, lostAt: null, reason: null };
    channel.onmessage = ({ data }) => ANSWERS[data.type]?.(this, data);
  }

  get leads() {
    return this.#connection !== null;
  }

  start() {
    this.#heardAt = UNHEARD;
    this.#say({ type: "hello" });
    this.#leadUnlessHeard(ANSWER_MS * (1 + this.random()));
    this.#timers.push(this.timers.setInterval(() => this.#beat(), HERE_MS));
  }

  /** Leave, for instance when the page is hidden for good; another tab takes over at once. */
  stop() {
    for (const timer of this.#timers.splice(0)) this.timers.clearTimeout(timer);
    if (!this.leads) return;
    this.#follow();
    this.#say({ type: "bye" });
  }

  retryNow() {
    if (this.leads) this.#connection.retryNow();
    else this.#say({ type: "retry" });
  }

  hello({ from }) {
    if (!this.leads) return;
    this.#followedAt = this.clock();
    this.#flush();
    const { cursor, state } = this;
    this.#say({ type: "welcome", to: from, cursor, state, number: this.#number, view: this.snapshot() });
  }

  welcome({ to, from, cursor, state, number, view }) {
    if (to !== this.#id || this.leads) return;
    this.#hear(cursor);
    [this.#leader, this.#number] = [from, number];
    this.#take(state);
    for (const message of view) this.onMessage(message);
  }

  here({ epoch, from, number, after }) {
    if (this.leads) {
      const isLater = epoch > this.#epoch || (epoch === this.#epoch && from > this.#id);
      if (!isLater) return;
      this.#follow();
    }
    this.#hear(null);
    // One that went on where this tab stands, too, has nothing to tell but what comes.
    if (after !== null && after.leader === this.#leader && after.number === this.#number) {
      [this.#leader, this.#number] = [from, number];
    }
    const isWhole = from === this.#leader && number === this.#number;
    this.#say({ type: isWhole ? "there" : "hello" });
  }

  there() {
    if (this.leads) this.#followedAt = this.clock();
  }

  told({ from, messages, cursor, number }) {
    if (this.leads || from !== this.#leader) return;
    if (number !== this.#number + 1) {
      this.#leader = null; // until its view has come
      this.#say({ type: "hello" });
      return;
    }
    this.#hear(cursor);
    this.#number = number;
    for (const message of messages) this.onMessage(message);
  }

  changed({ state }) {
    if (this.leads) return;
    this.#hear(null);
    this.#take(state);
  }

  bye() {
    if (this.leads) return;
    this.#heardAt = UNHEARD;
    this.#leadUnlessHeard(TAKEOVER_MS * this.random());
  }

  retry() {
    if (this.leads) this.#connection.retryNow();
  }

  #beat() {
    if (this.leads) this.#here(null);
    else if (this.clock() - this.#heardAt > SILENCE_MS) this.#lead();
  }

  #leadUnlessHeard(delayMs) {
    const look = () => this.#heardAt === UNHEARD && this.#lead();
    this.#timers.push(this.timers.setTimeout(look, delayMs));
  }

  #lead() {
    if (this.leads) return;
    this.#epoch = this.clock();
    const after = { leader: this.#leader, number: this.#number };
    [this.#leader, this.#number] = [null, 0];
    this.#connection = this.connect({
      cursor: this.cursor,
      onMessage: (message, cursor) => this.#pass(message, cursor),
      onState: (state) => {
        this.#flush();
        this.#say({ type: "changed", state });
        this.#take(state);
      },
    });
    this.#here(after.leader && after);
    this.#connection.start();
  }

  #here(after) {
    this.#flush();
    this.#saidAt = this.clock();
    this.#say({ type: "here", epoch: this.#epoch, number: this.#number, after });
  }

  #follow() {
    this.#flush();
    this.#connection.stop();
    this.#connection = null;
    this.#heardAt = this.clock();
  }

  #pass(message, cursor) {
    if (cursor !== null) this.cursor = cursor;
    this.#queue(message);
    this.onMessage(message);
  }

  /** A piece of a stream holds hundreds of messages, and is read without a pause: they go out together after it. */
  #queue(message) {
    const now = this.clock();
    if (now - this.#saidAt >= HERE_MS) this.#here(null); // timers of a hidden tab are slow, and what comes is not
    if (now - this.#followedAt > FOLLOWED_MS) this.#number += 1;
    else if (this.#batch.push(message) === 1) queueMicrotask(() => this.#flush());
  }

  #flush() {
    if (this.#batch.length === 0) return;
    this.#number += 1;
    this.#say({ type: "told", messages: this.#batch.splice(0), cursor: this.cursor, number: this.#number });
  }

  #hear(cursor) {
    this.#heardAt = this.clock();
    if (cursor !== null) this.cursor = cursor;
  }

  #take(state) {
    this.state = state;
    this.onState(state);
  }

  #say(message) {
    this.channel.postMessage({ ...message, from: this.#id });
  }
}

const ANSWERS = Object.fromEntries(
  ["hello", "welcome", "here", "there", "told", "changed", "bye", "retry"].map((type) => [type, (tabs, data) => tabs[type](data)]),
);
