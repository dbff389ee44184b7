/**
 * The last predicted speeds of each segment and horizon, and its last measured ones. A trail begins after the last
 * silence, since nothing is known of that time. Pure.
 *
 * @import { Prediction } from "./types.d.ts"
 */

export const TRAIL_LENGTH = 24;

/**
 * What a trail is of: a horizon (null for none stated), or "now" for measured speeds.
 *
 * @typedef {number | "now" | null} TrailKey
 * @typedef {[number, number]} Point time and speed
 */

/** @type {readonly Point[]} */
const NO_POINTS = [];

export class Trails {
  /** @type {Map<string, Map<TrailKey, Point[]>>} points in the order of their times */
  #bySegment = new Map();

  /** @param {{ silenceMs?: number }} [options] the time between two points from which on it is a silence */
  constructor({ silenceMs = Infinity } = {}) {
    this.silenceMs = silenceMs;
  }

  /**
   * Add a speed, unless a later one is there. A second one of the same time replaces the first.
   *
   * @param {string} id
   * @param {TrailKey} key
   * @param {Point} point
   */
  extend(id, key, point) {
    const points = this.#points(id, key);
    const last = points.at(-1);
    if (last && last[0] > point[0]) return;
    if (last?.[0] === point[0]) points.pop();
    else if (last && point[0] - last[0] >= this.silenceMs) points.length = 0;
    points.push(point);
    if (points.length > TRAIL_LENGTH) points.shift();
  }

  /**
   * Add earlier predictions of a segment, in any order.
   *
   * @param {string} id
   * @param {Prediction[]} predictions
   */
  complete(id, predictions) {
    /** @type {Map<TrailKey, Point[]>} */
    const found = new Map();
    const add = (/** @type {TrailKey} */ key, /** @type {Point} */ point) => {
      const known = found.get(key);
      if (known) known.push(point);
      else found.set(key, [point]);
    };
    for (const { timestamp, horizon_minutes: horizon = null, predicted_speed: speed, current_speed: now } of predictions) {
      add(horizon, [timestamp, speed]);
      if (typeof now === "number") add("now", [timestamp, now]);
    }
    for (const [key, earlier] of found) {
      const points = this.#points(id, key);
      const all = [...new Map([...earlier, ...points])].sort(([one], [other]) => one - other);
      points.splice(0, points.length, ...afterSilence(all, this.silenceMs).slice(-TRAIL_LENGTH));
    }
  }

  /**
   * Return the times and speeds of a trail, oldest first.
   *
   * @param {string} id
   * @param {TrailKey} key
   * @returns {readonly Point[]}
   */
  pointsOf(id, key) {
    return this.#bySegment.get(id)?.get(key) ?? NO_POINTS;
  }

  /** @param {string} id */
  remove(id) {
    this.#bySegment.delete(id);
  }

  /**
   * Remove the trails of all other segments.
   *
   * @param {{ has(id: string): boolean }} ids
   */
  keepOnly(ids) {
    for (const id of this.#bySegment.keys()) if (!ids.has(id)) this.#bySegment.delete(id);
  }

  /**
   * @param {string} id
   * @param {TrailKey} key
   */
  #points(id, key) {
    const trails = this.#bySegment.get(id) ?? new Map();
    const points = trails.get(key) ?? [];
    this.#bySegment.set(id, trails.set(key, points));
    return points;
  }
}

/**
 * Return the points after the last silence.
 *
 * @param {Point[]} points in the order of their times
 * @param {number} silenceMs the time between two points from which on it is a silence
 */
export function afterSilence(points, silenceMs) {
  const begin = points.findLastIndex(([at], index) => index > 0 && at - points[index - 1][0] >= silenceMs);
  return points.slice(Math.max(begin, 0));
}
