/** The window of the past that time travel goes through: predictions by the time of their observation. Pure. */

const MOST = 200_000;

export class Recording {
  #predictions = [];
  #bySegment = new Map();
  #isSorted = true;

  /** Take in predictions in any order; beyond 200,000 the oldest go. */
  add(predictions) {
    this.#predictions.push(...predictions);
    this.#isSorted = false;
    if (this.#predictions.length > 2 * MOST) this.#sort();
  }

  get size() {
    return this.#predictions.length;
  }

  /** The first and the last time in epoch milliseconds; null when there is nothing. */
  get range() {
    this.#sort();
    if (this.#predictions.length === 0) return null;
    return [this.#predictions[0].timestamp, this.#predictions.at(-1).timestamp];
  }

  /** Return what was known at a time: the newest prediction of each segment and horizon shown, as a view has them. */
  viewAt(timeMs) {
    this.#sort();
    const view = new Map();
    for (const prediction of this.#predictions) {
      if (prediction.timestamp > timeMs) break;
      const { segment_id: id } = prediction;
      const before = view.get(id);
      if (before === undefined || shows(prediction, before)) view.set(id, prediction);
    }
    return [...view.values()];
  }

  /** Return the last `count` speeds that were predicted for a segment up to a time, oldest first, of one horizon. */
  trailAt(id, timeMs, horizon, count) {
    this.#sort();
    const found = [];
    const all = this.#bySegment.get(id) ?? [];
    for (let at = all.length - 1; at >= 0 && found.length < count; at -= 1) {
      const { timestamp, horizon_minutes: other, predicted_speed: speed } = all[at];
      if (timestamp <= timeMs && other === horizon) found.push(speed);
    }
    return found.reverse();
  }

  #sort() {
    if (this.#isSorted) return;
    this.#predictions.sort((one, other) => one.timestamp - other.timestamp);
    if (this.#predictions.length > MOST) this.#predictions.splice(0, this.#predictions.length - MOST);
    this.#bySegment.clear();
    for (const prediction of this.#predictions) {
      const known = this.#bySegment.get(prediction.segment_id);
      if (known) known.push(prediction);
      else this.#bySegment.set(prediction.segment_id, [prediction]);
    }
    this.#isSorted = true;
  }
}

/** A segment shows its smallest horizon, or the one not stated; of the same one, the newest. */
function shows({ horizon_minutes: horizon }, { horizon_minutes: other }) {
  return (horizon ?? -1) <= (other ?? -1);
}
