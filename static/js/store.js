/**
 * The state of the page: the newest predictions of each segment, which one it shows, and what is known of the server.
 *
 * Pure: no DOM, no network, no timers; `clock` returns epoch milliseconds. It takes in the messages of the wire format
 * of any transport. Its data comes from Kafka and is not trusted: segment names are keys of a Map, never of an object.
 *
 * @import { Point } from "./trails.js"
 * @import { ChosenTime, ConnectionState, Message, Observation, Prediction, Shown, Stats, VersusUsual } from "./types.d.ts"
 * @import { UsualSpeeds } from "./usual.js"
 */
import { Ages } from "./ages.js";
import { Arrivals } from "./arrivals.js";
import { CATEGORIES, NOT_CURRENT } from "./categories.js";
import { Forecasts, NOW } from "./forecasts.js";
import { FRESH, STALE_INTERVALS } from "./freshness.js";
import { PauseBuffer } from "./pause-buffer.js";
import { readObservation, readPrediction, targetOf } from "./prediction.js";
import { ServerStatus } from "./server-status.js";
import { SpeedScale } from "./speeds.js";
import { Trails } from "./trails.js";

export const MAX_SEGMENTS = 20_000;

export class Store {
  /** @type {Set<string>} */
  #changed = new Set();
  #replaced = true;
  /** @type {Set<() => void>} */
  #listeners = new Set();
  #buffer = new PauseBuffer();
  #trails;

  /**
   * @param {object} options
   * @param {number} options.intervalSeconds the expected interval of a segment's predictions
   * @param {number} [options.maxAgeSeconds]
   * @param {() => number} [options.clock]
   * @param {SpeedScale} [options.scale]
   * @param {UsualSpeeds | null} [options.usual]
   * @param {((id: string, key: ChosenTime) => readonly Point[]) | null} [options.trailOf] only for a view of the past
   */
  constructor({ intervalSeconds, maxAgeSeconds = Infinity, clock = Date.now, scale = new SpeedScale(), usual = null, trailOf = null }) {
    this.maxAgeMs = 1000 * maxAgeSeconds;
    this.scale = scale;
    this.usual = usual;
    this.trailOf = trailOf;
    this.isPast = trailOf !== null;
    this.clock = clock;
    this.#trails = new Trails({ silenceMs: 1000 * STALE_INTERVALS * intervalSeconds });
    this.ages = new Ages({ intervalSeconds, clock, keptSince: () => this.keptSince });
    this.arrivals = new Arrivals({ clock });
    this.status = new ServerStatus({ ages: this.ages, clock });
    this.forecasts = new Forecasts({ maxAgeMs: this.maxAgeMs });
    /** @type {ChosenTime} */
    this.time = null;
    /** @type {Map<string, Shown>} */
    this.segments = new Map();
    /** Whether a view was received; before that there may be segments that are not known yet. */
    this.hasView = false;
    /** @type {number | null} the number of predictions that a view on its way has */
    this.loading = null;
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
   * Show another time: a horizon, or now.
   *
   * @param {ChosenTime} time
   */
  choose(time) {
    if (time === this.time) return;
    this.time = time;
    this.#replaced = true;
    for (const id of this.segments.keys()) {
      const shown = this.forecasts.shown(id, time);
      if (shown) this.segments.set(id, shown);
    }
    this.#notify();
  }

  /**
   * Return the group of a segment: its category at the chosen time while it is fresh, else "not_current".
   *
   * @param {Shown} shown
   * @param {number} [now]
   */
  group(shown, now) {
    const category = this.category(shown);
    const isFresh = this.ages.freshness(shown, now) === FRESH;
    return category && CATEGORIES.includes(category) && isFresh ? category : NOT_CURRENT;
  }

  /**
   * Return the category of a segment at the chosen time.
   *
   * @param {Shown} shown
   */
  category(shown) {
    const isMeasured = this.time === NOW || (this.time === null && shown.predicted_speed === null);
    return isMeasured ? this.scale.category(shown.current_speed) : shown.category;
  }

  /**
   * Return the category of a segment at the other one of now and the predicted time.
   *
   * @param {Shown} shown
   */
  otherCategory(shown) {
    return this.time === NOW ? shown.category : this.scale.category(shown.current_speed);
  }

  /**
   * Return the measured and the predicted speed of a segment, null for what is not known or not fresh. A measured speed
   * counts also when the predictions of its segment have stopped.
   *
   * @param {Shown} shown
   * @returns {{ now: number | null, next: number | null }}
   */
  currentSpeeds(shown) {
    if (this.ages.freshness(shown) === FRESH) return { now: shown.current_speed ?? null, next: shown.predicted_speed };
    const observed = this.forecasts.observationOf(shown.segment_id);
    const isMeasured = observed !== undefined && this.ages.freshness(observed) === FRESH;
    return { now: isMeasured ? observed.current_speed : null, next: null };
  }

  /**
   * Compare the speed of a segment at the chosen time with its usual one; null if that is not known, or the segment is
   * not fresh.
   *
   * @param {Shown} shown
   * @returns {VersusUsual | null}
   */
  versusUsual(shown) {
    if (!this.usual?.isOn || this.ages.freshness(shown) !== FRESH) return null;
    const isNow = this.time === NOW || shown.predicted_speed === null;
    const speed = isNow ? shown.current_speed : shown.predicted_speed;
    const atMs = isNow ? shown.timestamp : (targetOf(shown) ?? shown.timestamp);
    const band = typeof speed === "number" ? this.usual.at(shown.segment_id, atMs) : null;
    return band && { band, atMs, difference: Number(speed) - band.median };
  }

  /** Since when the shown values are kept because the server or Kafka can't be reached; null if they are live or past. */
  get keptSince() {
    return this.isPast ? null : this.status.lostAt;
  }

  /**
   * Return a segment's last speeds for the chosen time, oldest first.
   *
   * @param {string} id
   */
  trail(id) {
    const key = this.time ?? this.segments.get(id)?.horizon_minutes ?? null;
    return this.#points(id, key).map(([, speed]) => speed);
  }

  /**
   * Return the last measured speeds of a segment with their times, oldest first.
   *
   * @param {string} id
   */
  measured(id) {
    return this.#points(id, NOW);
  }

  /**
   * Add earlier predictions to the trails of known segments.
   *
   * @param {Prediction[]} history
   */
  completeTrails(history) {
    /** @type {Map<string, Prediction[]>} */
    const bySegment = new Map();
    for (const each of history) {
      if (readPrediction(each) === null || !this.segments.has(each.segment_id)) continue;
      const known = bySegment.get(each.segment_id);
      if (known) known.push(each);
      else bySegment.set(each.segment_id, [each]);
    }
    for (const [id, predictions] of bySegment) this.#trails.complete(id, predictions);
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
   * Replace the view. A record that is known already stays the same object, so that it isn't taken for an update.
   *
   * @param {Prediction[]} predictions
   * @param {Observation[]} observations
   */
  replaceAll(predictions, observations = []) {
    const before = this.forecasts;
    this.forecasts = new Forecasts({ maxAgeMs: this.maxAgeMs });
    this.segments.clear();
    this.ages.clear();
    this.#replaced = true;
    this.hasView = true;
    this.loading = null;
    this.arrivals.begin();
    for (const prediction of predictions) {
      if (!this.#isReadable(prediction)) continue;
      const known = before.known(prediction);
      this.#put(known ?? prediction, known !== null);
    }
    for (const each of observations) if (readObservation(each)) this.#observe(each);
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
        this.replaceAll(message.predictions, message.observations);
        break;
      case "observation":
        if (readObservation(message.data)) this.#observe(message.data);
        break;
      case "prediction":
        this.#arrive(message.data, wasBuffered);
        break;
      case "left":
        this.#leave(message);
        break;
      case "loading":
        this.loading = message.count;
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
    if (message.type === "initial") this.loading = null;
    this.#buffer.add(message);
  }

  /**
   * @param {Prediction} prediction
   * @param {boolean} wasBuffered
   */
  #arrive(prediction, wasBuffered) {
    if (!this.#isReadable(prediction)) return;
    if (!wasBuffered) this.arrivals.record(prediction);
    if (!prediction.late) this.#put(prediction);
  }

  /**
   * @param {string} id
   * @param {ChosenTime} key
   */
  #points(id, key) {
    return this.trailOf ? this.trailOf(id, key) : this.#trails.pointsOf(id, key);
  }

  /** @param {Observation} observation */
  #observe(observation) {
    if (!this.forecasts.observe(observation)) return;
    const { segment_id: id, timestamp, current_speed: speed } = observation;
    this.ages.record(observation);
    if (!this.isPast) this.#trails.extend(id, NOW, [timestamp, speed]);
    this.#changed.add(id);
    const shown = this.forecasts.shown(id, this.time);
    if (shown) this.#show(id, shown);
  }

  /** @param {Extract<Message, { type: "left" }>} message */
  #leave({ segment_id: id, horizon_minutes: horizon = null, reason, kind }) {
    if (kind === "observation" || reason === "removed") this.forecasts.removeObservation(id);
    if (kind !== "observation") this.forecasts.remove(id, horizon);
    this.#renew(id);
  }

  /** @param {string} id */
  #remove(id) {
    this.forecasts.remove(id);
    this.forecasts.removeObservation(id);
    this.#renew(id);
  }

  /**
   * Show what is left of a segment.
   *
   * @param {string} id
   */
  #renew(id) {
    const shown = this.forecasts.shown(id, this.time);
    if (this.segments.has(id)) this.#changed.add(id);
    if (shown !== null) return this.#show(id, shown);
    this.#trails.remove(id);
    this.segments.delete(id);
    return undefined;
  }

  /** @param {unknown} value */
  #isReadable(value) {
    const isReadable = readPrediction(value) !== null;
    if (!isReadable) this.unreadable += 1;
    return isReadable;
  }

  /**
   * @param {Prediction} prediction
   * @param {boolean} isKnown whether it was shown before
   */
  #put(prediction, isKnown = false) {
    if (!this.forecasts.put(prediction)) return;
    const { segment_id: id, horizon_minutes: horizon = null, predicted_speed: speed, current_speed: now, timestamp } = prediction;
    this.ages.record(prediction);
    if (!isKnown && !this.isPast) {
      this.#trails.extend(id, horizon, [timestamp, speed]);
      if (typeof now === "number") this.#trails.extend(id, NOW, [timestamp, now]);
    }
    if (!isKnown) this.#changed.add(id);
    const shown = this.forecasts.shown(id, this.time);
    if (shown) this.#show(id, shown);
  }

  /**
   * @param {string} id
   * @param {Shown} shown
   */
  #show(id, shown) {
    this.segments.delete(id); // so that the Map's order is the order of updates
    this.segments.set(id, shown);
    if (this.segments.size > MAX_SEGMENTS) for (const oldest of this.segments.keys()) return void this.#remove(oldest);
  }

  #notify() {
    for (const listener of this.#listeners) listener();
  }
}
