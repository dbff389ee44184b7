/**
 * Roads as lines: from the server's network, or else through neighbouring segments of one road and direction. Pure.
 *
 * A name such as "I-405 N at Sunset" belongs to the corridor "I-405 N", which runs north. A name without a direction is
 * a corridor of its own.
 *
 * @import { Geometry, Heading, Network, Place, Shown } from "./types.d.ts"
 * @typedef {{ id: string, place: Place }} Stop
 * @typedef {{ corridor: string, places: Place[], ids: string[] }} Line
 * @typedef {{ id: string, places: Place[] }} Piece the part of a road that is one segment
 */
const CORRIDOR = /^(\S+) ([NSEW])B?\b/;
/** @type {Record<string, [number, number]>} */
const AXES = { N: [1, 0], S: [-1, 0], E: [0, 1], W: [0, -1] };
const KM_PER_DEGREE = 111.2;
const MAX_GAP_KM = 8;

/**
 * Return a segment's place; null if it has none.
 *
 * @param {Pick<Shown, "coordinates">} prediction
 * @returns {Place | null}
 */
export function placeOf({ coordinates }) {
  const { latitude = NaN, longitude = NaN } = coordinates ?? {};
  return Number.isFinite(latitude) && Number.isFinite(longitude) ? [latitude, longitude] : null;
}

/**
 * Return the corridor of a road name; null for no name.
 *
 * @param {string | null | undefined} roadName
 */
export function corridorOf(roadName) {
  if (typeof roadName !== "string" || roadName === "") return null;
  return CORRIDOR.exec(roadName)?.[0] ?? roadName;
}

/**
 * Return the path of a road's page below that of the application: "/predictions/road/I-405+N".
 *
 * @param {string} corridor
 */
export function roadPath(corridor) {
  const escaped = encodeURIComponent(corridor);
  return `/predictions/road/${corridor.includes("+") ? escaped : escaped.replaceAll("%20", "+")}`;
}

/**
 * Return lines through neighbouring segments, each in the direction of travel.
 *
 * @param {Iterable<Shown>} predictions
 * @returns {Line[]}
 */
export function lines(predictions) {
  /** @type {Map<string, Stop[]>} */
  const corridors = new Map();
  for (const prediction of predictions) {
    const place = placeOf(prediction);
    const corridor = corridorOf(prediction.road_name);
    if (place === null || corridor === null) continue;
    const stops = corridors.get(corridor) ?? [];
    stops.push({ id: prediction.segment_id, place });
    corridors.set(corridor, stops);
  }
  return [...corridors].flatMap(([corridor, stops]) =>
    chains(stops, axisOf(corridor, stops)).map((chain) => ({
      corridor,
      places: chain.map(({ place }) => place),
      ids: chain.map(({ id }) => id),
    })),
  );
}

/**
 * Return the piece of each segment of a line: from half-way to the one before, to half-way to the one after.
 *
 * @param {Line} line
 * @returns {Piece[]}
 */
export function piecesOf({ ids, places }) {
  return ids.map((id, index) => {
    const own = places[index];
    const [before, after] = [places[index - 1], places[index + 1]];
    return { id, places: [before && between(before, own), own, after && between(own, after)].filter(Boolean) };
  });
}

/**
 * Return the direction of travel at each segment of the lines, by segment.
 *
 * @param {Line[]} found
 * @returns {Map<string, Heading>}
 */
export function headings(found) {
  const result = new Map();
  for (const { ids, places } of found) {
    ids.forEach((id, index) => {
      const heading = towards(places[Math.max(0, index - 1)], places[Math.min(places.length - 1, index + 1)]);
      if (heading) result.set(id, heading);
    });
  }
  return result;
}

/**
 * Return the pieces of a GeoJSON network, and by segment its length in kilometres and the direction of travel in the
 * middle of its longest line.
 *
 * @param {Network} network
 * @returns {{ pieces: Piece[], headings: Map<string, Heading>, lengths: Map<string, number> }}
 */
export function drawn({ features }) {
  /** @type {ReturnType<typeof drawn>} */
  const found = { pieces: [], headings: new Map(), lengths: new Map() };
  for (const { id, geometry } of features) {
    const own = linesOf(geometry);
    if (own.length === 0) continue;
    found.pieces.push(...own.map((places) => ({ id: String(id), places })));
    const longest = own.reduce((best, line) => (line.length > best.length ? line : best));
    const middle = Math.floor((longest.length - 1) / 2);
    const heading = towards(longest[middle], longest[middle + 1]);
    if (heading) found.headings.set(String(id), heading);
    found.lengths.set(String(id), own.reduce((sum, line) => sum + lengthOf(line), 0));
  }
  return found;
}

/**
 * Return the lines of a GeoJSON geometry; none for a geometry of another type.
 *
 * @param {Geometry | null} geometry
 * @returns {Place[][]}
 */
export function linesOf(geometry) {
  /** @type {[number, number][][]} */
  let found = [];
  if (geometry?.type === "LineString") found = [geometry.coordinates];
  if (geometry?.type === "MultiLineString") found = geometry.coordinates;
  return found.map((line) => line.map(([east, north]) => [north, east]));
}

/**
 * @param {string} corridor
 * @param {Stop[]} stops
 */
function axisOf(corridor, stops) {
  const direction = CORRIDOR.exec(corridor)?.[2];
  if (direction) return AXES[direction];
  return widest(stops) === 0 ? AXES.N : AXES.E;
}

/**
 * Return which coordinate of the stops is spread the most, in degrees: 0 for latitude, 1 for longitude.
 *
 * @param {Stop[]} stops
 * @returns {0 | 1}
 */
function widest(stops) {
  const most = [-Infinity, -Infinity];
  const least = [Infinity, Infinity];
  for (const { place } of stops) {
    for (const at of [0, 1]) {
      most[at] = Math.max(most[at], place[at]);
      least[at] = Math.min(least[at], place[at]);
    }
  }
  return most[0] - least[0] > most[1] - least[1] ? 0 : 1;
}

/**
 * Start at the upstream end and go to the nearest remaining stop each time. A wide gap starts a new chain.
 *
 * @param {Stop[]} stops
 * @param {[number, number]} axis
 */
function chains(stops, [north, east]) {
  /** @param {Stop} stop */
  const along = ({ place }) => north * place[0] + east * place[1];
  const downstream = [...stops].sort((one, other) => along(one) - along(other));
  const remaining = new Remaining(downstream);
  /** @type {Stop[][]} */
  const found = [];
  for (const first of downstream) {
    if (!remaining.has(first)) continue;
    /** @type {Stop[]} */
    const chain = [];
    for (let next = /** @type {Stop | null} */ (first); next !== null; next = remaining.takeNearest(next)) chain.push(next);
    found.push(chain);
  }
  return found.filter((chain) => chain.length > 1);
}

/**
 * Stops that are on no chain yet, as a list along the coordinate that is spread the most. A search goes outwards in it, and
 * ends where that coordinate alone is farther away: a comparison of all with all takes a second for 5,000 stops.
 */
class Remaining {
  /** @type {Map<Stop, number>} */
  #indexes;
  /** @type {(number | null)[]} */
  #before;
  /** @type {(number | null)[]} */
  #after;

  /** @param {Stop[]} stops */
  constructor(stops) {
    this.at = widest(stops);
    this.stops = [...stops].sort((one, other) => one.place[this.at] - other.place[this.at]);
    this.#indexes = new Map(this.stops.map((stop, index) => [stop, index]));
    this.#before = this.stops.map((_, index) => (index > 0 ? index - 1 : null));
    this.#after = this.stops.map((_, index) => (index < this.stops.length - 1 ? index + 1 : null));
  }

  /** @param {Stop} stop */
  has(stop) {
    return this.#indexes.has(stop);
  }

  /**
   * Remove a stop, and return the nearest other one within MAX_GAP_KM; null for none.
   *
   * @param {Stop} from
   */
  takeNearest(from) {
    const index = /** @type {number} */ (this.#indexes.get(from));
    const [before, after] = [this.#before[index], this.#after[index]];
    this.#indexes.delete(from);
    if (before !== null) this.#after[before] = after;
    if (after !== null) this.#before[after] = before;
    const near = { stop: /** @type {Stop | null} */ (null), km: MAX_GAP_KM };
    this.#search(from, before, this.#before, near);
    this.#search(from, after, this.#after, near);
    return near.stop;
  }

  /**
   * @param {Stop} from
   * @param {number | null} start
   * @param {(number | null)[]} further
   * @param {{ stop: Stop | null, km: number }} near replaced by what is nearer
   */
  #search({ place }, start, further, near) {
    for (let index = start; index !== null; index = further[index]) {
      const stop = this.stops[index];
      const aside = this.at === 0 ? km(place, [stop.place[0], place[1]]) : km(place, [place[0], stop.place[1]]);
      if (aside >= near.km) return;
      const distance = km(place, stop.place);
      if (distance < near.km) Object.assign(near, { stop, km: distance });
    }
  }
}

/**
 * Return the distance of two places in kilometres, computed on a plane.
 *
 * @param {Place} from
 * @param {Place} to
 */
export function km([north, east], [otherNorth, otherEast]) {
  const shrink = Math.cos((north * Math.PI) / 180);
  return KM_PER_DEGREE * Math.hypot(otherNorth - north, (otherEast - east) * shrink);
}

/**
 * @param {Place} one
 * @param {Place} other
 * @returns {Place}
 */
function between(one, other) {
  return [(one[0] + other[0]) / 2, (one[1] + other[1]) / 2];
}

/** @param {Place[]} line */
function lengthOf(line) {
  return line.slice(1).reduce((sum, place, index) => sum + km(line[index], place), 0);
}

/**
 * @param {Place} from
 * @param {Place} to
 * @returns {Heading | null}
 */
function towards([north, east], [otherNorth, otherEast]) {
  const eastward = (otherEast - east) * Math.cos((north * Math.PI) / 180);
  const northward = otherNorth - north;
  const length = Math.hypot(eastward, northward);
  return length ? [eastward / length, northward / length] : null;
}
