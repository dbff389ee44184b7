/**
 * Shows the past: a view of one moment of the server's history, in a store of its own that the views render like the
 * live one.
 *
 * States: "live"; "reading" the history; "failed" or "empty"; "there". It knows no DOM; timers are injected.
 *
 * @import { Api } from "./api.js"
 * @import { SpeedScale } from "./speeds.js"
 * @import { ChosenTime, Timers } from "./types.d.ts"
 * @import { UsualSpeeds } from "./usual.js"
 * @typedef {"live" | "reading" | "failed" | "empty" | "there"} TravelState
 */
import { Recording } from "./recording.js";
import { Store } from "./store.js";
import { TRAIL_LENGTH } from "./trails.js";

const FRAME_MS = 200;
/** Links name whole seconds. */
const LINK_MS = 1_000;

export class TimeTravel {
  /** @type {Recording | null} */
  #recording = null;
  /** @type {AbortController | null} */
  #abort = null;
  /** @type {number | undefined} */
  #timer;

  /**
   * @param {object} options
   * @param {Api} options.api
   * @param {number} options.intervalSeconds
   * @param {SpeedScale} [options.scale]
   * @param {UsualSpeeds} [options.usual]
   * @param {() => void} options.onChange
   * @param {Timers} [options.timers]
   */
  constructor({ api, intervalSeconds, scale, usual, onChange, timers = globalThis }) {
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

  /**
   * Read the history and go to its end.
   *
   * @param {Store} live the live store, whose connection stays visible
   */
  async begin(live) {
    if (this.isReading) return;
    this.#change("reading");
    this.#abort = new AbortController();
    const recording = new Recording();
    try {
      for await (const page of this.api.history(this.#abort.signal, "&horizon=all")) recording.add(page);
    } catch {
      if (this.isReading) this.#change("failed");
      return;
    }
    if (!this.isReading) return;
    const { range } = recording;
    this.store.status.connection = live.status.connection;
    if (range === null) return void this.#change("empty");
    // Before that the view would lack segments that were there.
    const begin = recording.completeFrom(this.intervalMs) ?? range[0];
    [this.#recording, this.range] = [recording, [begin, range[1]]];
    this.#change("there");
    this.seek(range[1]);
  }

  /**
   * Go to the time of a link.
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
    this.#change("live");
  }

  /**
   * @param {string} id
   * @param {ChosenTime} key
   */
  #trailOf(id, key) {
    return this.#recording?.trailAt(id, this.time, key, TRAIL_LENGTH) ?? [];
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
