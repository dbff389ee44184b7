/**
 * Ages of predictions: by the server's clock, or for a replay by its newest event. Ages stand still in a pause. Pure.
 *
 * @import { Prediction } from "./types.d.ts"
 */
import { FRESH, freshness } from "./freshness.js";
import { ReplayClock } from "./replay-clock.js";

export const REPLAY = "replay";

/** A fast replay is not called stale before 20 s without events (2 intervals), or each hiccup would be. */
const MIN_INTERVAL_SECONDS = 10;

export class Ages {
  #offsetMs = 0;
  #replay = new ReplayClock();
  /** @type {number | null} */
  #newestMs = null;
  /** @type {{ now: number, offsetMs: number } | null} */
  #frozen = null;

  /**
   * @param {object} options
   * @param {number} options.intervalSeconds
   * @param {() => number} options.clock
   * @param {() => number | null} [options.keptSince] since when the last known values are kept; null while data is live
   */
  constructor({ intervalSeconds, clock, keptSince = () => null }) {
    this.intervalSeconds = intervalSeconds;
    this.clock = clock;
    this.keptSince = keptSince;
  }

  /**
   * Set the server's clock by a time that it has just sent.
   *
   * @param {string} text
   */
  setServerTime(text) {
    const time = Date.parse(text);
    if (!Number.isNaN(time)) this.#offsetMs = time - this.clock();
  }

  /** The time of the server's clock. */
  get serverNow() {
    return this.clock() + this.#offsetMs;
  }

  /**
   * Convert a time of the server's clock to this clock.
   *
   * @param {number} serverMs
   */
  toLocal(serverMs) {
    return serverMs - this.#offsetMs;
  }

  /**
   * Convert a time of this clock to the server's.
   *
   * @param {number} localMs
   */
  toServer(localMs) {
    return localMs + this.#offsetMs;
  }

  /** Stop all ages, until resume(). */
  freeze() {
    this.#frozen ??= { now: this.clock(), offsetMs: this.#offsetMs };
  }

  resume() {
    this.#frozen = null;
  }

  /**
   * Record the time of a prediction that is shown.
   *
   * @param {Pick<Prediction, "source" | "timestamp">} prediction
   */
  record({ source, timestamp }) {
    if (source === REPLAY) this.#replay.record(timestamp, this.clock());
    else this.#newestMs = Math.max(this.#newestMs ?? -Infinity, timestamp);
  }

  /** Forget all recorded times. */
  clear() {
    this.#newestMs = null;
    this.#replay = new ReplayClock();
  }

  /**
   * Record how long the server had received nothing when it sent the view, so that a replay that has ended is old.
   *
   * @param {number} seconds
   * @param {number} sinceMs when it sent the view, by this clock
   */
  setSilence(seconds, sinceMs) {
    this.#replay.arrivedAt(sinceMs - 1000 * seconds);
  }

  /** The age of the newest replayed event in seconds, if it is not fresh; null if it is, or nothing is replayed. */
  get staleReplaySeconds() {
    if (this.replayMs === null) return null;
    const newest = { timestamp: this.replayMs, source: REPLAY };
    if (this.freshness(newest) === FRESH) return null;
    return this.#replay.silentMs(this.#frozen?.now ?? this.clock()) / 1000;
  }

  /** The newest event time of replayed data; null if nothing is replayed. */
  get replayMs() {
    return this.#replay.newestMs;
  }

  /** The newest time of live data, by this clock; null if there is none. */
  get newestLocalMs() {
    return this.#newestMs === null ? null : this.toLocal(this.#newestMs);
  }

  /**
   * Return a prediction's age in seconds.
   *
   * @param {Pick<Prediction, "source" | "timestamp">} prediction
   */
  seconds({ source, timestamp }, now = this.#frozen?.now ?? this.clock()) {
    const { offsetMs } = this.#frozen ?? { offsetMs: this.#offsetMs };
    if (source !== REPLAY) return Math.max(0, now + offsetMs - timestamp) / 1000;
    return this.#replay.ageMs(timestamp, now, this.intervalSeconds / MIN_INTERVAL_SECONDS) / 1000;
  }

  /**
   * Return the freshness of a prediction: fresh, stale or silent. While a connection is lost it stays what it was, so that
   * the last known values can be seen for as long as that takes.
   *
   * @param {Pick<Prediction, "source" | "timestamp">} prediction
   * @param {number} [now]
   */
  freshness(prediction, now = this.#judgedAt()) {
    return freshness(this.seconds(prediction, now), this.intervalSeconds);
  }

  #judgedAt() {
    const now = this.#frozen?.now ?? this.clock();
    return Math.min(now, this.keptSince() ?? now);
  }

  /** The age of the newest live data in seconds; null if nothing is live. */
  get newestSeconds() {
    return this.#newestMs === null ? null : this.seconds({ timestamp: this.#newestMs });
  }

  /** The age of the newest live data in seconds if it is not fresh; null if it is, or nothing is live. */
  get staleSeconds() {
    const { newestSeconds: seconds } = this;
    return seconds === null || freshness(seconds, this.intervalSeconds) === FRESH ? null : seconds;
  }
}
