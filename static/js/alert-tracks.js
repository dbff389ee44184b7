/**
 * The steps of each segment, and the alerts that they open and end. Pure.
 *
 * A step is a prediction or an observation with a later time than the one before. It is severe if its measured speed is,
 * or the predicted one. An alert begins with two severe steps, or with an expected drop of 15 mph or more. It ends after
 * two steps that are not severe with a drop below 10 mph. A drop that becomes severe is a new alert. After a silence of
 * five intervals earlier steps no longer count. Times are those of the steps.
 *
 * @import { Acknowledgements } from "./acknowledgements.js"
 * @import { SpeedScale } from "./speeds.js"
 * @import { Alert, Shown, SpeedUnit } from "./types.d.ts"
 * @typedef {{ steps: number, severe: number, calm: number, severeSince: number }} Counts
 * @typedef {Counts & { newest: Shown, before: Counts }} Segment
 */
import { SEVERE } from "./categories.js";
import { targetOf } from "./prediction.js";
import { fromMph } from "./speeds.js";
import { MAX_SEGMENTS } from "./store.js";

const STEPS = 2;
const DROP_MPH = 15;
const DROP_END_MPH = 10;
/** @type {Counts} */
const NO_STEPS = { steps: 0, severe: 0, calm: 0, severeSince: 0 };

export class AlertTracks {
  /** @type {Map<string, Segment>} */
  #segments = new Map();
  /** @type {Map<string, Alert>} */
  #open = new Map();

  /**
   * @param {object} options
   * @param {SpeedUnit} options.unit
   * @param {number} options.silenceMs
   * @param {SpeedScale} options.scale
   * @param {Acknowledgements} options.acknowledgements
   * @param {(id: string, timestamp: number) => void} options.onEnd called when a segment has no alert any more
   */
  constructor({ unit, silenceMs, scale, acknowledgements, onEnd }) {
    this.silenceMs = silenceMs;
    this.scale = scale;
    this.acknowledgements = acknowledgements;
    this.onEnd = onEnd;
    this.drop = fromMph(DROP_MPH, unit);
    this.dropEnd = fromMph(DROP_END_MPH, unit);
  }

  /** The open alerts. */
  get open() {
    return this.#open.values();
  }

  /** @returns {string[]} the segments that have a step */
  get ids() {
    return [...this.#segments.keys()];
  }

  /**
   * Return the open alert of a segment.
   *
   * @param {string} id
   */
  alertOf(id) {
    return this.#open.get(id);
  }

  /**
   * Return the newest step of a segment.
   *
   * @param {string} id
   */
  newestOf(id) {
    return this.#segments.get(id)?.newest;
  }

  /** Return the newest steps of segments with one known step for which earlier steps would matter. */
  unsure() {
    const found = [];
    for (const { steps, newest } of this.#segments.values()) {
      if (steps === 1 && (this.#isSevere(newest) || dropsBy(newest, this.dropEnd))) found.push(newest);
    }
    return found;
  }

  /**
   * Drop a segment, and its alert.
   *
   * @param {string} id
   */
  forget(id) {
    this.#segments.delete(id);
    this.#open.delete(id);
  }

  /**
   * Go through a segment's steps again, from earlier ones on. An open alert of the same kind stays the same object.
   *
   * @param {string} id
   * @param {Shown[]} steps
   */
  repeat(id, steps) {
    const newest = this.#segments.get(id)?.newest;
    if (!newest) return;
    const before = this.#open.get(id);
    this.forget(id);
    for (const each of [...steps, newest]) this.step(each);
    const alert = this.#open.get(id);
    if (!alert) return;
    this.recognise(alert);
    if (before?.kind === alert.kind) this.#open.set(id, Object.assign(before, alert));
  }

  /**
   * Take in a step, unless it is older than the newest one of its segment.
   *
   * @param {Shown} prediction
   */
  step(prediction) {
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
    if (this.#segments.size > MAX_SEGMENTS) for (const oldest of this.#segments.keys()) return void this.forget(oldest);
  }

  /**
   * Take over the acknowledgement of an alert.
   *
   * @param {Alert} alert
   */
  recognise(alert) {
    const known = this.acknowledgements.of(alert);
    if (known === null) return;
    alert.since = Math.min(alert.since, known.since);
    alert.acknowledged = true;
    alert.seen = known.seen;
  }

  /** @param {Shown} step */
  #isSevere({ category, current_speed: now }) {
    return category === SEVERE || this.scale.category(now) === SEVERE;
  }

  /**
   * @param {Shown} prediction
   * @param {Counts} before
   * @returns {Counts}
   */
  #count(prediction, { steps, severe, calm, severeSince }) {
    if (!this.#isSevere(prediction)) return { steps: steps + 1, severe: 0, calm: calm + 1, severeSince };
    return { steps: steps + 1, severe: severe + 1, calm: 0, severeSince: severe ? severeSince : prediction.timestamp };
  }

  /**
   * @param {Shown} prediction
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
   * @param {Shown} prediction
   * @param {Alert["kind"]} kind
   * @param {number} since
   */
  #begin(prediction, kind, since) {
    const { segment_id: id, road_name: road, predicted_speed: value, speed_diff: change, timestamp, source } = prediction;
    const { current_speed: now = null } = prediction;
    const target = targetOf(prediction);
    /** @type {Alert} */
    const alert = { id, road, kind, change, target, now, value, since, timestamp, source, acknowledged: false, seen: null };
    this.#open.set(id, alert);
    this.recognise(alert);
  }

  /**
   * @param {string} id
   * @param {number} timestamp
   */
  #end(id, timestamp) {
    this.#open.delete(id);
    this.onEnd(id, timestamp);
  }
}

/**
 * @param {Shown} prediction
 * @param {number} limit
 */
function dropsBy({ speed_diff: change }, limit) {
  return typeof change === "number" && change <= -limit;
}

/**
 * Tell whether a prediction is of the same time as another one, and of a smaller horizon.
 *
 * @param {Shown} prediction
 * @param {Shown} other
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
