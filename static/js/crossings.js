/**
 * Names places by the nearest other road, for road names that say no place: "US-101 N near I-405". Pure.
 *
 * @import { Shown } from "./types.d.ts"
 */
import { corridorOf, km, placeOf } from "./network.js";

const MAX_KM = 2;

export class Crossings {
  /** @type {Map<string, string | null>} */
  #known = new Map();

  /**
   * Return the nearest other road within 2 km of a segment; null if there is none, or its road name says a place.
   *
   * @param {ReadonlyMap<string, Shown>} segments
   * @param {string} id
   */
  near(segments, id) {
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    const segment = segments.get(id);
    if (!segment) return null;
    const found = saysNoPlace(segment.road_name) ? nearestRoad(segments, segment) : null;
    if (this.#known.size > 2 * segments.size + 100) this.#known.clear();
    this.#known.set(id, found);
    return found;
  }
}

/**
 * Tell whether a road name is a road and direction alone, such as "I-405 N".
 *
 * @param {string | null | undefined} road
 */
export function saysNoPlace(road) {
  return Boolean(road) && corridorOf(road) === road;
}

/**
 * @param {ReadonlyMap<string, Shown>} segments
 * @param {Shown} segment
 */
function nearestRoad(segments, segment) {
  const place = placeOf(segment);
  const own = routeOf(segment);
  let [best, least] = [/** @type {string | null} */ (null), MAX_KM];
  if (place === null || own === null) return null;
  for (const other of segments.values()) {
    const route = routeOf(other);
    const there = placeOf(other);
    if (route === null || route === own || there === null) continue;
    const distance = km(place, there);
    if (distance < least) [best, least] = [route, distance];
  }
  return best;
}

/**
 * Return the road without its direction.
 *
 * @param {Shown} segment
 */
function routeOf({ road_name: road }) {
  return corridorOf(road)?.split(" ")[0] ?? null;
}
