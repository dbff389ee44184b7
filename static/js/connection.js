/**
 * Keeps one connection to the server, over the best transport that works. All transports share one cursor.
 *
 *   start: try each transport from the best one down; the first that opens is kept
 *   kept, not the best: after a while try again from the best one
 *   kept, ends after SETTLED_MS or by `bye`: a short wait, then from the best one
 *   none opens: wait with exponential back-off up to MAX_WAIT_MS, then from the best one
 *
 * At most one transport is open at a time, and each starts at the cursor of the one before. So no message is lost or
 * comes twice. It knows no DOM, and nothing of the wire format but the cursor.
 *
 * @import { ConnectionState, OnMessage, OnState, Timers, Transport } from "./types.d.ts"
 */
const FIRST_WAIT_MS = 1_000;
const MAX_WAIT_MS = 8_000;
const FIRST_UPGRADE_MS = 2_000;
const MAX_UPGRADE_MS = 60_000;
const SETTLED_MS = 10_000;
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

export class Connection {
  /** @type {(() => void) | null} */
  #close = null;
  /** @type {number | undefined} */
  #timer;
  #failures = 0;
  #upgrades = 0;
  #notBefore = 0;
  /** @type {number | null} when a transport that was open was lost */
  #cutAt = null;

  /**
   * @param {object} options
   * @param {Transport[]} options.transports from the best one to the last resort
   * @param {OnMessage} options.onMessage
   * @param {OnState} options.onState gets a new object at each change
   * @param {Timers} [options.timers]
   * @param {() => number} [options.clock]
   * @param {() => number} [options.random]
   */
  constructor({ transports, onMessage, onState, timers = globalThis, clock = Date.now, random = Math.random }) {
    this.transports = transports;
    this.onMessage = onMessage;
    this.onState = onState;
    this.timers = timers;
    this.clock = clock;
    this.random = random;
    /** @type {string | null} */
    this.cursor = null;
    /** @type {ConnectionState} */
    this.state = { phase: "connecting", transport: null, attempt: 1, retryAt: null, lostAt: null, reason: null };
  }

  start() {
    this.#try(0);
  }

  stop() {
    this.#drop();
  }

  /** Try again from the best transport, without a wait. */
  retryNow() {
    this.#notBefore = 0;
    this.#upgrades = 0;
    this.#restart();
  }

  #restart() {
    this.#drop();
    if (this.state.phase === "waiting") this.#change({ phase: "connecting", retryAt: null });
    this.#try(0);
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
        } else this.#ended(index, openedAt, change.reason, change.retryMs);
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
    this.#change({ phase, transport: name, everySeconds, attempt: 0, retryAt: null, lostAt: null, reason: null });
    if (index > 0) this.#upgradeLater();
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
    const delay = Math.max(
      backoff(this.#upgrades, FIRST_UPGRADE_MS, MAX_UPGRADE_MS, this.random),
      this.#notBefore - this.clock(),
    );
    this.#upgrades += 1;
    this.#timer = this.timers.setTimeout(() => this.#restart(), delay);
  }

  /**
   * @param {number} index
   * @param {number | null} openedAt
   * @param {string} reason
   * @param {number | null} retryMs
   */
  #ended(index, openedAt, reason, retryMs) {
    this.timers.clearTimeout(this.#timer);
    this.#close = null;
    const now = this.clock();
    if (retryMs && reason === "busy") this.#notBefore = now + retryMs;
    const settled = openedAt !== null && now - openedAt >= SETTLED_MS;
    if (settled && this.transports[index].pushes) this.#upgrades = 0;
    if (openedAt !== null) this.#cutAt ??= now;
    if (settled || reason === "bye") return this.#wait(reason, retryMs);
    // A transport that opens and breaks at once is treated as one that doesn't open.
    if (index + 1 < this.transports.length) return this.#try(index + 1);
    return this.#wait(reason, null);
  }

  /**
   * @param {string} reason
   * @param {number | null} retryMs
   */
  #wait(reason, retryMs) {
    const now = this.clock();
    const delay = retryMs ?? backoff(this.#failures, FIRST_WAIT_MS, MAX_WAIT_MS, this.random);
    this.#failures += 1;
    const lostAt = this.state.lostAt ?? this.#cutAt ?? now;
    this.#cutAt = null;
    this.#change({ phase: "waiting", attempt: this.#failures, retryAt: now + delay, lostAt, reason });
    this.#timer = this.timers.setTimeout(() => this.#restart(), delay);
  }

  /** @param {Partial<ConnectionState>} fields */
  #change(fields) {
    this.state = { ...this.state, ...fields };
    this.onState(this.state);
  }
}
