/**
 * The state of the page: the newest prediction per segment, and what is known of the server.
 *
 * Pure: no DOM, no network, no timers; `clock` returns epoch milliseconds. It takes in the messages of the wire format
 * of any transport. Its data comes from Kafka and is not trusted: segment names are keys of a Map, never of an object.
 *
 * @import { ConnectionState, Message, Prediction, Stats } from "./types.d.ts"
 */
import { Ages } from "./ages.js";
import { Arrivals } from "./arrivals.js";
import { CATEGORIES, NOT_CURRENT } from "./categories.js";
import { FRESH } from "./freshness.js";
import { PauseBuffer } from "./pause-buffer.js";
import { isOutdated, isSameRecord, readPrediction } from "./prediction.js";
import { ServerStatus } from "./server-status.js";
import { Trails } from "./trails.js";

export const MAX_SEGMENTS = 20_000;

export class Store {
  /** @type {Set<string>} */
  #changed = new Set();
  #replaced = true;
  /** @type {Set<() => void>} */
  #listeners = new Set();
  #buffer = new PauseBuffer();
  #trails = new Trails();

  /**
   * @param {object} options
   * @param {number} options.intervalSeconds the expected interval of a segment's predictions
   * @param {number} [options.maxAgeSeconds]
   * @param {() => number} [options.clock]
   * @param {((prediction: Prediction) => number[]) | null} [options.trailOf] only for a view of the past
   */
  constructor({ intervalSeconds, maxAgeSeconds = Infinity, clock = Date.now, trailOf = null }) {
    this.maxAgeMs = 1000 * maxAgeSeconds;
    this.trailOf = trailOf;
    this.isPast = trailOf !== null;
    this.clock = clock;
    this.ages = new Ages({ intervalSeconds, clock });
    this.arrivals = new Arrivals({ clock });
    this.status = new ServerStatus({ ages: this.ages, clock });
    /** @type {Map<string, Prediction>} */
    this.segments = new Map();
    /** @type {Stats | null} */
    this.stats = null;
    this.paused = false;
    this.waiting = 0;
    this.unreadable = 0;
  }

  /**
   * Call `listener` after each change. Return the function that ends that.
   *
   * @param {() => void} listener
   */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Take in one message. Unknown types are ignored, since the server may be newer than the page.
   *
   * @param {Message} message
   */
  apply(message) {
    if (this.paused && PauseBuffer.takes(message)) this.#hold(message);
    else this.#handle(message);
    this.#notify();
  }

  /** Keep all shown values, ages and rates; buffer what arrives. */
  pause() {
    this.ages.freeze();
    this.arrivals.freeze();
    this.paused = true;
    this.#notify();
  }

  /** Apply what was buffered. */
  resume() {
    const buffered = this.#buffer.messages();
    this.#buffer.clear();
    this.paused = false;
    this.waiting = 0;
    this.ages.resume();
    this.arrivals.resume();
    for (const message of buffered) this.#handle(message, true);
    this.#notify();
  }

  /** The messages that wait for the end of the pause. */
  get buffered() {
    return this.#buffer.messages();
  }

  /** @param {ConnectionState} state */
  setConnection(state) {
    this.status.connection = state;
    this.#notify();
  }

  /** Return the changes since the last call: segments, and whether the view was replaced. */
  takeChanges() {
    const changes = { segments: this.#changed, replaced: this.#replaced };
    this.#changed = new Set();
    this.#replaced = false;
    return changes;
  }

  /**
   * Return the group of a prediction: its category while it is fresh, else "not_current".
   *
   * @param {Prediction} prediction
   * @param {number} [now]
   */
  group(prediction, now) {
    const { category } = prediction;
    const isFresh = this.ages.freshness(prediction, now) === FRESH;
    return category && CATEGORIES.includes(category) && isFresh ? category : NOT_CURRENT;
  }

  /** Since when the shown values are kept because the server or Kafka can't be reached; null if they are live or past. */
  get keptSince() {
    return this.isPast ? null : this.status.lostAt;
  }

  /**
   * Return a segment's last predicted speeds, oldest first.
   *
   * @param {string} id
   */
  trail(id) {
    const prediction = this.segments.get(id);
    if (this.trailOf) return prediction ? this.trailOf(prediction) : [];
    return this.#trails.of(id);
  }

  /** Predictions that arrived in the last minute; null for a view of the past. */
  get perMinute() {
    return this.isPast ? null : this.arrivals.perMinute;
  }

  /** When the last prediction arrived; before the first one, the newest time of the view. Null if not known. */
  get updatedAt() {
    return this.arrivals.lastAt ?? this.ages.newestLocalMs;
  }

  /**
   * Replace the view. A record that is shown already stays the same object, so that it isn't taken for an update.
   *
   * @param {Prediction[]} predictions
   */
  replaceAll(predictions) {
    const before = new Map(this.segments);
    this.segments.clear();
    this.ages.clear();
    this.#replaced = true;
    for (const prediction of predictions) {
      if (!this.#isReadable(prediction)) continue;
      const shown = before.get(prediction.segment_id);
      if (shown && isSameRecord(shown, prediction)) this.#show(shown);
      else this.#put(prediction);
    }
    this.#trails.keepOnly(this.segments);
  }

  /**
   * @param {Message} message
   * @param {boolean} wasBuffered its arrival is recorded already
   */
  #handle(message, wasBuffered = false) {
    switch (message?.type) {
      case "connected":
        this.ages.setServerTime(message.timestamp);
        break;
      case "initial":
        this.replaceAll(message.predictions);
        break;
      case "prediction":
        this.#arrive(message.data, wasBuffered);
        break;
      case "left":
        this.#remove(message.segment_id);
        break;
      case "stats":
        this.stats = message.data;
        break;
      case "status":
      case "gap":
      case "error":
        this.status.apply(message);
        break;
    }
  }

  /** @param {Message} message */
  #hold(message) {
    if (message.type === "prediction" && message.data !== null && typeof message.data === "object") {
      this.arrivals.record(message.data);
      this.waiting += 1;
    }
    this.#buffer.add(message, (prediction, known) => isOutdated(prediction, known, this.maxAgeMs));
  }

  /**
   * @param {Prediction} prediction
   * @param {boolean} wasBuffered
   */
  #arrive(prediction, wasBuffered) {
    if (!this.#isReadable(prediction)) return;
    if (!wasBuffered) this.arrivals.record(prediction);
    const shown = this.segments.get(prediction.segment_id);
    if (!isOutdated(prediction, shown, this.maxAgeMs)) this.#put(prediction);
  }

  /** @param {string} id */
  #remove(id) {
    this.#trails.remove(id);
    if (this.segments.delete(id)) this.#changed.add(id);
  }

  /** @param {unknown} value */
  #isReadable(value) {
    const isReadable = readPrediction(value) !== null;
    if (!isReadable) this.unreadable += 1;
    return isReadable;
  }

  /** @param {Prediction} prediction */
  #put(prediction) {
    this.#trails.extend(prediction.segment_id, prediction.predicted_speed);
    this.#changed.add(prediction.segment_id);
    this.#show(prediction);
  }

  /** @param {Prediction} prediction */
  #show(prediction) {
    this.segments.delete(prediction.segment_id); // so that the Map's order is the order of updates
    this.segments.set(prediction.segment_id, prediction);
    this.ages.record(prediction);
    if (this.segments.size > MAX_SEGMENTS) for (const oldest of this.segments.keys()) return void this.#remove(oldest);
  }

  #notify() {
    for (const listener of this.#listeners) listener();
  }
}
