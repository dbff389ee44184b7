/**
 * Measured speeds of the last hours by segment, one per interval of time: the last one in it. Pure.
 *
 * @typedef {{ segment_id: string, timestamp: number, current_speed?: number | null }} Measured
 */

export class Measurements {
  /** @type {Map<string, Map<number, { at: number, speed: number }>>} by segment and number of the interval */
  #bySegment = new Map();

  /** @param {{ binMs: number, keepMs: number }} options the length of an interval, and how far the past reaches */
  constructor({ binMs, keepMs }) {
    this.binMs = binMs;
    this.keepMs = keepMs;
  }

  /**
   * Take in a prediction or an observation. Tell whether it changes a speed.
   *
   * @param {Measured} measured
   */
  add({ segment_id: id, timestamp: at, current_speed: speed }) {
    if (typeof speed !== "number") return false;
    const bins = this.#bySegment.get(id) ?? new Map();
    const bin = this.binOf(at);
    const known = bins.get(bin);
    if (known && known.at > at) return false;
    bins.set(bin, { at, speed });
    this.#bySegment.set(id, bins);
    if (bins.size > this.keepMs / this.binMs + 2) bins.delete(Math.min(...bins.keys()));
    return known?.speed !== speed;
  }

  /**
   * Return the number of the interval that a time is in.
   *
   * @param {number} timeMs
   */
  binOf(timeMs) {
    return Math.floor(timeMs / this.binMs);
  }

  /**
   * Return the speed of a segment in an interval; of the interval before if none was measured in it, as a speed counts for
   * two intervals; else null.
   *
   * @param {string} id
   * @param {number} bin
   */
  speedOf(id, bin) {
    const bins = this.#bySegment.get(id);
    return (bins?.get(bin) ?? bins?.get(bin - 1))?.speed ?? null;
  }

  /** The time of the first speed; null if there is none. */
  get firstMs() {
    let first = Infinity;
    for (const bins of this.#bySegment.values()) for (const { at } of bins.values()) first = Math.min(first, at);
    return Number.isFinite(first) ? first : null;
  }

  /**
   * Forget the intervals before a time, and segments that have no others.
   *
   * @param {number} timeMs
   */
  forgetBefore(timeMs) {
    const first = this.binOf(timeMs);
    for (const [id, bins] of this.#bySegment) {
      for (const bin of bins.keys()) if (bin < first) bins.delete(bin);
      if (bins.size === 0) this.#bySegment.delete(id);
    }
  }
}
