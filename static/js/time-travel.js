/**
 * Which moment the page shows: now, or one of the past, held in a store of its own that the views can't tell apart.
 *
 * States: "live"; "reading" the server's window; "failed" or "empty"; "there". It knows no DOM; timers are handed in.
 */
import { Recording } from "./recording.js";
import { Store, TRAIL } from "./store.js";

const FRAME_MS = 200;
/** Links are to whole seconds. */
const LINK_MS = 1_000;

export class TimeTravel {
  #recording = null;
  #abort = null;
  #timer = null;

  constructor({ api, intervalSeconds, onChange, timers = globalThis }) {
    Object.assign(this, { api, onChange, timers });
    this.state = "live";
    this.time = 0;
    this.range = null;
    this.missed = null;
    this.playing = false;
    this.store = new Store({ intervalSeconds, clock: () => this.time, trailOf: (prediction) => this.#trailOf(prediction) });
  }

  /** Read the window and go to its end; `live` is the store of now, whose connection is shown on. */
  async begin(live) {
    if (this.state === "reading") return;
    this.#change({ state: "reading" });
    this.#abort = new AbortController();
    const recording = new Recording();
    try {
      for await (const page of this.api.history(this.#abort.signal)) recording.add(page);
    } catch {
      if (this.state === "reading") this.#change({ state: "failed" });
      return;
    }
    if (this.state !== "reading") return;
    this.#recording = recording;
    this.store.connection = live.connection;
    if (recording.range === null) this.#change({ state: "empty" });
    else this.#arrive(recording.range);
  }

  /** Show the view of a time that a link asks for; `missed` says so when the window doesn't reach it. */
  goTo(timeMs) {
    if (this.state !== "there") return;
    const [first, last] = this.range;
    this.seek(timeMs);
    const isBeyond = timeMs < first - LINK_MS || timeMs > last + LINK_MS;
    this.missed = isBeyond ? timeMs : null;
  }

  /** Show the view of a time. */
  seek(timeMs) {
    if (this.state !== "there") return;
    this.missed = null;
    const [first, last] = this.range;
    this.time = Math.min(last, Math.max(first, timeMs));
    this.store.replaceAll(this.#recording.viewAt(this.time));
    this.onChange();
  }

  /** Begin to play, so many seconds of the past in each second, or stop. */
  play(speed) {
    this.playing = !this.playing;
    this.timers.clearInterval(this.#timer);
    if (this.playing) {
      if (this.time >= this.range[1]) this.seek(this.range[0]);
      this.#timer = this.timers.setInterval(() => this.#step(speed() * FRAME_MS), FRAME_MS);
    }
    this.onChange();
  }

  /** Come back to now. */
  end() {
    this.#abort?.abort();
    this.timers.clearInterval(this.#timer);
    this.#recording = null;
    this.playing = false;
    this.#change({ state: "live", range: null, missed: null });
  }

  #trailOf({ segment_id: id, horizon_minutes: horizon }) {
    return this.#recording?.trailAt(id, this.time, horizon, TRAIL) ?? [];
  }

  #arrive(range) {
    this.#change({ state: "there", range });
    this.seek(range[1]);
  }

  #step(milliseconds) {
    this.seek(this.time + milliseconds);
    if (this.time >= this.range[1]) this.play();
  }

  #change(fields) {
    Object.assign(this, fields);
    this.onChange();
  }
}
