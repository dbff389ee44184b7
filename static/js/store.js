/**
 * What the page knows: the newest prediction per segment, the states of consumer and connection, when things came.
 *
 * Pure state: no DOM, no network, no timers; the time comes from `clock` (epoch milliseconds). It understands the
 * messages of the wire format, whichever transport brought them. What it holds came from Kafka and is hostile: segment
 * names are keys of a Map, never of an object.
 */
import { FRESH, freshness } from "./freshness.js";

export const CATEGORIES = ["free_flow", "moderate_traffic", "heavy_traffic", "severe_congestion"];
/** The groups of the chips: the categories of what is fresh, and one for all that isn't. */
export const GROUPS = [...CATEGORIES, "not_current"];
export const REPLAY = "replay";

const MAX_SEGMENTS = 20_000;
const RATE_SECONDS = 60;
const TRAIL = 24;

export class Store {
  #changed = new Set();
  #replaced = true;
  #listeners = new Set();
  #arrivals = new Map();
  #clockAheadMs = 0;
  #newestReplayMs = -Infinity;
  #replayHeardAt = 0;
  #held = new Map();
  #trails = new Map();
  #arrivedAt = new WeakMap();

  constructor({ intervalSeconds, clock = Date.now }) {
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
    this.newsAt = null;
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

  /** Keep what is shown as it is; what comes meanwhile waits. */
  pause() {
    this.paused = true;
    this.#tell();
  }

  /** Show what came meanwhile, and all that comes. */
  goOn() {
    const held = this.#held;
    this.paused = false;
    this.waiting = 0;
    this.#held = new Map();
    for (const message of held.values()) HANDLERS.get(message.type)(this, message);
    this.#tell();
  }

  /** Return messages that tell somebody else all that is known, what waits in a pause included. */
  messages() {
    const told = [{ type: "connected", timestamp: iso(this.clock() + this.#clockAheadMs) }];
    if (this.consumer) told.push({ type: "status", ...this.consumer, since: iso(this.consumer.since) });
    if (this.stats) told.push({ type: "stats", data: this.stats });
    return [...told, { type: "initial", predictions: [...this.segments.values()] }, ...this.#held.values()];
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
    const now = this.clock();
    if (prediction.source !== REPLAY) return Math.max(0, now + this.#clockAheadMs - prediction.timestamp) / 1000;
    // A replay that has ended grows old by the wall clock.
    return Math.max(this.#newestReplayMs - prediction.timestamp, now - this.#replayHeardAt) / 1000;
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

  /** Sum up: total, reporting, counts by group, means of what is fresh (null when there is none), the replay's time. */
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
    const reporting = total - counts.not_current;
    return { total, reporting, counts, meanPredicted: predicted.value, meanChange: change.value };
  }

  /** Return a segment's last predicted speeds, oldest first. */
  trail(id) {
    return this.#trails.get(id) ?? [];
  }

  /** Return when a prediction came (epoch milliseconds); null for one that was there before, in a view. */
  arrivedAt(prediction) {
    return this.#arrivedAt.get(prediction) ?? null;
  }

  /** Predictions that arrived during the last minute. */
  get perMinute() {
    const oldest = Math.floor(this.clock() / 1000) - RATE_SECONDS;
    for (const second of this.#arrivals.keys()) if (second <= oldest) this.#arrivals.delete(second);
    return [...this.#arrivals.values()].reduce((sum, count) => sum + count, 0);
  }

  /** The newest event time of replayed data in epoch milliseconds; null when nothing shown is replayed. */
  get replayTime() {
    return this.#newestReplayMs === -Infinity ? null : this.#newestReplayMs;
  }

  replaceAll(predictions) {
    this.segments.clear();
    this.#newestReplayMs = -Infinity;
    this.#replaced = true;
    for (const prediction of predictions) this.#put(prediction);
    if (predictions.length) this.newsAt = this.clock();
  }

  arrive(prediction, isHeld = false) {
    if (typeof prediction?.segment_id !== "string") return void (this.unreadable += 1);
    if (!isHeld) {
      this.received += 1;
      this.#arrivedAt.set(prediction, this.clock());
    }
    this.newsAt = this.clock();
    const second = Math.floor(this.newsAt / 1000);
    this.#arrivals.set(second, (this.#arrivals.get(second) ?? 0) + 1);
    // A late one is older than what is shown.
    if (!prediction.late) this.#put(prediction);
  }

  remove(segmentId) {
    this.#trails.delete(segmentId);
    if (this.segments.delete(segmentId)) this.#changed.add(segmentId);
  }

  setServerTime(text) {
    const time = Date.parse(text);
    if (!Number.isNaN(time)) this.#clockAheadMs = time - this.clock();
  }

  /** Of a segment only the last message must wait, so that a pause of hours costs no more than the view. */
  #hold(message) {
    const { type, data, segment_id: id } = message;
    if (type === "prediction" && data !== null && typeof data === "object") {
      this.#arrivedAt.set(data, this.clock());
      this.waiting += 1;
      this.received += 1;
    }
    if (type === "initial") this.#held.clear();
    const key = type === "initial" ? "" : `${data?.segment_id ?? id}`;
    this.#held.delete(key);
    this.#held.set(key, type === "prediction" ? { ...message, isHeld: true } : message);
  }

  #put(prediction) {
    const { segment_id: id } = prediction;
    this.segments.delete(id); // so that the Map's order is the order of renewal
    this.segments.set(id, prediction);
    this.#extend(id, prediction.predicted_speed);
    this.#changed.add(id);
    if (prediction.source === REPLAY) {
      this.#newestReplayMs = Math.max(this.#newestReplayMs, prediction.timestamp);
      this.#replayHeardAt = this.clock();
    }
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

function iso(epochMs) {
  return Number.isNaN(epochMs) ? "" : new Date(epochMs).toISOString();
}

/** What changes the values that are shown; the rest is told even in a pause. */
const HELD = new Set(["initial", "prediction", "left"]);

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
