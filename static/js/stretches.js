/**
 * Puts segments in their order along a road and direction, with their lengths. Pure.
 *
 * Segments with a road and a place follow the lines of network.js. Those without a place have no order: all of a road
 * are one stretch. Those without a road are a stretch each.
 *
 * @import { Line } from "./network.js"
 * @import { Shown } from "./types.d.ts"
 * @typedef {{ road: string | null, ids: string[], km: number[] | null, isOrdered: boolean }} Stretch
 */
import { corridorOf, km, lines, placeOf } from "./network.js";

export class Stretches {
  /** @type {Map<string, number>} */
  #lengths = new Map();
  /** @type {Stretch[]} */
  #found = [];
  #signature = "";

  /**
   * Use the lengths of a network.
   *
   * @param {Map<string, number>} lengths kilometres by segment
   */
  setLengths(lengths) {
    this.#lengths = lengths;
    this.#signature = "";
  }

  /**
   * Return the stretches of segments. They are made again when segments came or left, or belong to another road.
   *
   * @param {ReadonlyMap<string, Shown>} segments
   */
  of(segments) {
    const signature = signatureOf(segments);
    if (signature !== this.#signature) this.#found = stretchesOf([...segments.values()], this.#lengths);
    this.#signature = signature;
    return this.#found;
  }
}

/**
 * Return the stretches of segments.
 *
 * @param {Shown[]} segments
 * @param {Map<string, number>} lengths kilometres by segment; others are taken from the places
 * @returns {Stretch[]}
 */
export function stretchesOf(segments, lengths = new Map()) {
  /** @type {Stretch[]} */
  const found = lines(segments).map((line) => ({
    road: line.corridor,
    ids: line.ids,
    km: lengthsOf(line).map((length, index) => lengths.get(line.ids[index]) ?? length),
    isOrdered: true,
  }));
  const placed = new Set(found.flatMap(({ ids }) => ids));
  /** @type {Map<string, Stretch>} */
  const unordered = new Map();
  for (const segment of segments) {
    const { segment_id: id, road_name: name } = segment;
    if (placed.has(id)) continue;
    const road = corridorOf(name);
    const own = lengths.get(id);
    if (road === null || placeOf(segment) !== null) {
      found.push({ road, ids: [id], km: own === undefined ? null : [own], isOrdered: true });
      continue;
    }
    const stretch = unordered.get(road) ?? { road, ids: [], km: null, isOrdered: false };
    stretch.ids.push(id);
    unordered.set(road, stretch);
  }
  return [...found, ...unordered.values()];
}

/**
 * Return the length of each segment of a line: from half-way to the one before, to half-way to the one after.
 *
 * @param {Line} line
 */
function lengthsOf({ places }) {
  const gaps = places.slice(1).map((place, index) => km(places[index], place));
  return places.map((_, index) => {
    const [before, after] = [gaps[index - 1], gaps[index]];
    return ((before ?? after) + (after ?? before)) / 2;
  });
}

/**
 * Return a text that differs for other segments or roads, whatever their order.
 *
 * @param {ReadonlyMap<string, Shown>} segments
 */
function signatureOf(segments) {
  let [sum, places] = [0, 0];
  for (const segment of segments.values()) {
    sum = (sum + hashed(hashed(17, segment.segment_id), segment.road_name ?? "")) | 0;
    if (placeOf(segment) !== null) places += 1;
  }
  return `${segments.size} ${sum} ${places}`;
}

/**
 * @param {number} hash
 * @param {string} text
 */
function hashed(hash, text) {
  let result = (31 * hash + text.length) | 0;
  for (let at = 0; at < text.length; at += 1) result = (31 * result + text.charCodeAt(at)) | 0;
  return result;
}
