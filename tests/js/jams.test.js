import assert from "node:assert/strict";
import { test } from "node:test";
import { Crossings } from "../../static/js/crossings.js";
import { Jams } from "../../static/js/jams.js";
import { km, placeOf } from "../../static/js/network.js";
import { SpeedScale } from "../../static/js/speeds.js";
import { Store } from "../../static/js/store.js";
import { stretchesOf } from "../../static/js/stretches.js";
import { announcement, delayText, jamName, jamText, placeIn } from "../../static/js/view/jam-wording.js";
import { prediction } from "./fakes.js";

const scale = new SpeedScale();
const MINUTE = 60_000;
const KM_PER_DEGREE = 111.2;

/** Return a northbound segment at a place along its road, in kilometres. */
const at = (id, km, now, next, fields = {}) =>
  prediction(id, {
    road_name: "US-101 N",
    coordinates: { latitude: 34 + km / KM_PER_DEGREE, longitude: -118 },
    current_speed: now,
    predicted_speed: next,
    category: scale.category(next),
    ...fields,
  });

function storeOf(predictions, observations = []) {
  const given = { time: 1_000_000 };
  const store = new Store({ intervalSeconds: 300, clock: () => given.time });
  store.apply({ type: "initial", predictions, observations });
  return { store, given };
}

const found = (...predictions) => new Jams().update(storeOf(predictions).store);
const idsOf = (jams) => jams.map(({ ids }) => ids.join(""));

test("neighbouring slow segments are one jam, in the direction of travel", () => {
  const jams = found(at("C", 2, 20, 20), at("A", 0, 65, 65), at("D", 3, 65, 20), at("B", 1, 20, 65), at("E", 4, 65, 65));
  assert.deepEqual(idsOf(jams), ["BCD"]);
  assert.ok(jams[0].isNow && jams[0].isSevere);
});

test("a fast segment between parts a jam, and one that does not report joins it", () => {
  const old = { timestamp: 1_000_000 - 20 * MINUTE };
  assert.deepEqual(idsOf(found(at("A", 0, 20, 20), at("B", 1, 65, 65), at("C", 2, 20, 20))).sort(), ["A", "C"]);
  assert.deepEqual(idsOf(found(at("A", 0, 20, 20), at("B", 1, 65, 65, old), at("C", 2, 20, 20))), ["ABC"]);
  const three = ["B", "C", "D"].map((id, index) => at(id, index + 1, 20, 20, old));
  assert.deepEqual(idsOf(found(at("A", 0, 20, 20), ...three, at("E", 4, 20, 20))).sort(), ["A", "E"]);
});

test("directions and roads are jams of their own, as are segments without a road", () => {
  const south = at("S", 1, 20, 20, { road_name: "US-101 S" });
  const next = at("T", 2, 20, 20, { road_name: "US-101 S" });
  assert.deepEqual(idsOf(found(at("A", 0, 20, 20), at("B", 1, 20, 20), south, next)).sort(), ["AB", "TS"]);
  const nameless = { road_name: null };
  assert.deepEqual(idsOf(found(at("A", 0, 20, 20, nameless), at("B", 1, 20, 20, nameless))).sort(), ["A", "B"]);
});

test("the slow segments of a road without places are one jam of unknown length", () => {
  const [jam] = found(...["A", "B", "C"].map((id, index) => at(id, 0, index === 1 ? 65 : 20, 65, { coordinates: null })));
  assert.deepEqual([jam.ids, jam.km, jam.delayNow], [["A", "C"], null, null]);
  assert.equal(delayText(jam), "2 segments");
});

test("the delay is the time lost against free flow, and the largest comes first", () => {
  const [worst, other] = found(
    at("A", 0, 30, 15),
    at("B", 1.609344, 30, 15),
    at("X", 0, 40, 40, { road_name: "I-5 N" }),
    at("Y", 1.609344, 40, 40, { road_name: "I-5 N" }),
  );
  assert.deepEqual([worst.road, other.road], ["US-101 N", "I-5 N"]);
  assert.ok(Math.abs((worst.km ?? 0) - 2 * 1.609344) < 1e-6);
  assert.ok(Math.abs((worst.delayNow ?? 0) - 2) < 1e-6, "two miles at 30 mph instead of 60");
  assert.ok(Math.abs((worst.delayNext ?? 0) - 6) < 1e-6);
  assert.ok(Math.abs((worst.now ?? 0) - 30) < 1e-9);
  assert.deepEqual([worst.course, other.course], ["growing", "steady"]);
  assert.equal(delayText(worst), "2 → 6 min");
});

test("a network gives the lengths, and a speed of 0 makes no endless delay", () => {
  const jams = new Jams();
  jams.setLengths(new Map([["A", 3 * 1.609344]]));
  const [jam] = jams.update(storeOf([at("A", 0, 0, 0)]).store);
  assert.ok(Math.abs((jam.delayNow ?? 0) - 57) < 1e-6, "three miles at 3 mph instead of 60");
});

test("a measured segment without a prediction is in a jam", () => {
  const observation = { segment_id: "A", timestamp: 1_000_000, current_speed: 9, road_name: "I-5 N" };
  const [jam] = new Jams().update(storeOf([], [observation]).store);
  assert.deepEqual([jam.now, jam.next, jam.isNow, jam.course], [9, null, true, null]);
});

for (const source of ["live", "replay"]) {
  test(`jams of ${source} data stay while a connection is lost`, () => {
    const { store, given } = storeOf([at("A", 0, 20, 20, { source }), at("B", 1, 20, 20, { source })]);
    /** @type {import("../../static/js/types.js").ConnectionState} */
    const connection = { phase: "live", transport: "SSE", attempt: 1, retryAt: null, lostAt: given.time, reason: null };
    store.setConnection(connection);
    given.time += 120 * MINUTE;
    assert.deepEqual(idsOf(new Jams().update(store)), ["AB"]);
    assert.equal(store.ages.staleReplaySeconds, null);
    store.setConnection({ ...connection, lostAt: null });
    assert.deepEqual(idsOf(new Jams().update(store)), []);
  });
}

test("a jam is measured while the predictions of its segments have stopped", () => {
  const old = { timestamp: 1_000_000 - 20 * MINUTE };
  const { store } = storeOf(
    [at("A", 0, 65, 65, old), at("B", 1, 65, 65, old)],
    ["A", "B"].map((id) => ({ segment_id: id, timestamp: 1_000_000, current_speed: 9, road_name: "US-101 N" })),
  );
  const [jam] = new Jams().update(store);
  assert.deepEqual([jam.ids, jam.now, jam.next, jam.delayNext], [["A", "B"], 9, null, null]);
});

test("old speeds of segments that do not report change nothing", () => {
  const old = { timestamp: 1_000_000 - 20 * MINUTE };
  const [jam] = found(at("A", 0, 35, 35), at("B", 1, 5, 5, old), at("C", 2, 35, 35));
  assert.deepEqual([jam.ids, jam.isSevere], [["A", "B", "C"], false]);
  assert.deepEqual([jam.now, jam.next].map((speed) => Math.round(speed ?? 0)), [35, 35]);
  const [other] = found(at("A", 0, 65, 20), at("B", 1, 5, 5, old), at("C", 2, 65, 20));
  assert.equal(other.isNow, false);
});

test("segments that are not measured do not make a jam grow", () => {
  const [jam] = found(at("A", 0, 20, 18), at("B", 1, null, 18), at("C", 2, null, 18));
  assert.deepEqual([jam.now, jam.next, jam.course], [20, 18, "steady"]);
  assert.ok((jam.delayNext ?? 0) - (jam.delayNow ?? 0) < 0.5, "both delays are of all three");
});

test("a segment that moves to another road is in the jam of that road", () => {
  const { store } = storeOf([at("A", 0, 20, 20), at("B", 1, 20, 20)]);
  const jams = new Jams();
  assert.equal(jams.update(store)[0].road, "US-101 N");
  const road = { road_name: "I-405 N", timestamp: 1_000_001 };
  store.apply({ type: "prediction", data: at("A", 0, 20, 20, road) });
  store.apply({ type: "prediction", data: at("B", 1, 20, 20, road) });
  assert.deepEqual(jams.update(store).map((jam) => jam.road), ["I-405 N"]);
});

test("a jam lasts since its first slow measurement", () => {
  const { store } = storeOf([at("A", 0, 65, 65, { timestamp: 1_000_000 - 15 * MINUTE })]);
  for (const minutes of [10, 5, 0]) {
    store.apply({ type: "prediction", data: at("A", 0, 20, 20, { timestamp: 1_000_000 - minutes * MINUTE }) });
  }
  const [jam] = new Jams().update(store);
  assert.deepEqual([jam.since, jam.isOlder], [1_000_000 - 10 * MINUTE, false]);
  store.completeTrails([at("A", 0, 20, 20, { timestamp: 1_000_000 - 15 * MINUTE })]);
});

test("a jam does not last over a time without data", () => {
  const { store } = storeOf([at("A", 0, 20, 20)]);
  const ago = (minutes, speed) => at("A", 0, speed, speed, { timestamp: 1_000_000 - minutes * MINUTE });
  store.completeTrails([ago(300, 65), ago(240, 20), ago(235, 20), ago(10, 20), ago(5, 20)]);
  const [jam] = new Jams().update(store);
  assert.deepEqual([jam.since, jam.isOlder], [1_000_000 - 10 * MINUTE, true]);
  assert.deepEqual(store.trail("A"), [20, 20, 20]);
  store.apply({ type: "prediction", data: ago(-25, 20) });
  assert.deepEqual(store.trail("A"), [20]);
});

test("a jam that was slow at the first known time is older, and one step tells nothing", () => {
  const { store } = storeOf([at("A", 0, 20, 20, { timestamp: 1_000_000 - 5 * MINUTE })]);
  assert.equal(new Jams().update(store)[0].since, null);
  store.apply({ type: "prediction", data: at("A", 0, 20, 20) });
  const [jam] = new Jams().update(store);
  assert.deepEqual([jam.since, jam.isOlder], [1_000_000 - 5 * MINUTE, true]);
});

test("a jam keeps its key while it grows, moves and pauses, and begins and ends once", () => {
  const { store, given } = storeOf(["A", "B", "C", "D"].map((id, index) => at(id, index, 65, 65)));
  const jams = new Jams();
  const show = (...slow) => {
    for (const [index, id] of ["A", "B", "C", "D"].entries()) {
      store.apply({ type: "prediction", data: at(id, index, slow.includes(id) ? 20 : 65, 65, { timestamp: given.time }) });
    }
    const keys = jams.update(store).map(({ key, ids }) => [key, ids.join("")]);
    const { begun, ended } = jams.takeEvents();
    given.time += 1_000;
    return [keys.sort(), begun.length, ended.length];
  };
  assert.deepEqual(show("A"), [[["jam 1", "A"]], 0, 0], "what is there at first has not begun");
  assert.deepEqual(show("A", "B"), [[["jam 1", "AB"]], 0, 0]);
  assert.deepEqual(show("B", "C"), [[["jam 1", "BC"]], 0, 0]);
  assert.deepEqual(show(), [[], 0, 0]);
  assert.deepEqual(show("C", "D"), [[["jam 1", "CD"]], 0, 0], "back within a minute");
  assert.deepEqual(show("A", "C"), [[["jam 1", "C"], ["jam 2", "A"]], 1, 0]);
  assert.deepEqual(show("C"), [[["jam 1", "C"]], 0, 0]);
  given.time += 60_000;
  assert.deepEqual(show("C"), [[["jam 1", "C"]], 0, 1]);
});

test("another time has no jams that begin or end", () => {
  const { store } = storeOf([at("A", 0, 65, 65, { horizon_minutes: 5 }), at("A", 0, 65, 20, { horizon_minutes: 15 })]);
  const jams = new Jams();
  assert.deepEqual(jams.update(store), []);
  store.choose(15);
  assert.deepEqual(idsOf(jams.update(store)), ["A"]);
  assert.deepEqual(jams.takeEvents(), { begun: [], ended: [] });
});

test("the jams of the first view have not begun, and those that stop to report have not ended", () => {
  const given = { time: 1_000_000 };
  const store = new Store({ intervalSeconds: 300, clock: () => given.time });
  const jams = new Jams();
  jams.update(store);
  store.apply({ type: "initial", predictions: [at("A", 0, 20, 20)] });
  assert.equal(jams.update(store).length, 1);
  for (const minutes of [11, 2]) {
    given.time += minutes * MINUTE;
    assert.deepEqual(jams.update(store), []);
  }
  assert.deepEqual(jams.takeEvents(), { begun: [], ended: [] });
});

test("a view of the past has no jams that begin or end", () => {
  const given = { time: 1_000_000 };
  const store = new Store({ intervalSeconds: 300, clock: () => given.time, trailOf: () => [] });
  const jams = new Jams();
  for (const speed of [65, 20, 65]) {
    store.replaceAll([at("A", 0, speed, speed, { timestamp: given.time })]);
    assert.equal(jams.update(store).length, Number(speed === 20));
    given.time += 20 * MINUTE;
  }
  assert.deepEqual(jams.takeEvents(), { begun: [], ended: [] });
});

/** Return a generator of numbers from 0 to 1 that are the same in each run (mulberry32). */
function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function randomSegments(next) {
  const roads = ["I-5 N", "I-5 S", "Main Street", null];
  return Array.from({ length: 60 }, (_, number) =>
    prediction(`S${number}`, {
      road_name: roads[Math.floor(next() * roads.length)],
      coordinates: next() < 0.9 ? { latitude: 34 + next() * 0.4, longitude: -118 + next() * 0.02 } : null,
      current_speed: next() < 0.9 ? Math.round(next() * 75) : null,
      predicted_speed: Math.round(next() * 75),
      timestamp: next() < 0.9 ? 1_000_000 : 1_000_000 - 20 * MINUTE,
    }),
  );
}

/** @param {any} segment */
const isSlow = ({ current_speed: now, predicted_speed: next, timestamp }) =>
  timestamp === 1_000_000 && ((now !== null && now < 45) || next < 45);

test("for any segments, each slow one is in one jam, and the order of messages makes no difference", () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const next = random(seed);
    const segments = randomSegments(next);
    const jams = found(...segments);
    const byId = new Map(segments.map((each) => [each.segment_id, each]));
    const members = jams.flatMap(({ ids }) => ids);
    assert.equal(new Set(members).size, members.length, `seed ${seed}: no segment twice`);
    for (const each of segments.filter(isSlow)) assert.ok(members.includes(each.segment_id), `seed ${seed}: ${each.segment_id}`);
    for (const jam of jams) {
      assert.ok(isSlow(byId.get(jam.ids[0])) && isSlow(byId.get(jam.ids.at(-1))), `seed ${seed}: its ends are slow`);
      assert.ok(jam.ids.every((id) => isSlow(byId.get(id)) || byId.get(id).timestamp < 1_000_000), `seed ${seed}: nothing fast`);
      assert.ok((jam.delayNow ?? 0) >= 0 && (jam.delayNext ?? 0) >= 0 && Number.isFinite(jam.delayNow ?? 0));
    }
    const delays = jams.map(({ delayNow, delayNext }) => Math.max(delayNow ?? -1, delayNext ?? -1));
    assert.deepEqual(delays, [...delays].sort((one, other) => other - one), `seed ${seed}: the worst first`);
    const shuffled = segments.map((each) => ({ each, rank: next() })).sort((one, other) => one.rank - other.rank);
    const again = found(...shuffled.map(({ each }) => each));
    const sets = (/** @type {any[]} */ all) => all.map(({ ids }) => [...ids].sort().join()).sort();
    assert.deepEqual(sets(again), sets(jams), `seed ${seed}: in any order`);
  }
});

test("stretches have all segments, with the lengths between their middles", () => {
  const [stretch] = stretchesOf([at("B", 1, 0, 0), at("A", 0, 0, 0), at("C", 4, 0, 0)]);
  assert.deepEqual(stretch.ids, ["A", "B", "C"]);
  assert.deepEqual((stretch.km ?? []).map((length) => Number(length.toFixed(6))), [1, 2, 3]);
});

test("a place is what a road name says after road and direction", () => {
  for (const [road, place] of [["I-405 N at Sunset", "Sunset"], ["I-405 N at Sunset (2)", "Sunset"], ["US-101 SB, Vermont", ", Vermont"], ["I-5 N", ""], [null, ""]]) {
    assert.equal(placeIn(/** @type {any} */ (road)), String(place).replace(/^, /, ""));
  }
});

test("the sentences about a jam", () => {
  const jam = /** @type {any} */ ({
    road: "US-101 S", ids: ["A", "B"], first: { segment_id: "A", road_name: "US-101 S at Vermont" }, km: 5.15, now: 9.4, next: 7,
    delayNow: 12.2, delayNext: 15, isNow: true, course: "growing", since: Date.UTC(2026, 2, 4, 16, 10), isOlder: false,
  });
  const given = { unit: /** @type {const} */ ("mph"), unitLabel: "mph", horizon: 15, now: Date.UTC(2026, 2, 4, 17) };
  const time = new Date(jam.since).toTimeString().slice(0, 5);
  assert.equal(jamName(jam, ["Vermont", "Silver Lake"]), "US-101 S, Vermont → Silver Lake");
  assert.equal(jamName(jam, ["Vermont", "Vermont"]), "US-101 S at Vermont");
  assert.equal(jamName({ ...jam, ids: ["A"] }, ["Vermont", "Vermont"]), "US-101 S at Vermont");
  assert.equal(jamName({ ...jam, ids: ["A"], first: { road_name: "US-101 S" } }, ["I-405", "I-405"]), "US-101 S near I-405");
  assert.equal(jamName({ ...jam, road: null }, ["", ""]), "A");
  assert.equal(jamText(jam, given), `3.2 mi · 9 mph now, 7 in 15 min · since ${time} · growing`);
  assert.equal(jamText({ ...jam, isOlder: true, course: "steady", km: null }, given), `9 mph now, 7 in 15 min · since before ${time}`);
  assert.equal(jamText({ ...jam, isNow: false, now: null, course: null }, given), "3.2 mi · 7 mph in 15 min · expected");
  assert.equal(jamText({ ...jam, next: null, since: null, course: null }, given), "3.2 mi · 9 mph measured");
  assert.equal(jamText({ ...jam, now: 15, next: 11, course: "easing" }, { ...given, unit: "kmh", unitLabel: "km/h", horizon: null }), `5.2 km · 15 km/h now, 11 predicted · since ${time} · easing`);
  assert.equal(delayText({ ...jam, delayNow: 0.3, delayNext: 0 }), "0.3 → 0 min");
  assert.equal(delayText({ ...jam, delayNow: null }), "15 min");
});

test("jams that begin or end are announced by name, three at most", () => {
  assert.equal(announcement(["I-5 N, A → B"], []), "New jam: I-5 N, A to B");
  assert.equal(announcement(["a", "b", "c", "d"], ["e"]), "4 new jams: a; b; c. Jam ended: e");
  assert.equal(announcement([], []), "");
});

test("a road is named in full, and by its number alone if it has one", () => {
  const names = ["Avenue Foch", "Rue de Rivoli", "A4 Ouest", "A4 at Porte", "I-405 N at Sunset"];
  const { store } = storeOf(names.map((name, index) => at(name, [0, 0.5, 3, 3.3, 4][index], 60, 60, { road_name: name })));
  const crossings = new Crossings();
  assert.deepEqual(names.map((name) => crossings.near(store.segments, name)), ["Rue de Rivoli", "Avenue Foch", "I-405", "I-405", null]);
});

test("the nearest road is that of all segments within 2 km, wherever they are", () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const next = random(seed);
    const north = 65 * next();
    const segments = Array.from({ length: 80 }, (_, number) =>
      prediction(`S${number}`, {
        road_name: `I-${1 + Math.floor(next() * 6)} N`,
        coordinates: { latitude: north + next() * 0.2, longitude: -0.1 + next() * 0.2 },
      }),
    );
    const { store } = storeOf(segments);
    const crossings = new Crossings();
    for (const segment of segments) {
      const place = placeOf(segment) ?? [0, 0];
      const others = segments
        .filter((each) => each.road_name !== segment.road_name)
        .map((each) => ({ road: each.road_name?.split(" ")[0] ?? null, distance: km(place, placeOf(each) ?? [0, 0]) }))
        .filter(({ distance }) => distance < 2)
        .sort((one, other) => one.distance - other.distance);
      assert.equal(crossings.near(store.segments, segment.segment_id), others[0]?.road ?? null, `seed ${seed}`);
    }
  }
});
