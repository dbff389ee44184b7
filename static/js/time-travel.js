/**
 * Shows the past: a view of one moment of the server's history, in a store of its own that the views render like the
 * live one. The history is what the server has in memory, or what Kafka has since a time.
 *
 * States: "live"; "reading" the history; "failed" or "empty"; "there". It knows no DOM; timers are injected.
 *
 * @import { Api } from "./api.js"
 * @import { Severity } from "./recording.js"
 * @import { ChosenTime, Timers } from "./types.d.ts"
 * @import { UsualSpeeds } from "./usual.js"
 * @typedef {"live" | "reading" | "failed" | "empty" | "there"} TravelState
 */
import { STALE_INTERVALS } from "./freshness.js";
import { Recording } from "./recording.js";
import { SpeedScale } from "./speeds.js";
import { Store } from "./store.js";
import { afterSilence, TRAIL_LENGTH } from "./trails.js";

const FRAME_MS = 200;
/** Links name whole seconds. */
const LINK_MS = 1_000;
const HOUR_MS = 3_600_000;
/** Bars of the strip above the slider at most; each is at least as long as the time between two views. */
const MAX_STRIP_PARTS = 120;

export class TimeTravel {
  /** @type {Recording | null} */
  #recording = null;
  /** @type {AbortController | null} */
  #abort = null;
  /** @type {number | undefined} */
  #timer;
  /** The time to show once the history is read. */
  #stay = Infinity;

  /**
   * @param {object} options
   * @param {Api} options.api
   * @param {number} options.intervalSeconds
   * @param {SpeedScale} [options.scale]
   * @param {UsualSpeeds} [options.usual]
   * @param {() => void} options.onChange
   * @param {Timers} [options.timers]
   */
  constructor({ api, intervalSeconds, scale = new SpeedScale(), usual, onChange, timers = globalThis }) {
    this.api = api;
    this.onChange = onChange;
    this.timers = timers;
    this.intervalMs = 1000 * intervalSeconds;
    /** @type {TravelState} */
    this.state = "live";
    this.time = 0;
    /** @type {[number, number]} */
    this.range = [0, 0];
    /** @type {number | null} the time that a link asked for, if the history doesn't reach it */
    this.missed = null;
    /** @type {number | null} since when Kafka is asked for the history; null for the server's memory */
    this.since = null;
    /** Predictions that were read. */
    this.loaded = 0;
    /** @type {string | null} why the history doesn't reach back to `since` */
    this.gap = null;
    /** @type {Severity[]} how bad the parts of the range were */
    this.severity = [];
    this.playing = false;
    const trailOf = (/** @type {string} */ id, /** @type {ChosenTime} */ key) => this.#trailOf(id, key);
    this.store = new Store({ intervalSeconds, scale, usual, clock: () => this.time, trailOf });
  }

  get isThere() {
    return this.state === "there";
  }

  get isReading() {
    return this.state === "reading";
  }

  /** The time between two views: longer than the interval of updates if the history is too long to keep all. */
  get stepMs() {
    return Math.max(this.intervalMs, this.#recording?.stepMs ?? 0);
  }

  /**
   * Read the history and go to its end, or stay at the shown time. One that is being read is given up.
   *
   * @param {Store} live the live store, whose connection stays visible
   * @param {number | null} since the first time, to read it from Kafka; null for what the server has in memory
   */
  async begin(live, since = null) {
    if (this.isReading && since === this.since) return;
    const stay = this.isReading ? this.#stay : this.isThere ? this.time : Infinity;
    if (this.isReading || this.isThere) this.end();
    this.#stay = stay;
    [this.since, this.loaded, this.gap] = [since, 0, null];
    this.#change("reading");
    const abort = (this.#abort = new AbortController());
    const recording = new Recording();
    const filter = since === null ? "&horizon=all" : `&horizon=all&since=${Math.max(0, Math.floor(since))}`;
    try {
      for await (const page of this.api.historyPages(abort.signal, filter)) {
        if (abort.signal.aborted) return;
        recording.add(page.predictions);
        this.loaded += page.predictions.length;
        this.gap = page.gap?.reason ?? this.gap;
      }
    } catch {
      if (!abort.signal.aborted) this.#change("failed");
      return;
    }
    if (abort.signal.aborted) return;
    const { range } = recording;
    this.store.status.connection = live.status.connection;
    if (range === null) return void this.#change("empty");
    // Before that the view would lack segments that were there.
    const begin = recording.completeFrom(this.intervalMs) ?? range[0];
    [this.#recording, this.range] = [recording, [begin, range[1]]];
    this.store.ages.intervalSeconds = this.stepMs / 1000;
    const parts = Math.min(MAX_STRIP_PARTS, Math.max(1, Math.floor((range[1] - begin) / this.stepMs)));
    this.severity = recording.severity(this.range, parts, this.store.scale);
    this.#change("there");
    this.seek(stay);
  }

  /**
   * Go to the time of a link: within memory, or else from an hour before it on.
   *
   * @param {Store} live
   * @param {number} timeMs
   */
  async follow(live, timeMs) {
    await this.begin(live);
    const isBefore = this.isThere && timeMs < this.range[0] - LINK_MS;
    if (isBefore || this.state === "empty") await this.begin(live, timeMs - HOUR_MS);
    this.goTo(timeMs);
  }

  /**
   * Go to a time.
   *
   * @param {number} timeMs
   */
  goTo(timeMs) {
    if (!this.isThere) return;
    const [first, last] = this.range;
    this.seek(timeMs);
    const isBeyond = timeMs < first - LINK_MS || timeMs > last + LINK_MS;
    this.missed = isBeyond ? timeMs : null;
  }

  /**
   * Show the view of a time.
   *
   * @param {number} timeMs
   */
  seek(timeMs) {
    if (!this.isThere || this.#recording === null) return;
    this.missed = null;
    const [first, last] = this.range;
    this.time = Math.min(last, Math.max(first, timeMs));
    this.store.replaceAll(this.#recording.viewAt(this.time));
    this.onChange();
  }

  /**
   * Start to play, or stop.
   *
   * @param {() => number} speed returns the seconds of history per second
   */
  togglePlay(speed) {
    if (this.playing) return this.#stop();
    this.playing = true;
    if (this.time >= this.range[1]) this.seek(this.range[0]);
    this.#timer = this.timers.setInterval(() => this.#step(speed() * FRAME_MS), FRAME_MS);
    return this.onChange();
  }

  /** Go back to live. */
  end() {
    this.#abort?.abort();
    this.timers.clearInterval(this.#timer);
    this.#recording = null;
    this.playing = false;
    this.missed = null;
    this.severity = [];
    this.store.ages.intervalSeconds = this.intervalMs / 1000;
    this.#change("live");
  }

  /**
   * @param {string} id
   * @param {ChosenTime} key
   */
  #trailOf(id, key) {
    const points = this.#recording?.trailAt(id, this.time, key, TRAIL_LENGTH) ?? [];
    return afterSilence(points, 1000 * STALE_INTERVALS * this.store.ages.intervalSeconds);
  }

  #stop() {
    this.timers.clearInterval(this.#timer);
    this.playing = false;
    this.onChange();
  }

  /** @param {number} milliseconds */
  #step(milliseconds) {
    this.seek(this.time + milliseconds);
    if (this.time >= this.range[1]) this.#stop();
  }

  /** @param {TravelState} state */
  #change(state) {
    this.state = state;
    this.onChange();
  }
}
