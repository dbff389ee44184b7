/**
 * Raises alerts for severe congestion, measured or predicted, and for expected drops; see alert-tracks.js. Pure.
 *
 * Predictions are those of the chosen horizon; without one, of the smallest of each segment. Observations are steps of
 * their own, so a jam that is only measured is an alert too. A segment has at most one alert: that of its predictions,
 * unless these have stopped.
 *
 * @import { Alert, AlertSpan, ChosenTime, Message, Observation, Prediction, SharedAcknowledgement, SpeedUnit } from "./types.d.ts"
 */
import { Acknowledgements } from "./acknowledgements.js";
import { speedOf } from "./alert-groups.js";
import { AlertTracks } from "./alert-tracks.js";
import { STALE_INTERVALS } from "./freshness.js";
import { isOfLargerHorizon, readObservation, readPrediction } from "./prediction.js";
import { SpeedScale } from "./speeds.js";

/** @type {Alert["kind"][]} */
const KINDS = ["severe", "drop"];

export class Alerts {
  #acknowledgements;
  #predicted;
  #measured;

  /** @param {{ unit: SpeedUnit, intervalSeconds: number, maxAgeSeconds?: number, scale?: SpeedScale }} options */
  constructor({ unit, intervalSeconds, maxAgeSeconds = Infinity, scale = new SpeedScale({ unit }) }) {
    this.maxAgeMs = 1000 * maxAgeSeconds;
    /** @type {number | null} */
    this.horizon = null;
    /** Requests for earlier steps that have no answer yet, so that alerts may be missing. */
    this.learning = 0;
    const silenceMs = STALE_INTERVALS * intervalSeconds * 1000;
    this.#acknowledgements = new Acknowledgements({ silenceMs });
    /** @type {(id: string, timestamp: number) => void} */
    const onEnd = (id, timestamp) => this.#end(id, timestamp);
    const options = { unit, silenceMs, scale, acknowledgements: this.#acknowledgements, onEnd };
    this.renewAfterMs = silenceMs / 2;
    this.#predicted = new AlertTracks(options);
    this.#measured = new AlertTracks(options);
  }

  /**
   * Take in one message of the wire format.
   *
   * @param {Message} message
   */
  apply(message) {
    switch (message.type) {
      case "initial":
        this.#replace(message.predictions.filter(readPrediction));
        this.#replaceMeasured((message.observations ?? []).filter(readObservation));
        break;
      case "prediction":
        this.#arrive(readPrediction(message.data));
        break;
      case "observation":
        this.#observe(readObservation(message.data));
        break;
      case "left":
        this.#leave(message);
        break;
    }
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
    this.#acknowledgements.forgetEnds();
    for (const id of this.#predicted.ids) this.#predicted.forget(id);
    this.#replace(predictions);
  }

  /** Return the segments with one known step for which earlier steps would matter, lowest speed first. */
  unsure() {
    const found = this.#predicted.unsure();
    found.sort((one, other) => (one.predicted_speed ?? Infinity) - (other.predicted_speed ?? Infinity));
    return found.map(({ segment_id }) => segment_id);
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
      const newest = this.#predicted.newestOf(each.segment_id);
      if (!newest || each.timestamp >= newest.timestamp) continue;
      const known = earlier.get(each.segment_id);
      if (known) known.push(each);
      else earlier.set(each.segment_id, [each]);
    }
    for (const [id, steps] of earlier) this.#predicted.repeat(id, steps.sort((one, other) => one.timestamp - other.timestamp));
  }

  /**
   * Return the alerts: current before others, new before acknowledged, severe before drops, lowest speed first.
   *
   * @param {(alert: Alert) => boolean} isCurrent
   */
  list(isCurrent = () => true) {
    /** @param {Alert} alert */
    const rank = (alert) => 4 * Number(!isCurrent(alert)) + 2 * Number(alert.acknowledged) + Number(alert.kind === "drop");
    const ranked = [...this.#open(isCurrent)].map((alert) => ({ alert, rank: rank(alert) }));
    const found = ranked.sort((one, other) => one.rank - other.rank || speedOf(one.alert) - speedOf(other.alert));
    return found.map(({ alert }) => alert);
  }

  /** @param {string} id */
  acknowledge(id) {
    for (const alert of [this.#predicted.alertOf(id), this.#measured.alertOf(id)]) {
      if (!alert) continue;
      alert.acknowledged = true;
      this.#acknowledgements.add(alert);
    }
  }

  /** Return the acknowledgements of alerts that have not ended, for recall(). */
  acknowledgements() {
    for (const alert of this.#open()) if (alert.acknowledged) this.#acknowledgements.add(alert);
    return this.#acknowledgements.entries();
  }

  /**
   * Take over the acknowledgements of another tab, or of before a reload.
   *
   * @param {[string, string, number, number][]} entries
   */
  recall(entries) {
    this.#acknowledgements.recall(entries);
    for (const [alert, tracks] of this.#all()) tracks.recognise(alert);
  }

  /**
   * Take over the acknowledgements that all who watch share, in place of those before.
   *
   * @param {SharedAcknowledgement[]} entries
   */
  share(entries) {
    this.#acknowledgements.replace(entries);
    for (const [alert, tracks] of this.#all()) {
      alert.acknowledged = false;
      alert.seen = null;
      tracks.recognise(alert);
    }
  }

  /**
   * Return what the open alerts of segments are, for the server.
   *
   * @param {string[]} ids
   */
  spansOf(ids) {
    const asked = new Set(ids);
    return [...this.#all()].filter(([{ id }]) => asked.has(id)).map(([alert]) => spanOf(alert));
  }

  /** Return the shared acknowledgements whose alerts last longer than the server knows. */
  toRenew() {
    const found = [];
    for (const [alert] of this.#all()) {
      const known = this.#acknowledgements.of(alert);
      if (known?.seen && alert.timestamp - known.until >= this.renewAfterMs) found.push(spanOf(alert));
    }
    return found;
  }

  /** @returns {Generator<[Alert, AlertTracks]>} the open alerts, measured and predicted ones of a segment by themselves */
  *#all() {
    for (const tracks of [this.#predicted, this.#measured]) for (const alert of tracks.open) yield [alert, tracks];
  }

  /**
   * Forget the acknowledgements of a segment, except for those of an alert that is open.
   *
   * @param {string} id
   * @param {number} timestamp
   */
  #end(id, timestamp) {
    const open = [this.#predicted.alertOf(id)?.kind, this.#measured.alertOf(id)?.kind];
    for (const kind of KINDS) if (!open.includes(kind)) this.#acknowledgements.end(id, kind, timestamp);
  }

  /**
   * @param {(alert: Alert) => boolean} isCurrent
   * @returns {Generator<Alert>} the open alerts, one of each segment
   */
  *#open(isCurrent = () => true) {
    for (const alert of this.#predicted.open) {
      const measured = this.#measured.alertOf(alert.id);
      yield measured && isCurrent(measured) && !isCurrent(alert) ? measured : alert;
    }
    for (const alert of this.#measured.open) if (!this.#predicted.alertOf(alert.id)) yield alert;
  }

  /** @param {Prediction | null} prediction */
  #arrive(prediction) {
    if (prediction === null || prediction.late || !this.#isOfHorizon(prediction)) return;
    const newest = this.#predicted.newestOf(prediction.segment_id);
    if (newest && isOfLargerHorizon(prediction, newest, this.maxAgeMs)) return;
    this.#predicted.step(prediction);
  }

  /** @param {Observation | null} observation */
  #observe(observation) {
    if (observation === null || observation.late) return;
    this.#measured.step({ ...observation, category: null, predicted_speed: null });
  }

  /** @param {Prediction} prediction */
  #isOfHorizon({ horizon_minutes: horizon }) {
    return this.horizon === null || horizon === this.horizon;
  }

  /** @param {Prediction[]} predictions */
  #replace(predictions) {
    forgetOthers(this.#predicted, predictions);
    for (const each of predictions) this.#arrive(each);
  }

  /** @param {Observation[]} observations */
  #replaceMeasured(observations) {
    forgetOthers(this.#measured, observations);
    for (const each of observations) this.#observe(each);
  }

  /**
   * An observation that left, or a prediction of another horizon, ends no alert of a prediction.
   *
   * @param {Extract<Message, { type: "left" }>} message
   */
  #leave({ segment_id: id, horizon_minutes: horizon = null, kind, reason }) {
    if (kind === "observation" || reason === "removed") this.#measured.forget(id);
    if (kind === "observation") return;
    if (horizon === null || horizon === this.#predicted.newestOf(id)?.horizon_minutes) this.#predicted.forget(id);
  }
}

/**
 * @param {AlertTracks} tracks
 * @param {{ segment_id: string }[]} present
 */
function forgetOthers(tracks, present) {
  const ids = new Set(present.map(({ segment_id }) => segment_id));
  for (const id of tracks.ids) if (!ids.has(id)) tracks.forget(id);
}

/**
 * @param {Alert} alert
 * @returns {AlertSpan}
 */
function spanOf({ id, kind, since, timestamp }) {
  return { segment_id: id, kind, since, until: timestamp };
}
