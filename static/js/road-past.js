/**
 * Loads the measured speeds of a road from the server's history. It knows no DOM.
 *
 * @import { Api } from "./api.js"
 * @import { Observation, Prediction } from "./types.d.ts"
 * @typedef {"loading" | "done" | "failed" | "cut"} PastState "cut" if the history is longer than what is loaded
 */
import { Measurements } from "./measurements.js";
import { readObservation, readPrediction } from "./prediction.js";

const HOUR_MS = 3_600_000;
const MAX_BINS = 120;
const MAX_PAGES = 200;
export const HOURS = [1, 2, 6, 24];
const DEFAULT_HOURS = 2;

export class RoadPast {
  /** @type {AbortController | null} */
  #abort = null;

  /**
   * @param {object} options
   * @param {Api} options.api
   * @param {string} options.filter "&road=I-405+N", or "" for all roads
   * @param {(item: Prediction | Observation) => boolean} options.isWanted
   * @param {number} options.intervalSeconds
   * @param {(predictions: Prediction[]) => void} [options.onPage] called with those of each page of the history
   * @param {() => void} options.onChange
   */
  constructor({ api, filter, isWanted, intervalSeconds, onPage = () => {}, onChange }) {
    this.api = api;
    this.filter = filter;
    this.isWanted = isWanted;
    this.intervalMs = 1000 * intervalSeconds;
    this.onPage = onPage;
    this.onChange = onChange;
    /** @type {PastState} */
    this.state = "loading";
    /** @type {string | null} why the history is not complete */
    this.gap = null;
    this.hours = DEFAULT_HOURS;
    this.measurements = this.#empty();
  }

  get keepMs() {
    return this.hours * HOUR_MS;
  }

  /**
   * Show so many hours. The past is loaded by load().
   *
   * @param {number} hours
   */
  setHours(hours) {
    this.hours = HOURS.includes(hours) ? hours : DEFAULT_HOURS;
    this.measurements = this.#empty();
  }

  /**
   * Take in what is live.
   *
   * @param {Prediction | Observation} item
   */
  add(item) {
    if (this.isWanted(item)) this.measurements.add(item);
  }

  /**
   * Load the hours before a time. A former request ends.
   *
   * @param {number} now
   */
  async load(now) {
    this.#abort?.abort();
    const abort = (this.#abort = new AbortController());
    this.#change("loading");
    this.gap = null;
    const filter = `${this.filter}&include=observations&since=${Math.max(0, Math.floor(now - this.keepMs))}`;
    let more = false;
    try {
      for await (const page of this.api.historyPages(abort.signal, filter, MAX_PAGES)) {
        if (abort.signal.aborted) return;
        for (const each of page.predictions) if (readPrediction(each)) this.add(each);
        for (const each of page.observations ?? []) if (readObservation(each)) this.add(each);
        this.onPage(page.predictions);
        this.gap = page.gap?.reason ?? this.gap;
        more = page.more;
        this.onChange();
      }
    } catch {
      if (!abort.signal.aborted) this.#change("failed");
      return;
    }
    if (!abort.signal.aborted) this.#change(more ? "cut" : "done");
  }

  #empty() {
    return new Measurements({ binMs: Math.max(this.intervalMs, this.keepMs / MAX_BINS), keepMs: this.keepMs });
  }

  /** @param {PastState} state */
  #change(state) {
    this.state = state;
    this.onChange();
  }
}
