/** The last predicted speeds of each segment, oldest first. Pure. */

export const TRAIL_LENGTH = 24;

export class Trails {
  /** @type {Map<string, number[]>} */
  #bySegment = new Map();

  /**
   * @param {string} id
   * @param {number} speed
   */
  extend(id, speed) {
    const trail = this.#bySegment.get(id) ?? [];
    trail.push(speed);
    if (trail.length > TRAIL_LENGTH) trail.shift();
    this.#bySegment.set(id, trail);
  }

  /** @param {string} id */
  of(id) {
    return this.#bySegment.get(id) ?? [];
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
}
