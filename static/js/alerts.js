/**
 * Raises an alert for a segment with severe congestion for two steps, or with an expected drop of 15 mph or more. Pure.
 *
 * A step is a prediction with a later time than the one before. It is severe if its measured speed is, or the predicted
 * one. An alert ends after two steps that are not severe with a drop below 10 mph. A drop that becomes severe is a new
 * alert. After a silence of five intervals earlier steps no longer count. Times are those of the predictions. They are of
 * the chosen horizon; without one, of the smallest of each segment.
 *
 * @import { Alert, ChosenTime, Message, Prediction, SpeedUnit } from "./types.d.ts"
 * @typedef {{ steps: number, severe: number, calm: number, severeSince: number }} Counts
 * @typedef {Counts & { newest: Prediction, before: Counts }} Segment
 */
import { Acknowledgements } from "./acknowledgements.js";
import { speedOf } from "./alert-groups.js";
import { SEVERE } from "./categories.js";
import { STALE_INTERVALS } from "./freshness.js";
import { isOfLargerHorizon, readPrediction, targetOf } from "./prediction.js";
import { fromMph, SpeedScale } from "./speeds.js";
import { MAX_SEGMENTS } from "./store.js";

const STEPS = 2;
const DROP_MPH = 15;
const DROP_END_MPH = 10;
/** @type {Counts} */
const NO_STEPS = { steps: 0, severe: 0, calm: 0, severeSince: 0 };

export class Alerts {
  /** @type {Map<string, Segment>} */
  #segments = new Map();
  /** @type {Map<string, Alert>} */
  #open = new Map();
  #acknowledgements;

  /** @param {{ unit: SpeedUnit, intervalSeconds: number, maxAgeSeconds?: number, scale?: SpeedScale }} options */
  constructor({ unit, intervalSeconds, maxAgeSeconds = Infinity, scale = new SpeedScale({ unit }) }) {
    this.maxAgeMs = 1000 * maxAgeSeconds;
    this.scale = scale;
    this.drop = fromMph(DROP_MPH, unit);
    this.dropEnd = fromMph(DROP_END_MPH, unit);
    /** @type {number | null} */
    this.horizon = null;
    this.silenceMs = STALE_INTERVALS * intervalSeconds * 1000;
    this.#acknowledgements = new Acknowledgements({ silenceMs: this.silenceMs });
  }

  /**
   * Take in one message of the wire format.
   *
   * @param {Message} message
   */
  apply(message) {
    if (message.type === "initial") this.#replace(message.predictions.filter(readPrediction));
    else if (message.type === "prediction") this.#arrive(readPrediction(message.data));
    else if (message.type === "left") this.#leave(message);
  }

  /**
   * Judge predictions of another horizon from now on: none of the steps before count.
   *
   * @param {ChosenTime} time
   * @param {Prediction[]} predictions the newest ones, of all horizons
   */
  choose(time, predictions) {
    const horizon = typeof time === "number" ? time : null;
    if (horizon === this.horizon) return;
    this.horizon = horizon;
    for (const id of [...this.#segments.keys()]) this.#forget(id);
    this.#replace(predictions);
  }

  /** Return the segments with one known step for which earlier steps would matter, lowest speed first. */
  unsure() {
    const found = [];
    for (const { steps, newest } of this.#segments.values()) {
      if (steps === 1 && (this.#isSevere(newest) || dropsBy(newest, this.dropEnd))) found.push(newest);
    }
    return found.sort((one, other) => one.predicted_speed - other.predicted_speed).map(({ segment_id }) => segment_id);
  }

  /**
   * Take in predictions from before the newest step of their segments, in any order.
   *
   * @param {Prediction[]} history
   */
  learn(history) {
    /** @type {Map<string, Prediction[]>} */
    const earlier = new Map();
    for (const each of history.filter(readPrediction)) {
      if (!this.#isOfHorizon(each)) continue;
      const known = this.#segments.get(each.segment_id);
      if (!known || each.timestamp >= known.newest.timestamp) continue;
      earlier.set(each.segment_id, [...(earlier.get(each.segment_id) ?? []), each]);
    }
    for (const [id, steps] of earlier) this.#repeat(id, steps.sort((one, other) => one.timestamp - other.timestamp));
  }

  /**
   * Return the alerts: current before others, new before acknowledged, severe before drops, lowest speed first.
   *
   * @param {(alert: Alert) => boolean} isCurrent
   */
  list(isCurrent = () => true) {
    /** @param {Alert} alert */
    const rank = (alert) => 4 * Number(!isCurrent(alert)) + 2 * Number(alert.acknowledged) + Number(alert.kind === "drop");
    const ranked = [...this.#open.values()].map((alert) => ({ alert, rank: rank(alert) }));
    const found = ranked.sort((one, other) => one.rank - other.rank || speedOf(one.alert) - speedOf(other.alert));
    return found.map(({ alert }) => alert);
  }

  /** @param {string} id */
  acknowledge(id) {
    const alert = this.#open.get(id);
    if (!alert) return;
    alert.acknowledged = true;
    this.#acknowledgements.add(alert);
  }

  acknowledgeAll() {
    for (const id of this.#open.keys()) this.acknowledge(id);
  }

  /** Return the acknowledgements of alerts that have not ended, for recall(). */
  acknowledgements() {
    for (const alert of this.#open.values()) if (alert.acknowledged) this.#acknowledgements.add(alert);
    return this.#acknowledgements.entries();
  }

  /**
   * Take over the acknowledgements of another tab, or of before a reload.
   *
   * @param {[string, string, number, number][]} entries
   */
  recall(entries) {
    this.#acknowledgements.recall(entries);
    for (const alert of this.#open.values()) this.#recognise(alert);
  }

  /** @param {Prediction | null} prediction */
  #arrive(prediction) {
    if (prediction === null || prediction.late || !this.#isOfHorizon(prediction)) return;
    const known = this.#segments.get(prediction.segment_id);
    if (known && isOfLargerHorizon(prediction, known.newest, this.maxAgeMs)) return;
    this.#step(prediction);
  }

  /** @param {Prediction} prediction */
  #isOfHorizon({ horizon_minutes: horizon }) {
    return this.horizon === null || horizon === this.horizon;
  }

  /** @param {Prediction} prediction */
  #isSevere({ category, current_speed: now }) {
    return category === SEVERE || this.scale.category(now) === SEVERE;
  }

  /** @param {Prediction[]} predictions */
  #replace(predictions) {
    const present = new Set(predictions.map(({ segment_id }) => segment_id));
    for (const id of this.#segments.keys()) if (!present.has(id)) this.#forget(id);
    for (const each of predictions) this.#arrive(each);
  }

  /**
   * An observation that left, or a prediction of another horizon, ends no alert.
   *
   * @param {Extract<Message, { type: "left" }>} message
   */
  #leave({ segment_id: id, horizon_minutes: horizon = null, kind }) {
    const newest = this.#segments.get(id)?.newest;
    if (kind !== "observation" && (horizon === null || horizon === newest?.horizon_minutes)) this.#forget(id);
  }

  /** @param {string} id */
  #forget(id) {
    this.#segments.delete(id);
    this.#open.delete(id);
  }

  /**
   * Go through a segment's steps again, from earlier ones on. An open alert of the same kind stays the same object.
   *
   * @param {string} id
   * @param {Prediction[]} steps
   */
  #repeat(id, steps) {
    const newest = this.#segments.get(id)?.newest;
    if (!newest) return;
    const before = this.#open.get(id);
    this.#forget(id);
    for (const each of [...steps, newest]) this.#step(each);
    const alert = this.#open.get(id);
    if (!alert) return;
    this.#recognise(alert);
    if (before?.kind === alert.kind) this.#open.set(id, Object.assign(before, alert));
  }

  /** @param {Prediction} prediction */
  #step(prediction) {
    const { segment_id: id, timestamp } = prediction;
    let known = this.#segments.get(id);
    const revises = known !== undefined && isNearer(prediction, known.newest);
    if (known && timestamp <= known.newest.timestamp && !revises) return;
    if (known && timestamp - known.newest.timestamp >= this.silenceMs) {
      this.#end(id, timestamp);
      known = undefined;
    }
    const before = known === undefined ? NO_STEPS : revises ? known.before : countsOf(known);
    known = { ...this.#count(prediction, before), newest: prediction, before };
    this.#segments.delete(id); // so that the Map's order is the order of updates
    this.#segments.set(id, known);
    this.#judge(prediction, known);
    if (this.#segments.size > MAX_SEGMENTS) for (const oldest of this.#segments.keys()) return void this.#forget(oldest);
  }

  /**
   * @param {Prediction} prediction
   * @param {Counts} before
   * @returns {Counts}
   */
  #count(prediction, { steps, severe, calm, severeSince }) {
    if (!this.#isSevere(prediction)) return { steps: steps + 1, severe: 0, calm: calm + 1, severeSince };
    return { steps: steps + 1, severe: severe + 1, calm: 0, severeSince: severe ? severeSince : prediction.timestamp };
  }

  /**
   * @param {Prediction} prediction
   * @param {Segment} known
   */
  #judge(prediction, known) {
    const { segment_id: id, predicted_speed: value, current_speed: now = null, speed_diff: change, timestamp } = prediction;
    const alert = this.#open.get(id);
    const isSevere = known.severe >= STEPS;
    const stillDrops = dropsBy(prediction, this.dropEnd);
    if (known.calm >= STEPS && !stillDrops) this.#end(id, timestamp);
    else if (alert && !(isSevere && alert.kind === "drop")) {
      Object.assign(alert, { now, value, timestamp, target: targetOf(prediction) }, stillDrops && { change });
    } else if (isSevere) this.#begin(prediction, "severe", known.severeSince);
    else if (dropsBy(prediction, this.drop)) this.#begin(prediction, "drop", timestamp);
  }

  /**
   * @param {Prediction} prediction
   * @param {Alert["kind"]} kind
   * @param {number} since
   */
  #begin(prediction, kind, since) {
    const { segment_id: id, road_name: road, predicted_speed: value, speed_diff: change, timestamp, source } = prediction;
    const { current_speed: now = null } = prediction;
    const target = targetOf(prediction);
    /** @type {Alert} */
    const alert = { id, road, kind, change, target, now, value, since, timestamp, source, acknowledged: false };
    this.#open.set(id, alert);
    this.#recognise(alert);
  }

  /**
   * @param {string} id
   * @param {number} timestamp
   */
  #end(id, timestamp) {
    this.#open.delete(id);
    this.#acknowledgements.end(id, timestamp);
  }

  /** @param {Alert} alert */
  #recognise(alert) {
    const known = this.#acknowledgements.of(alert);
    if (known === null) return;
    alert.since = Math.min(alert.since, known.since);
    alert.acknowledged = true;
  }
}

/**
 * @param {Prediction} prediction
 * @param {number} limit
 */
function dropsBy({ speed_diff: change }, limit) {
  return typeof change === "number" && change <= -limit;
}

/**
 * Tell whether a prediction is of the same time as another one, and of a smaller horizon.
 *
 * @param {Prediction} prediction
 * @param {Prediction} other
 */
function isNearer(prediction, other) {
  return (
    prediction.timestamp === other.timestamp &&
    (prediction.horizon_minutes ?? -Infinity) < (other.horizon_minutes ?? -Infinity)
  );
}

/**
 * @param {Segment} segment
 * @returns {Counts}
 */
function countsOf({ steps, severe, calm, severeSince }) {
  return { steps, severe, calm, severeSince };
}
