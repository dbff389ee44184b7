/**
 * What an operator should look at: a segment severe for two steps, or a predicted drop of 15 mph or more. Pure.
 *
 * An alert begins once, and ends only when it is clearly over: two steps that aren't severe, and a drop below 10 mph.
 * One that was acknowledged stays so until it ends. A step is a prediction with a later time than the one before.
 */
const STEPS = 2;
const DROP_MPH = 15;
const DROP_OVER_MPH = 10;
const UNITS_PER_MPH = { mph: 1, kmh: 1.609344 };

export class Alerts {
  #segments = new Map();

  constructor({ unit, clock = Date.now }) {
    this.drop = DROP_MPH * UNITS_PER_MPH[unit];
    this.dropOver = DROP_OVER_MPH * UNITS_PER_MPH[unit];
    this.clock = clock;
  }

  /** Take in one message of the wire format. */
  apply({ type, predictions, data, segment_id: id }) {
    if (type === "initial") this.#replace(predictions);
    else if (type === "prediction" && !data?.late) this.#take(data);
    else if (type === "left") this.#segments.delete(id);
  }

  /** Return the alerts, newest first: `[{ id, road, kind, value, since, acknowledged }]`. */
  list() {
    const found = [];
    for (const { alert } of this.#segments.values()) if (alert) found.push(alert);
    return found.sort((one, other) => other.since - one.since);
  }

  acknowledge(id) {
    const alert = this.#segments.get(id)?.alert;
    if (alert) alert.acknowledged = true;
  }

  acknowledgeAll() {
    for (const { alert } of this.#segments.values()) if (alert) alert.acknowledged = true;
  }

  #replace(predictions) {
    const here = new Set(predictions.map(({ segment_id }) => segment_id));
    for (const id of this.#segments.keys()) if (!here.has(id)) this.#segments.delete(id);
    for (const each of predictions) this.#take(each);
  }

  #take(prediction) {
    const { segment_id: id, timestamp } = prediction;
    if (typeof id !== "string") return;
    if (!this.#segments.has(id)) this.#segments.set(id, { timestamp: -Infinity, severe: 0, calm: 0, alert: null });
    const known = this.#segments.get(id);
    if (!(timestamp > known.timestamp)) return;
    known.timestamp = timestamp;
    const isSevere = prediction.category === "severe_congestion";
    known.severe = isSevere ? known.severe + 1 : 0;
    known.calm = isSevere ? 0 : known.calm + 1;
    if (known.alert === null) known.alert = this.#begun(prediction, known);
    else if (this.#isOver(prediction, known)) known.alert = null;
    else known.alert.value = prediction.predicted_speed;
  }

  #begun(prediction, { severe }) {
    const { segment_id: id, road_name: road, predicted_speed: value, speed_diff: change } = prediction;
    const drops = typeof change === "number" && change <= -this.drop;
    if (!drops && severe < STEPS) return null;
    return { id, road, kind: drops ? "drop" : "severe", change, value, since: this.clock(), acknowledged: false };
  }

  #isOver({ speed_diff: change }, { calm }) {
    return calm >= STEPS && !(typeof change === "number" && change <= -this.dropOver);
  }
}
