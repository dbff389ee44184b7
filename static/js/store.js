/**
 * What the page knows: the newest prediction per segment, the states of consumer and connection, when things came.
 *
 * Pure state: no DOM, no network, no timers; the time comes from `clock` (epoch milliseconds). It understands the
 * messages of the wire format, whichever transport brought them. What it holds came from Kafka and is hostile: segment
 * names are keys of a Map, never of an object.
 */
import { FRESH, freshness } from "./freshness.js";
import { isOfLargerHorizon, readPrediction } from "./prediction.js";
import { ReplayClock } from "./replay-clock.js";

export const CATEGORIES = ["free_flow", "moderate_traffic", "heavy_traffic", "severe_congestion"];
/** The groups of the chips: the categories of what is fresh, and one for all that isn't. */
export const GROUPS = [...CATEGORIES, "not_current"];
export const REPLAY = "replay";

/** However fast a replay is, silence is told from a hiccup: stale begins after 20 s of it, by the wall clock. */
const SHORTEST_INTERVAL_SECONDS = 10;
export const MAX_SEGMENTS = 20_000;
const RATE_SECONDS = 60;
export const TRAIL = 24;

export class Store {
  #changed = new Set();
  #replaced = true;
  #listeners = new Set();
  #arrivals = new Map();
  #clockAheadMs = 0;
  #replay = new ReplayClock();
  #held = new Map();
  #heldStats = null;
  #standing = null;
  #lastAt = null;
  #newestMs = null;
  #trails = new Map();
  #arrivedAt = new WeakMap();

  /** Of the past, `trailOf(prediction)` returns the speeds before one; of now they are those that came. */
  constructor({ intervalSeconds, maxAgeSeconds = Infinity, clock = Date.now, trailOf = null }) {
    this.maxAgeMs = 1000 * maxAgeSeconds;
    this.trailOf = trailOf;
    this.isPast = trailOf !== null;
    this.intervalSeconds = intervalSeconds;
    this.clock = clock;
    this.segments = new Map();
    this.connection = null;
    this.consumer = null;
    this.notice = null;
    this.stats = null;
    this.paused = false;
    this.waiting = 0;
    this.received = 0;
    this.unreadable = 0;
  }

  /** Call `listener()` after each change; return the function that ends it. */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Take in one message; what it doesn't know is let pass, for servers newer than the page. */
  apply(message) {
    if (this.paused && HELD.has(message?.type)) this.#hold(message);
    else HANDLERS.get(message?.type)?.(this, message);
    this.#tell();
  }

  /** Keep what is shown as it is, ages and rates included; what comes meanwhile waits. */
  pause() {
    this.#standing ??= { now: this.clock(), clockAheadMs: this.#clockAheadMs, perMinute: this.perMinute };
    this.paused = true;
    this.#tell();
  }

  /** Show what came meanwhile, and all that comes. */
  goOn() {
    const held = this.#heldMessages();
    this.paused = false;
    this.waiting = 0;
    this.#standing = null;
    this.#held = new Map();
    this.#heldStats = null;
    for (const message of held) HANDLERS.get(message.type)(this, message);
    this.#tell();
  }

  /** Return messages that tell somebody else all that is known, what waits in a pause included. */
  messages() {
    const told = [{ type: "connected", timestamp: iso(this.clock() + this.#clockAheadMs) }];
    if (this.consumer) told.push({ type: "status", ...this.consumer, since: iso(this.consumer.since) });
    if (this.stats) told.push({ type: "stats", data: this.stats });
    return [...told, { type: "initial", predictions: [...this.segments.values()] }, ...this.#heldMessages()];
  }

  /** Take in the connection's state, as connection.js gives it. */
  connect(state) {
    this.connection = state;
    this.#tell();
  }

  /** Return what changed since the last call: segment names, and whether everything was replaced. */
  takeChanges() {
    const changes = { segments: this.#changed, replaced: this.#replaced };
    this.#changed = new Set();
    this.#replaced = false;
    return changes;
  }

  /** Return a prediction's age in seconds: by the server's clock, or for a replay by its newest event. */
  ageSeconds(prediction) {
    return this.#ageAt(this.#standing?.now ?? this.clock(), prediction);
  }

  #ageAt(now, prediction) {
    const { clockAheadMs } = this.#standing ?? { clockAheadMs: this.#clockAheadMs };
    if (prediction.source !== REPLAY) return Math.max(0, now + clockAheadMs - prediction.timestamp) / 1000;
    if (this.replayTime === null) return 0;
    return this.#replay.ageMs(prediction.timestamp, now, this.intervalSeconds / SHORTEST_INTERVAL_SECONDS) / 1000;
  }

  /** Return how fresh a prediction is: "fresh", "stale" or "silent". */
  freshness(prediction) {
    return freshness(this.ageSeconds(prediction), this.intervalSeconds);
  }

  /** Return the group a prediction counts in: its category while it is fresh, else "not_current". */
  group(prediction) {
    const known = CATEGORIES.includes(prediction.category);
    return known && this.freshness(prediction) === FRESH ? prediction.category : "not_current";
  }

  /** Since when, by this clock, what is shown is only kept: the server is away, or Kafka from it; null while it isn't. */
  get heldAt() {
    if (this.isPast) return null;
    const since = kafkaIsAway(this.consumer) ? this.consumer.since - this.#clockAheadMs : null;
    return this.connection?.lostAt ?? since;
  }

  /**
   * Sum up: total, reporting (of what is kept, when that began), counts by group, means of what is fresh (null when there
   * is none).
   */
  summary() {
    const counts = Object.fromEntries(GROUPS.map((group) => [group, 0]));
    const predicted = new Mean();
    const change = new Mean();
    for (const prediction of this.segments.values()) {
      const group = this.group(prediction);
      counts[group] += 1;
      if (group === "not_current") continue;
      predicted.add(prediction.predicted_speed);
      change.add(prediction.speed_diff);
    }
    const total = this.segments.size;
    const { heldAt } = this;
    const reporting = heldAt === null ? total - counts.not_current : this.#reportingAt(heldAt);
    return { total, reporting, heldAt, counts, meanPredicted: predicted.value, meanChange: change.value };
  }

  /** Return a segment's last predicted speeds, oldest first. */
  trail(id) {
    if (this.trailOf) return this.trailOf(this.segments.get(id));
    return this.#trails.get(id) ?? [];
  }

  /** Return when a prediction came (epoch milliseconds); null for one that was there before, in a view. */
  arrivedAt(prediction) {
    return this.#arrivedAt.get(prediction) ?? null;
  }

  /** Predictions that arrived during the last minute; null for the past, which doesn't tell. */
  get perMinute() {
    if (this.isPast) return null;
    if (this.#standing) return this.#standing.perMinute;
    const oldest = Math.floor(this.clock() / 1000) - RATE_SECONDS;
    for (const second of this.#arrivals.keys()) if (second <= oldest) this.#arrivals.delete(second);
    return [...this.#arrivals.values()].reduce((sum, count) => sum + count, 0);
  }

  /**
   * When the last prediction came, by this clock; before one did, when the newest of the view was observed. Null when
   * nobody knows, as for what was replayed before.
   */
  get newsAt() {
    return this.#lastAt ?? (this.#newestMs === null ? null : this.#newestMs - this.#clockAheadMs);
  }

  /** How old the newest prediction is, in seconds, when it is too old to be current; null else, and for a replay. */
  get staleSeconds() {
    if (this.#newestMs === null) return null;
    const newest = { timestamp: this.#newestMs };
    return this.freshness(newest) === FRESH ? null : this.ageSeconds(newest);
  }

  /** For how long the consumer has been in its state, in seconds. */
  get consumerSeconds() {
    return (this.clock() + this.#clockAheadMs - this.consumer.since) / 1000;
  }

  /** The newest event time of replayed data in epoch milliseconds; null when nothing shown is replayed. */
  get replayTime() {
    return this.#replay.newestMs;
  }

  replaceAll(predictions) {
    this.segments.clear();
    this.#newestMs = null;
    this.#replay = new ReplayClock();
    this.#replaced = true;
    for (const prediction of predictions) if (this.#isReadable(prediction)) this.#put(prediction);
    for (const id of this.#trails.keys()) if (!this.segments.has(id)) this.#trails.delete(id);
  }

  arrive(prediction, isHeld = false) {
    if (!this.#isReadable(prediction)) return;
    if (!isHeld) this.#note(prediction);
    if (!this.#isOutdated(prediction, this.segments.get(prediction.segment_id))) this.#put(prediction);
  }

  remove(segmentId) {
    this.#trails.delete(segmentId);
    if (this.segments.delete(segmentId)) this.#changed.add(segmentId);
  }

  setServerTime(text) {
    const time = Date.parse(text);
    if (!Number.isNaN(time)) this.#clockAheadMs = time - this.clock();
  }

  /** Of a segment only a `left` and the newest after it wait, so that a pause of hours costs no more than two views. */
  #hold(message) {
    const { type, data, segment_id: id } = message;
    if (type === "stats") {
      this.#heldStats = message;
      return;
    }
    if (type === "prediction" && data !== null && typeof data === "object") {
      this.#note(data);
      this.waiting += 1;
    }
    if (type === "initial") this.#held.clear();
    const key = `${type} ${data?.segment_id ?? id}`;
    if (type === "left") this.#held.delete(`prediction ${id}`);
    if (type === "prediction" && this.#isOutdated(data, this.#held.get(key)?.data)) return;
    this.#held.delete(key);
    this.#held.set(key, type === "prediction" ? { ...message, isHeld: true } : message);
  }

  #heldMessages() {
    return [...this.#held.values(), ...(this.#heldStats ? [this.#heldStats] : [])];
  }

  /** Count an arrival at the time it came, which in a pause is before it is shown. */
  #note(prediction) {
    this.#lastAt = this.clock();
    this.received += 1;
    this.#arrivedAt.set(prediction, this.#lastAt);
    const second = Math.floor(this.#lastAt / 1000);
    this.#arrivals.set(second, (this.#arrivals.get(second) ?? 0) + 1);
    const oldest = this.#arrivals.keys().next().value;
    if (oldest <= second - RATE_SECONDS) this.#arrivals.delete(oldest);
  }

  #reportingAt(time) {
    const isFresh = (each) => freshness(this.#ageAt(time, each), this.intervalSeconds) === FRESH;
    return [...this.segments.values()].filter((each) => CATEGORIES.includes(each.category) && isFresh(each)).length;
  }

  /**
   * Whether a prediction doesn't replace what its segment shows: it is older, or of a larger horizon. A server that has
   * yet to read the newer one, which came from another, can't say so.
   */
  #isOutdated(prediction, shown) {
    if (prediction?.late) return true;
    if (!shown) return false;
    if (shown.horizon_minutes !== prediction?.horizon_minutes) return isOfLargerHorizon(prediction, shown, this.maxAgeMs);
    if (shown.timestamp !== prediction.timestamp) return shown.timestamp > prediction.timestamp;
    return shown.prediction_time > prediction.prediction_time;
  }

  #isReadable(value) {
    const isRead = readPrediction(value) !== null;
    if (!isRead) this.unreadable += 1;
    return isRead;
  }

  #put(prediction) {
    const { segment_id: id } = prediction;
    this.segments.delete(id); // so that the Map's order is the order of renewal
    this.segments.set(id, prediction);
    this.#extend(id, prediction.predicted_speed);
    this.#changed.add(id);
    if (prediction.source === REPLAY) this.#replay.hear(prediction.timestamp, this.clock());
    else this.#newestMs = Math.max(this.#newestMs ?? -Infinity, prediction.timestamp);
    if (this.segments.size > MAX_SEGMENTS) this.remove(this.segments.keys().next().value);
  }

  #extend(id, speed) {
    const trail = this.#trails.get(id) ?? [];
    trail.push(speed);
    if (trail.length > TRAIL) trail.shift();
    this.#trails.set(id, trail);
  }

  #tell() {
    for (const listener of this.#listeners) listener();
  }
}

/** Whether the server has lost Kafka; what is shown then is kept, not current. */
export function kafkaIsAway(consumer) {
  return ["reconnecting", "circuit_open", "stopped"].includes(consumer?.state);
}

function iso(epochMs) {
  return Number.isNaN(epochMs) ? "" : new Date(epochMs).toISOString();
}

/** What changes the values that are shown; the rest is told even in a pause. */
const HELD = new Set(["initial", "prediction", "left", "stats"]);

const HANDLERS = new Map(
  Object.entries({
    connected: (store, { timestamp }) => store.setServerTime(timestamp),
    initial: (store, { predictions }) => store.replaceAll(predictions),
    prediction: (store, { data, isHeld }) => store.arrive(data, isHeld),
    stats: (store, { data }) => {
      store.stats = data;
    },
    left: (store, { segment_id }) => store.remove(segment_id),
    status: (store, { state, since, reason }) => {
      store.consumer = { state, since: Date.parse(since), reason };
    },
    gap: (store, { reason, missed }) => {
      store.notice = { kind: "gap", reason, missed, at: store.clock() };
    },
    error: (store, { message }) => {
      store.notice = { kind: "error", message, at: store.clock() };
    },
  }),
);

class Mean {
  #sum = 0;
  #count = 0;

  add(value) {
    if (typeof value !== "number") return;
    this.#sum += value;
    this.#count += 1;
  }

  get value() {
    return this.#count ? this.#sum / this.#count : null;
  }
}
