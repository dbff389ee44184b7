import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { corridorOf, drawn, headings, km, lines, piecesOf, placeOf, roadPath } from "../../static/js/network.js";

/** What the server must give, too: its tests read the same file. */
const examples = JSON.parse(readFileSync(new URL("../roads.json", import.meta.url), "utf8"));

/** @returns {any} */
const segment = (id, latitude, longitude, road) => ({ segment_id: id, coordinates: { latitude, longitude }, road_name: road });

test("a corridor is a road with its direction, or the whole name", () => {
  for (const [name, road] of examples.roads) assert.equal(corridorOf(name), road);
  assert.equal(corridorOf(undefined), null);
});

test("the path of a road has + for blanks, unless the name has one", () => {
  for (const [road, path] of examples.paths) assert.equal(roadPath(road), `/predictions/road/${path}`);
});

test("neighbours are joined in the direction of travel, in any order", () => {
  const segments = [segment("b", 34.1, -118, "I-5 N at B"), segment("c", 34.12, -118, "I-5 N at C"), segment("a", 34.08, -118, "I-5 N at A")];
  const [line] = lines(segments);
  assert.deepEqual(line.ids, ["a", "b", "c"]);
  const [back] = lines(segments.map((each) => ({ ...each, road_name: each.road_name.replace(" N ", " S ") })));
  assert.deepEqual(back.ids, ["c", "b", "a"]);
});

test("a wide gap begins a new line, and one segment makes none", () => {
  const segments = [0, 0.02, 0.5, 0.52, 2].map((east, index) => segment(`s${index}`, 34, -118 + east, "I-10 E"));
  assert.deepEqual(lines(segments).map(({ ids }) => ids), [["s0", "s1"], ["s2", "s3"]]);
});

test("the nearest segment that is left comes next, wherever the road turns", () => {
  let seed = 1;
  const random = () => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647;
  const left = Array.from({ length: 300 }, (_, index) => segment(`s${index}`, 34 + random() * 0.5, -118 + random() * 2, "City"));
  const east = ({ coordinates }) => coordinates.longitude;
  const wanted = [];
  const all = [...left];
  for (let from = null; left.length > 0; ) {
    const distance = ({ coordinates: { latitude, longitude } }) => km([from.coordinates.latitude, east(from)], [latitude, longitude]);
    left.sort(from ? (one, other) => distance(one) - distance(other) : (one, other) => east(one) - east(other));
    if (from && distance(left[0]) >= 8) from = null;
    else wanted.push((from = left.shift()).segment_id);
  }
  const found = lines(all).flatMap(({ ids }) => ids);
  assert.deepEqual(found, wanted.filter((id) => found.includes(id)));
  assert.ok(found.length > 200);
});

test("a long road takes few comparisons", (context) => {
  const road = Array.from({ length: 1_000 }, (_, index) => segment(`s${index}`, 30 + ((index * 7_919) % 1_000) * 0.002, -118, "I-5 N"));
  for (const [name, latitudes] of /** @type {const} */ ([["N", 1], ["E", 1], ["N", 0]])) {
    const compared = context.mock.method(Math, "hypot");
    const segments = road.map((each) => segment(each.segment_id, each.coordinates.latitude * latitudes, -118, `I-5 ${name}`));
    assert.deepEqual(lines(segments).map(({ ids }) => ids.length), [1_000]);
    assert.ok(compared.mock.callCount() < 10_000, "500,000 if each is compared with each");
    compared.mock.restore();
  }
});

test("a segment without place or road is on no line", () => {
  assert.deepEqual(lines([/** @type {any} */ ({ segment_id: "x", road_name: "I-5 N" }), segment("y", 34, -118), segment("z", NaN, 0, "I-5 N")]), []);
  assert.equal(placeOf(/** @type {any} */ ({ coordinates: { latitude: "34", longitude: 0 } })), null);
});

test("headings have the direction of travel and length 1", () => {
  const found = headings(lines([segment("a", 34, -118, "I-10 W"), segment("b", 34, -118.02, "I-10 W")]));
  const [east, north] = found.get("a");
  assert.ok(Math.abs(east + 1) < 1e-9 && Math.abs(north) < 1e-9);
});

test("each segment of a line is a piece, from half-way to half-way", () => {
  const [line] = lines([segment("a", 34, -118, "I-5 N"), segment("b", 34.02, -118, "I-5 N"), segment("c", 34.04, -118, "I-5 N")]);
  const norths = piecesOf(line).map(({ id, places }) => [id, ...places.map(([north]) => Number(north.toFixed(6)))]);
  assert.deepEqual(norths, [["a", 34, 34.01], ["b", 34.01, 34.02, 34.03], ["c", 34.03, 34.04]]);
});

test("a network has pieces, headings and lengths by segment", () => {
  const geometry = { type: "LineString", coordinates: [[-118, 34], [-118, 34.1]] };
  const found = drawn({ features: [{ id: 7, geometry }, { id: "none", geometry: null }] });
  assert.deepEqual(found.pieces, [{ id: "7", places: [[34, -118], [34.1, -118]] }]);
  assert.ok(Math.abs((found.lengths.get("7") ?? 0) - 11.12) < 1e-9);
  assert.ok(Math.abs((found.headings.get("7") ?? [0, 0])[1] - 1) < 1e-9);
});
