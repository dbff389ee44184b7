/**
 * The ladder: the best transport that gets through, one at a time, all on one cursor, for ever.
 *
 *   descend: try each transport from the top; the first that opens is kept
 *   a kept transport below the top: from time to time the ladder is climbed again, from the top
 *   a kept transport that ends after a good while: a short wait, then from the top
 *   none opens: a wait that grows to MAX_WAIT_MS, then from the top
 *
 * Only one transport is open at any moment, so no change can come twice by two ways; each starts where the last one
 * stood, so none is lost between them. It knows no DOM and no wire format beyond the cursor.
 */
const FIRST_WAIT_MS = 1_000;
const MAX_WAIT_MS = 8_000;
const FIRST_CLIMB_MS = 2_000;
const MAX_CLIMB_MS = 60_000;
const SETTLED_MS = 10_000;
/** A cut that is mended sooner isn't worth a word. */
const UNSAID_MS = 1_000;

/** Return the wait before try number `attempt` (from 0): doubled each time, the upper half of it left to chance. */
export function backoff(attempt, firstMs, maxMs, random = Math.random) {
  const full = Math.min(maxMs, firstMs * 2 ** Math.min(attempt, 30));
  return Math.round(full * (0.5 + random() / 2));
}

export class Connection {
  #close = null;
  #timer = null;
  #failures = 0;
  #climbs = 0;
  #notBefore = 0;
  #cutAt = null;

  /** `transports` from best to last resort; `onState` gets a new state object at each change. */
  constructor({ transports, onMessage, onState, timers = globalThis, clock = Date.now, random = Math.random }) {
    Object.assign(this, { transports, onMessage, onState, timers, clock, random });
    this.cursor = null;
    this.state = { phase: "connecting", transport: null, attempt: 1, retryAt: null, lostAt: null, reason: null };
  }

  start() {
    this.#descend(0);
  }

  stop() {
    this.#drop();
  }

  /** Try from the top at once, whatever was waited for. */
  retryNow() {
    this.#notBefore = 0;
    this.#climbs = 0;
    this.#fromTheTop();
  }

  #fromTheTop() {
    this.#drop();
    if (this.state.phase === "waiting") this.#change({ phase: "connecting", retryAt: null });
    this.#descend(0);
  }

  #drop() {
    this.timers.clearTimeout(this.#timer);
    this.#close?.();
    this.#close = null;
  }

  #descend(rung) {
    const transport = this.transports[rung];
    let openedAt = null;
    if (this.#cutAt !== null) this.#sayCut();
    this.#close = transport.open({
      cursor: this.cursor,
      onMessage: (message, cursor) => this.#message(message, cursor),
      onState: ({ state, reason, retryMs }) => {
        if (state === "open") {
          openedAt = this.clock();
          this.#opened(rung);
        } else this.#ended(rung, openedAt, reason, retryMs);
      },
    });
  }

  #message(message, cursor) {
    if (cursor !== null) this.cursor = cursor;
    this.onMessage(message, cursor);
  }

  #opened(rung) {
    const transport = this.transports[rung];
    this.timers.clearTimeout(this.#timer);
    this.#failures = 0;
    this.#cutAt = null;
    const phase = transport.pushes ? "live" : "polling";
    const { name, everySeconds = null } = transport;
    this.#change({ phase, transport: name, everySeconds, attempt: 0, retryAt: null, lostAt: null, reason: null });
    if (rung > 0) this.#climbLater();
  }

  /** What was open and broke is not live any more while the other transports are tried, which may take long. */
  #sayCut() {
    const say = () => this.#change({ phase: "connecting", attempt: 1, lostAt: this.#cutAt });
    this.#timer = this.timers.setTimeout(say, Math.max(0, this.#cutAt + UNSAID_MS - this.clock()));
  }

  #climbLater() {
    const delay = Math.max(
      backoff(this.#climbs, FIRST_CLIMB_MS, MAX_CLIMB_MS, this.random),
      this.#notBefore - this.clock(),
    );
    this.#climbs += 1;
    this.#timer = this.timers.setTimeout(() => this.#fromTheTop(), delay);
  }

  #ended(rung, openedAt, reason, retryMs) {
    this.timers.clearTimeout(this.#timer);
    this.#close = null;
    const now = this.clock();
    if (retryMs && reason === "busy") this.#notBefore = now + retryMs;
    const settled = openedAt !== null && now - openedAt >= SETTLED_MS;
    if (settled && this.transports[rung].pushes) this.#climbs = 0;
    if (openedAt !== null) this.#cutAt ??= now;
    if (settled || reason === "bye") return this.#wait(reason, retryMs);
    // A transport that opens and breaks at once is no better than one that doesn't open: go one down.
    if (rung + 1 < this.transports.length) return this.#descend(rung + 1);
    return this.#wait(reason, null);
  }

  #wait(reason, retryMs) {
    const now = this.clock();
    const delay = retryMs ?? backoff(this.#failures, FIRST_WAIT_MS, MAX_WAIT_MS, this.random);
    this.#failures += 1;
    const lostAt = this.state.lostAt ?? this.#cutAt ?? now;
    this.#cutAt = null; // it is said
    this.#change({ phase: "waiting", attempt: this.#failures, retryAt: now + delay, lostAt, reason });
    this.#timer = this.timers.setTimeout(() => this.#fromTheTop(), delay);
  }

  #change(fields) {
    this.state = { ...this.state, ...fields };
    this.onState(this.state);
  }
}
