/**
 * The roads, made of the segments themselves: lines between neighbours of one road and direction. Pure.
 *
 * A name such as "I-405 N at Sunset" belongs to the corridor "I-405 N", which runs north; a name without a direction is
 * a corridor of its own. Places are [latitude, longitude] in degrees.
 */
const CORRIDOR = /^(\S+) ([NSEW])B?\b/;
const AXES = { N: [1, 0], S: [-1, 0], E: [0, 1], W: [0, -1] };
const KM_PER_DEGREE = 111.2;
const LONGEST_GAP_KM = 8;

/** Return a segment's place, or null for one that isn't on the map. */
export function placeOf({ coordinates }) {
  const { latitude, longitude } = coordinates ?? {};
  return Number.isFinite(latitude) && Number.isFinite(longitude) ? [latitude, longitude] : null;
}

/** Name the corridor of a road name; null for none. */
export function corridorOf(roadName) {
  if (typeof roadName !== "string" || roadName === "") return null;
  return CORRIDOR.exec(roadName)?.[0] ?? roadName;
}

/** Return `[{ corridor, places, ids }]`, each a line of neighbours in the direction of travel. */
export function lines(predictions) {
  const corridors = new Map();
  for (const prediction of predictions) {
    const place = placeOf(prediction);
    const corridor = corridorOf(prediction.road_name);
    if (place === null || corridor === null) continue;
    if (!corridors.has(corridor)) corridors.set(corridor, []);
    corridors.get(corridor).push({ id: prediction.segment_id, place });
  }
  return [...corridors].flatMap(([corridor, stops]) => chains(stops, axisOf(corridor, stops)).map(named(corridor)));
}

/** Return the direction of travel at each segment of the lines, as [east, north] of length 1, by segment. */
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
 * Return what is drawn of a GeoJSON network: `lines` of [latitude, longitude], and the direction of travel half-way
 * along each segment's longest line, as [east, north] of length 1, by segment.
 */
export function drawn({ features }) {
  const found = { lines: [], headings: new Map() };
  for (const { id, geometry } of features) {
    const own = linesOf(geometry);
    if (own.length === 0) continue;
    found.lines.push(...own);
    const longest = own.reduce((best, line) => (line.length > best.length ? line : best));
    const middle = Math.floor((longest.length - 1) / 2);
    const heading = towards(longest[middle], longest[middle + 1]);
    if (heading) found.headings.set(String(id), heading);
  }
  return found;
}

/** Return the lines of a GeoJSON geometry, each of [latitude, longitude]; none of one that has none. */
export function linesOf(geometry) {
  const lines = LINES[geometry?.type]?.(geometry.coordinates) ?? [];
  return lines.map((line) => line.map(([east, north]) => [north, east]));
}

const LINES = { LineString: (line) => [line], MultiLineString: (lines) => lines };

function named(corridor) {
  return (chain) => ({ corridor, places: chain.map(({ place }) => place), ids: chain.map(({ id }) => id) });
}

function axisOf(corridor, stops) {
  const direction = CORRIDOR.exec(corridor)?.[2];
  if (direction) return AXES[direction];
  const spread = (at) => Math.max(...stops.map(({ place }) => place[at])) - Math.min(...stops.map(({ place }) => place[at]));
  return spread(0) > spread(1) ? AXES.N : AXES.E;
}

/** Go from the end where the traffic comes from always to the nearest that is left; a wide gap begins a new line. */
function chains(stops, [north, east]) {
  const along = ({ place }) => north * place[0] + east * place[1];
  const left = [...stops].sort((one, other) => along(one) - along(other));
  const found = [];
  while (left.length) {
    const chain = [left.shift()];
    for (let next = nearest(chain.at(-1), left); next !== null; next = nearest(chain.at(-1), left)) {
      chain.push(...left.splice(next, 1));
    }
    found.push(chain);
  }
  return found.filter((chain) => chain.length > 1);
}

function nearest(from, stops) {
  let best = null;
  let least = LONGEST_GAP_KM;
  stops.forEach((stop, index) => {
    const distance = km(from.place, stop.place);
    if (distance < least) [best, least] = [index, distance];
  });
  return best;
}

function km([north, east], [otherNorth, otherEast]) {
  const shrink = Math.cos((north * Math.PI) / 180);
  return KM_PER_DEGREE * Math.hypot(otherNorth - north, (otherEast - east) * shrink);
}

function towards([north, east], [otherNorth, otherEast]) {
  const eastward = (otherEast - east) * Math.cos((north * Math.PI) / 180);
  const northward = otherNorth - north;
  const length = Math.hypot(eastward, northward);
  return length ? [eastward / length, northward / length] : null;
}
