/**
 * One connection for all tabs of a browser, which opens six to a host at most. One tab leads: it has the connection and
 * passes on what comes; the others listen. It works on plain http, where browsers offer no locks.
 *
 *   start      "hello"; who leads answers with its view. No answer: lead
 *   leading    every message and state is passed on, and "here" every 2 s
 *   following  nothing heard for 10 s, or "bye" heard: lead, from the cursor of the last message
 *   two lead   the one that began later goes on; the other asks for its view and follows
 *
 * It has a connection's interface. It knows no DOM; `channel` is a BroadcastChannel.
 */
const ANSWER_MS = 80;
const TAKEOVER_MS = 400;
const HERE_MS = 2_000;
const SILENCE_MS = 10_000;
const UNHEARD = -Infinity;

export class Tabs {
  #id;
  #connection = null;
  #epoch = 0;
  #heardAt = 0;
  #timers = [];

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
    this.#say({ type: "welcome", to: from, epoch: this.#epoch, cursor: this.cursor, state: this.state, view: this.snapshot() });
  }

  welcome({ to, cursor, state, view }) {
    if (to !== this.#id || this.leads) return;
    this.#hear(cursor);
    this.#take(state);
    for (const message of view) this.onMessage(message);
  }

  here({ epoch, from }) {
    if (this.leads && (epoch > this.#epoch || (epoch === this.#epoch && from > this.#id))) {
      this.#follow();
      this.#say({ type: "hello" });
    }
    if (!this.leads) this.#hear(null);
  }

  told({ message, cursor }) {
    if (this.leads) return;
    this.#hear(cursor);
    this.onMessage(message);
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
    if (this.leads) this.#say({ type: "here", epoch: this.#epoch });
    else if (this.clock() - this.#heardAt > SILENCE_MS) this.#lead();
  }

  #leadUnlessHeard(delayMs) {
    const look = () => this.#heardAt === UNHEARD && this.#lead();
    this.#timers.push(this.timers.setTimeout(look, delayMs));
  }

  #lead() {
    if (this.leads) return;
    this.#epoch = this.clock();
    this.#connection = this.connect({
      cursor: this.cursor,
      onMessage: (message, cursor) => this.#pass(message, cursor),
      onState: (state) => {
        this.#say({ type: "changed", state });
        this.#take(state);
      },
    });
    this.#say({ type: "here", epoch: this.#epoch });
    this.#connection.start();
  }

  #follow() {
    this.#connection.stop();
    this.#connection = null;
    this.#heardAt = this.clock();
  }

  #pass(message, cursor) {
    if (cursor !== null) this.cursor = cursor;
    this.#say({ type: "told", message, cursor });
    this.onMessage(message);
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
  ["hello", "welcome", "here", "told", "changed", "bye", "retry"].map((type) => [type, (tabs, data) => tabs[type](data)]),
);
