/**
 * What an operator should look at: a segment severe for two steps, or a predicted drop of 15 mph or more. Pure.
 *
 * An alert begins once, and ends only when it is clearly over: two steps that aren't severe, and a drop below 10 mph. A
 * drop that becomes severe is another alert. A step is a prediction with a later time than the one before; times are
 * those of the predictions, and after a silence of five intervals nothing is known of what was before it.
 *
 * One that was acknowledged stays so until it ends. That outlasts this object: `acknowledgements()` are told to another
 * one by `recall()`, and of one segment and kind what overlaps in time is the same alert.
 */
import { STALE_INTERVALS } from "./freshness.js";
import { isOfLargerHorizon, readPrediction } from "./prediction.js";
import { MAX_SEGMENTS } from "./store.js";

const STEPS = 2;
const DROP_MPH = 15;
const DROP_OVER_MPH = 10;
const UNITS_PER_MPH = { mph: 1, kmh: 1.609344 };
const MOST_ACKNOWLEDGED = 1_000;
const SEVERE = "severe_congestion";

export class Alerts {
  #segments = new Map();
  #open = new Map();
  #acknowledged = new Map();

  constructor({ unit, intervalSeconds, maxAgeSeconds = Infinity }) {
    this.maxAgeMs = 1000 * maxAgeSeconds;
    this.drop = DROP_MPH * UNITS_PER_MPH[unit];
    this.dropOver = DROP_OVER_MPH * UNITS_PER_MPH[unit];
    this.silenceMs = STALE_INTERVALS * intervalSeconds * 1000;
  }

  /** Take in one message of the wire format. */
  apply({ type, predictions, data, segment_id: id }) {
    if (type === "initial") this.#replace(predictions.filter(readPrediction));
    else if (type === "prediction" && readPrediction(data) && !this.#isAside(data)) this.#take(data);
    else if (type === "left") this.#forget(id);
  }

  /** Return the segments of which one step is known and earlier ones would matter, the worst first. */
  unsure() {
    const found = [];
    for (const { steps, newest } of this.#segments.values()) {
      if (steps === 1 && (newest.category === SEVERE || dropsBy(newest, this.dropOver))) found.push(newest);
    }
    return found.sort((one, other) => one.predicted_speed - other.predicted_speed).map(({ segment_id }) => segment_id);
  }

  /** Take in what was before the newest step of the segments, in any order. */
  learn(history) {
    const earlier = new Map();
    for (const each of history.filter(readPrediction)) {
      const known = this.#segments.get(each.segment_id);
      if (!known || each.timestamp >= known.newest.timestamp) continue;
      earlier.set(each.segment_id, [...(earlier.get(each.segment_id) ?? []), each]);
    }
    for (const [id, steps] of earlier) this.#relive(id, steps.sort((one, other) => one.timestamp - other.timestamp));
  }

  /**
   * Return the alerts, worst first: `[{ id, road, kind, change, value, since, timestamp, source, acknowledged }]`, of
   * which `timestamp` is that of the newest step. Those for which `isCurrent(alert)` is false come last.
   */
  list(isCurrent = () => true) {
    const rank = (alert) => 4 * !isCurrent(alert) + 2 * alert.acknowledged + (alert.kind === "drop");
    const ranked = [...this.#open.values()].map((alert) => ({ alert, rank: rank(alert) }));
    const found = ranked.sort((one, other) => one.rank - other.rank || one.alert.value - other.alert.value);
    return found.map(({ alert }) => alert);
  }

  acknowledge(id) {
    const alert = this.#open.get(id);
    if (!alert) return;
    alert.acknowledged = true;
    this.#remember(alert);
  }

  acknowledgeAll() {
    for (const id of this.#open.keys()) this.acknowledge(id);
  }

  /** Return what was acknowledged and hasn't ended: `[[id, kind, since, until]]`, at most the last 1,000. */
  acknowledgements() {
    for (const alert of this.#open.values()) if (alert.acknowledged) this.#remember(alert);
    return [...this.#acknowledged].map(([id, { kind, since, until }]) => [id, kind, since, until]);
  }

  /** Take over the acknowledgements of another tab, or of before a reload. */
  recall(acknowledgements) {
    for (const [id, kind, since, timestamp] of acknowledgements) {
      if (!(this.#acknowledged.get(id)?.until > timestamp)) this.#remember({ id, kind, since, timestamp });
    }
    for (const alert of this.#open.values()) this.#recognise(alert);
  }

  /** Whether a prediction isn't what its segment shows. */
  #isAside(prediction) {
    const known = this.#segments.get(prediction.segment_id);
    return prediction.late || (known && isOfLargerHorizon(prediction, known.newest, this.maxAgeMs));
  }

  #replace(predictions) {
    const here = new Set(predictions.map(({ segment_id }) => segment_id));
    for (const id of this.#segments.keys()) if (!here.has(id)) this.#forget(id);
    for (const each of predictions) this.#take(each);
  }

  #forget(id) {
    this.#segments.delete(id);
    this.#open.delete(id);
  }

  /** Go through a segment's steps again from earlier ones on; what an alert of before is shown as stays the same one. */
  #relive(id, steps) {
    const { newest } = this.#segments.get(id);
    const before = this.#open.get(id);
    this.#forget(id);
    for (const each of [...steps, newest]) this.#take(each);
    const alert = this.#open.get(id);
    if (!alert) return;
    this.#recognise(alert);
    if (before?.kind === alert.kind) this.#open.set(id, Object.assign(before, alert));
  }

  #take(prediction) {
    const { segment_id: id, timestamp } = prediction;
    const before = this.#segments.get(id);
    if (before && !(timestamp > before.newest.timestamp)) return;
    const isSilent = before && timestamp - before.newest.timestamp >= this.silenceMs;
    if (isSilent) this.#end(id, timestamp);
    const known = isSilent || !before ? { steps: 0, severe: 0, calm: 0, severeSince: timestamp } : before;
    const isSevere = prediction.category === SEVERE;
    if (known.severe === 0) known.severeSince = timestamp;
    known.severe = isSevere ? known.severe + 1 : 0;
    known.calm = isSevere ? 0 : known.calm + 1;
    known.steps += 1;
    known.newest = prediction;
    this.#segments.delete(id); // so that the Map's order is the order of renewal
    this.#segments.set(id, known);
    this.#judge(prediction, known);
    if (this.#segments.size > MAX_SEGMENTS) this.#forget(this.#segments.keys().next().value);
  }

  #judge(prediction, known) {
    const { segment_id: id, predicted_speed: value, timestamp } = prediction;
    const alert = this.#open.get(id);
    const isSevere = known.severe >= STEPS;
    if (this.#isOver(prediction, known)) this.#end(id, timestamp);
    else if (alert && !(isSevere && alert.kind === "drop")) Object.assign(alert, { value, timestamp });
    else if (isSevere) this.#begin(prediction, "severe", known.severeSince);
    else if (dropsBy(prediction, this.drop)) this.#begin(prediction, "drop", timestamp);
  }

  #begin(prediction, kind, since) {
    const { segment_id: id, road_name: road, predicted_speed: value, speed_diff: change, timestamp, source } = prediction;
    const alert = { id, road, kind, change, value, since, timestamp, source, acknowledged: false };
    this.#open.set(id, alert);
    this.#recognise(alert);
  }

  #end(id, timestamp) {
    this.#open.delete(id);
    if (timestamp > this.#acknowledged.get(id)?.until) this.#acknowledged.delete(id);
  }

  #remember({ id, kind, since, timestamp: until }) {
    this.#acknowledged.delete(id);
    this.#acknowledged.set(id, { kind, since, until });
    if (this.#acknowledged.size > MOST_ACKNOWLEDGED) this.#acknowledged.delete(this.#acknowledged.keys().next().value);
  }

  #isOver(prediction, { calm }) {
    return calm >= STEPS && !dropsBy(prediction, this.dropOver);
  }

  /** Who was away for less than a silence may have missed the steps between. */
  #recognise(alert) {
    const known = this.#acknowledged.get(alert.id);
    if (known?.kind !== alert.kind || known.since > alert.timestamp) return;
    if (alert.since - known.until >= this.silenceMs) return;
    alert.since = Math.min(alert.since, known.since);
    alert.acknowledged = true;
  }
}

function dropsBy({ speed_diff: change }, limit) {
  return typeof change === "number" && change <= -limit;
}
