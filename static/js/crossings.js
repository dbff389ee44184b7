/**
 * Names places by the nearest other road, for road names that say no place: "US-101 N near I-405". Pure.
 *
 * @import { Place, Shown } from "./types.d.ts"
 * @typedef {{ route: string, place: Place }} Point
 */
import { corridorOf, km, placeOf } from "./network.js";

const MAX_KM = 2;
/** The road of a name with a direction or a number: "I-405" of "I-405 N", "A4" of "A4 Ouest". Other names are whole. */
const ROUTE = /^\S+(?= [NSEW]B?\b)|^[A-Za-z]{1,4}-?\d+[A-Za-z]?(?=\s|$)/;
/** Cells of at least 2 km from south to north. */
const CELL_DEGREES = 0.02;

export class Crossings {
  /** @type {Map<string, string | null>} */
  #known = new Map();
  /** @type {Map<string, Point[]>} the segments with a road and a place, by cell */
  #cells = new Map();
  #size = 0;
  /** @type {Map<string, string>} */
  #routes = new Map();

  /**
   * Return the nearest other road within 2 km of a segment; null if there is none, or its road name says a place.
   *
   * @param {ReadonlyMap<string, Shown>} segments
   * @param {string} id
   */
  near(segments, id) {
    if (segments.size !== this.#size) this.#fill(segments);
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    const segment = segments.get(id);
    if (!segment) return null;
    const found = saysNoPlace(segment.road_name) ? this.#nearestRoad(segment) : null;
    this.#known.set(id, found);
    return found;
  }

  /** @param {ReadonlyMap<string, Shown>} segments */
  #fill(segments) {
    this.#size = segments.size;
    for (const each of [this.#known, this.#cells, this.#routes]) each.clear();
    for (const segment of segments.values()) {
      const place = placeOf(segment);
      const route = this.#routeOf(segment);
      if (route === null || place === null) continue;
      const key = cellOf(place, 0, 0);
      const cell = this.#cells.get(key);
      if (cell) cell.push({ route, place });
      else this.#cells.set(key, [{ route, place }]);
    }
  }

  /** @param {Shown} segment */
  #nearestRoad(segment) {
    const place = placeOf(segment);
    const own = this.#routeOf(segment);
    let [best, least] = [/** @type {string | null} */ (null), MAX_KM];
    if (place === null || own === null) return null;
    const reach = Math.ceil(1 / Math.max(0.05, Math.cos((place[0] * Math.PI) / 180)));
    for (let north = -1; north <= 1; north += 1) {
      for (let east = -reach; east <= reach; east += 1) {
        for (const other of this.#cells.get(cellOf(place, north, east)) ?? []) {
          if (other.route === own) continue;
          const distance = km(place, other.place);
          if (distance < least) [best, least] = [other.route, distance];
        }
      }
    }
    return best;
  }

  /**
   * Return the road without its direction and place.
   *
   * @param {Shown} segment
   */
  #routeOf({ road_name: road }) {
    if (!road) return null;
    const route = this.#routes.get(road) ?? ROUTE.exec(road)?.[0] ?? road;
    this.#routes.set(road, route);
    return route;
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
 * Return the cell of a place, or the one so many cells north and east of it.
 *
 * @param {Place} place
 * @param {number} north
 * @param {number} east
 */
function cellOf(place, north, east) {
  return `${Math.floor(place[0] / CELL_DEGREES) + north} ${Math.floor(place[1] / CELL_DEGREES) + east}`;
}
