import assert from "node:assert/strict";
import { test } from "node:test";
import { snapshotOf } from "../../static/js/snapshot.js";
import { Store } from "../../static/js/store.js";
import { totalsOf } from "../../static/js/totals.js";
import { prediction } from "./fakes.js";

function makeStore(fields = {}) {
  const time = { now: 1_000_000 };
  const store = new Store({ intervalSeconds: 300, clock: () => time.now, ...fields });
  return { store, time };
}

const arrive = (store, id, fields) => store.apply({ type: "prediction", data: prediction(id, fields) });
const speeds = (store) => Object.fromEntries([...store.segments].map(([id, each]) => [id, each.predicted_speed]));

test("the newest prediction of a segment is kept", () => {
  const { store } = makeStore();
  arrive(store, "A", { predicted_speed: 40 });
  arrive(store, "B", { predicted_speed: 50 });
  arrive(store, "A", { predicted_speed: 30 });
  assert.deepEqual(speeds(store), { A: 30, B: 50 });
  assert.equal(store.arrivals.count, 3);
});

test("a late prediction replaces nothing, but counts as received", () => {
  const { store } = makeStore();
  arrive(store, "A", { predicted_speed: 40 });
  arrive(store, "A", { predicted_speed: 10, late: true });
  arrive(store, "B", { late: true });
  assert.deepEqual(speeds(store), { A: 40 });
  assert.equal(store.arrivals.count, 3);
});

test("an older prediction of the same horizon replaces nothing", () => {
  const { store } = makeStore();
  const made = (second) => `2026-11-25T10:00:0${second}.000Z`;
  arrive(store, "A", { timestamp: 2000, prediction_time: made(2), horizon_minutes: 15, predicted_speed: 40 });
  arrive(store, "A", { timestamp: 1000, prediction_time: made(3), horizon_minutes: 15, predicted_speed: 10 });
  arrive(store, "A", { timestamp: 2000, prediction_time: made(1), horizon_minutes: 15, predicted_speed: 11 });
  assert.deepEqual(speeds(store), { A: 40 });
  arrive(store, "A", { timestamp: 2000, prediction_time: made(2), horizon_minutes: 15, predicted_speed: 41 });
  assert.deepEqual(speeds(store), { A: 41 });
  arrive(store, "A", { timestamp: 1000, prediction_time: made(1), horizon_minutes: 5, predicted_speed: 50 });
  assert.deepEqual(speeds(store), { A: 50 });
});

test("a larger horizon replaces a smaller one only if that is too old", () => {
  const { store } = makeStore({ maxAgeSeconds: 60 });
  arrive(store, "A", { timestamp: 1000, horizon_minutes: 5, predicted_speed: 40 });
  arrive(store, "A", { timestamp: 61_000, horizon_minutes: 15, predicted_speed: 30 });
  assert.deepEqual(speeds(store), { A: 40 });
  arrive(store, "A", { timestamp: 61_001, horizon_minutes: 15, predicted_speed: 20 });
  assert.deepEqual(speeds(store), { A: 20 });
  arrive(store, "A", { timestamp: 1002, horizon_minutes: null, predicted_speed: 50 });
  assert.deepEqual(speeds(store), { A: 50 });
});

test("no horizon counts as smaller than one for a time before the event", () => {
  const { store } = makeStore({ maxAgeSeconds: 60 });
  arrive(store, "A", { timestamp: 1000, horizon_minutes: null, predicted_speed: 40 });
  arrive(store, "A", { timestamp: 1001, horizon_minutes: -5, predicted_speed: 30 });
  assert.deepEqual(speeds(store), { A: 40 });
});

test("initial replaces everything", () => {
  const { store } = makeStore();
  arrive(store, "A");
  store.takeChanges();
  store.apply({ type: "initial", predictions: [prediction("B")], count: 1 });
  assert.deepEqual([...store.segments.keys()], ["B"]);
  assert.ok(store.takeChanges().replaced);
});

test("left removes a segment, known or not", () => {
  const { store } = makeStore();
  arrive(store, "A");
  store.apply({ type: "left", segment_id: "A", horizon_minutes: null, reason: "removed" });
  store.apply({ type: "left", segment_id: "Z", horizon_minutes: null, reason: "removed" });
  assert.equal(store.segments.size, 0);
});

test("names of object properties are valid segment names", () => {
  const { store } = makeStore();
  for (const id of ["__proto__", "constructor", "toString"]) arrive(store, id, { category: id });
  assert.equal(store.segments.size, 3);
  assert.equal(totalsOf(store).counts.not_current, 3);
  assert.equal({}.segment_id, undefined);
});

test("a field of the wrong type becomes null, or the prediction is refused", () => {
  const { store } = makeStore();
  arrive(store, "A", { road_name: { toString: "x" }, coordinates: [1], model: "m", horizon_minutes: 15 });
  for (const fields of [{ segment_id: 7 }, { timestamp: "now" }, { predicted_speed: null }]) arrive(store, "B", fields);
  const { road_name, coordinates, model, horizon_minutes } = store.segments.get("A");
  assert.deepEqual({ road_name, coordinates, model, horizon_minutes }, {
    road_name: null,
    coordinates: null,
    model: "m",
    horizon_minutes: 15,
  });
  assert.equal(store.unreadable, 3);
  store.apply({ type: "initial", predictions: [null, prediction("C")] });
  assert.deepEqual([...store.segments.keys()], ["C"]);
});

test("unknown and invalid messages are ignored", () => {
  const { store } = makeStore();
  for (const message of /** @type {any[]} */ ([{ type: "new_kind" }, { type: "constructor" }, {}, null, 5])) store.apply(message);
  store.apply({ type: "prediction", data: null });
  assert.equal(store.segments.size, 0);
  assert.equal(store.unreadable, 1);
});

test("freshness: fresh below two intervals, stale below five, then silent", () => {
  const { store, time } = makeStore();
  arrive(store, "A");
  const at = (seconds) => {
    time.now = 1_000_000 + seconds * 1000;
    return store.ages.freshness(store.segments.get("A"));
  };
  assert.deepEqual([0, 599, 600, 1499, 1500].map(at), ["fresh", "fresh", "stale", "stale", "silent"]);
});

test("categories count fresh predictions, and one group all others", () => {
  const { store, time } = makeStore();
  arrive(store, "old", { category: "severe_congestion" });
  time.now += 601_000;
  for (const [id, category] of [["A", "free_flow"], ["B", "heavy_traffic"], ["C", "heavy_traffic"]]) {
    arrive(store, id, { category, timestamp: time.now });
  }
  const { total, reporting, counts } = totalsOf(store);
  assert.deepEqual([total, reporting], [4, 3]);
  assert.deepEqual(counts, {
    free_flow: 1,
    moderate_traffic: 0,
    heavy_traffic: 2,
    severe_congestion: 0,
    not_current: 1,
  });
});

test("a speed of 0 counts in the mean, null does not", () => {
  const { store } = makeStore();
  arrive(store, "A", { predicted_speed: 0, speed_diff: -20 });
  arrive(store, "B", { predicted_speed: 30, speed_diff: null, current_speed: null });
  const { meanPredicted, meanChange } = totalsOf(store);
  assert.deepEqual([meanPredicted, meanChange], [15, -20]);
});

test("without data the means are null", () => {
  const { meanPredicted, meanChange } = totalsOf(makeStore().store);
  assert.deepEqual([meanPredicted, meanChange], [null, null]);
});

test("ages use the server's clock", () => {
  const { store } = makeStore();
  store.apply({ type: "connected", timestamp: new Date(1_000_000 + 7_200_000).toISOString() });
  arrive(store, "A", { timestamp: 1_000_000 + 7_200_000 - 30_000 });
  assert.equal(store.ages.seconds(store.segments.get("A")), 30);
});

test("a replayed prediction's age is its distance to the newest event", () => {
  const { store } = makeStore();
  arrive(store, "A", { source: "replay", timestamp: 500_000 });
  arrive(store, "B", { source: "replay", timestamp: 620_000 });
  assert.equal(store.ages.seconds(store.segments.get("A")), 120);
  assert.equal(store.ages.freshness(store.segments.get("B")), "fresh");
  assert.equal(store.ages.replayMs, 620_000);
});

test("a replay that has ended ages by the wall clock", () => {
  const { store, time } = makeStore();
  arrive(store, "A", { source: "replay", timestamp: 500_000 });
  time.now += 600_000;
  assert.equal(store.ages.freshness(store.segments.get("A")), "stale");
});

test("a fast replay becomes stale faster, but not before 20 s of wall time", () => {
  const after = (speed, seconds) => {
    const { store, time } = makeStore();
    for (let step = 0; step < 10; step += 1) {
      arrive(store, "A", { source: "replay", timestamp: 500_000 + step * 300_000 });
      time.now += step < 9 ? 300_000 / speed : seconds * 1000;
    }
    return store.ages.freshness(store.segments.get("A"));
  };
  assert.deepEqual([after(10, 59), after(10, 61), after(10, 151)], ["fresh", "stale", "silent"]);
  assert.deepEqual([after(300, 19), after(300, 21), after(300, 51)], ["fresh", "stale", "silent"]);
  assert.equal(after(0.5, 599), "fresh");
});

test("a changed replay speed is measured again", () => {
  const { store, time } = makeStore();
  let event = 500_000;
  const step = (milliseconds) => {
    arrive(store, "A", { source: "replay", timestamp: (event += 300_000) });
    time.now += milliseconds;
  };
  for (let count = 0; count < 10; count += 1) step(10_000); // 30 times
  for (let count = 0; count < 3; count += 1) step(300_000); // as fast as it was
  time.now += 100_000;
  assert.equal(store.ages.freshness(store.segments.get("A")), "fresh");
});

test("a new view without replayed data ends the replay", () => {
  const { store } = makeStore();
  arrive(store, "A", { source: "replay" });
  store.apply({ type: "initial", predictions: [prediction("B")], count: 1 });
  assert.equal(store.ages.replayMs, null);
});

test("the rate counts predictions of the last minute", () => {
  const { store, time } = makeStore();
  arrive(store, "A");
  time.now += 30_000;
  arrive(store, "A");
  assert.equal(store.perMinute, 2);
  time.now += 31_000;
  assert.equal(store.perMinute, 1);
});

test("a gap becomes a notice, with its reason and number", () => {
  const { store } = makeStore();
  store.apply({ type: "gap", reason: "too_old", missed: 84 });
  assert.deepEqual(store.status.notice, { kind: "gap", reason: "too_old", missed: 84, at: 1_000_000 });
});

test("a status message sets the consumer's state", () => {
  const { store } = makeStore();
  store.apply({ type: "status", state: "reconnecting", since: "1970-01-01T00:10:00Z", reason: "no word", retry_in: 2 });
  assert.deepEqual(store.status.consumer, { state: "reconnecting", since: 600_000, reason: "no word" });
});

test("above the limit the segment updated longest ago is dropped", () => {
  const { store } = makeStore();
  for (let number = 0; number < 20_000; number += 1) arrive(store, `S${number}`);
  arrive(store, "S0");
  arrive(store, "one more");
  assert.equal(store.segments.size, 20_000);
  assert.ok(store.segments.has("S0"));
  assert.ok(!store.segments.has("S1"));
});

test("changes are collected until they are read", () => {
  const { store } = makeStore();
  store.takeChanges();
  arrive(store, "A");
  arrive(store, "B");
  assert.deepEqual([...store.takeChanges().segments], ["A", "B"]);
  assert.equal(store.takeChanges().segments.size, 0);
});

test("listeners are called until they unsubscribe", () => {
  const { store } = makeStore();
  let calls = 0;
  const leave = store.subscribe(() => (calls += 1));
  arrive(store, "A");
  leave();
  arrive(store, "A");
  assert.equal(calls, 1);
});

test("a pause keeps what is shown, and applies the rest afterwards", () => {
  const store = new Store({ intervalSeconds: 300 });
  store.apply({ type: "initial", predictions: [prediction("A", { predicted_speed: 1 }), prediction("B")] });
  store.pause();
  for (const speed of [2, 3]) store.apply({ type: "prediction", data: prediction("A", { predicted_speed: speed }) });
  store.apply({ type: "left", segment_id: "B" });
  store.apply({ type: "status", state: "reconnecting", since: "", reason: "" });
  assert.deepEqual([store.segments.get("A").predicted_speed, store.segments.size, store.waiting], [1, 2, 2]);
  assert.equal(store.status.consumer.state, "reconnecting", "other messages are applied at once");
  store.resume();
  assert.deepEqual([store.segments.get("A").predicted_speed, store.segments.size, store.waiting], [3, 1, 0]);
  assert.equal(store.arrivals.count, 2);
});

test("a pause keeps the newest prediction of a segment, and its removal", () => {
  const { store } = makeStore();
  for (const id of ["A", "B", "C"]) arrive(store, id, { timestamp: 5000, predicted_speed: 30 });
  store.pause();
  arrive(store, "A", { timestamp: 7000, predicted_speed: 40 });
  arrive(store, "A", { timestamp: 6000, predicted_speed: 10 });
  arrive(store, "A", { timestamp: 6500, predicted_speed: 11, late: true });
  store.apply({ type: "left", segment_id: "B" });
  arrive(store, "B", { timestamp: 6500, predicted_speed: 12, late: true });
  store.apply({ type: "left", segment_id: "C" });
  arrive(store, "C", { timestamp: 1000, predicted_speed: 50 });
  store.resume();
  assert.deepEqual(speeds(store), { A: 40, C: 50 });
  assert.equal(store.arrivals.count, 8);
});

test("a snapshot carries the state to another store, in a pause too", () => {
  const store = new Store({ intervalSeconds: 300 });
  store.apply({ type: "status", state: "live", since: "2026-01-01T00:00:00Z", reason: "read" });
  store.apply({ type: "initial", predictions: [prediction("A"), prediction("B")] });
  store.pause();
  store.apply({ type: "prediction", data: prediction("A", { predicted_speed: 7 }) });
  store.apply({ type: "left", segment_id: "B" });
  const other = new Store({ intervalSeconds: 300 });
  for (const message of snapshotOf(store)) other.apply(message);
  assert.deepEqual([...other.segments.values()].map(({ predicted_speed }) => predicted_speed), [7]);
  assert.deepEqual(other.status.consumer, store.status.consumer);
});

test("a view in a pause replaces the messages buffered before it", () => {
  const store = new Store({ intervalSeconds: 300 });
  store.pause();
  store.apply({ type: "prediction", data: prediction("A") });
  store.apply({ type: "initial", predictions: [prediction("B")] });
  store.apply({ type: "prediction", data: prediction("C") });
  store.resume();
  assert.deepEqual([...store.segments.keys()], ["B", "C"]);
});

test("a prediction has an arrival time unless it came in a view", () => {
  let now = 1_000;
  const store = new Store({ intervalSeconds: 300, clock: () => now });
  store.apply({ type: "initial", predictions: [prediction("A")] });
  assert.equal(store.arrivals.timeOf(store.segments.get("A")), null);
  store.apply({ type: "prediction", data: prediction("A") });
  assert.equal(store.arrivals.timeOf(store.segments.get("A")), 1_000);
  store.pause();
  now = 2_000;
  store.apply({ type: "prediction", data: prediction("A") });
  now = 3_000;
  store.resume();
  assert.equal(store.arrivals.timeOf(store.segments.get("A")), 2_000);
});

test("in a pause ages, rates and totals stand still, in a replay too", () => {
  const { store, time } = makeStore();
  for (let step = 0; step < 10; step += 1) {
    arrive(store, "replayed", { source: "replay", timestamp: 500_000 + step * 300_000 });
    arrive(store, "live", { timestamp: time.now });
    time.now += 1_000;
  }
  store.apply({ type: "stats", data: { quarantined: 1 } });
  const seen = () => [
    ...[...store.segments.values()].map((each) => [store.ages.seconds(each), store.ages.freshness(each)]),
    totalsOf(store),
    store.perMinute,
    store.stats,
  ];
  const before = structuredClone(seen());
  store.pause();
  time.now += 26_000;
  arrive(store, "live", { timestamp: time.now });
  store.apply({ type: "stats", data: { quarantined: 2 } });
  store.apply({ type: "initial", predictions: [prediction("live", { timestamp: time.now })] });
  store.apply({ type: "connected", timestamp: new Date(time.now + 7_200_000).toISOString() });
  time.now += 600_000;
  assert.deepEqual(seen(), before);
  store.resume();
  assert.deepEqual([store.stats, store.perMinute], [{ quarantined: 2 }, 0], "what came is counted when it came");
  assert.notDeepEqual(totalsOf(store), before[2]);
});

test("the last update is the last arrival, or the newest time of the view", () => {
  const { store, time } = makeStore();
  assert.equal(store.updatedAt, null);
  store.apply({ type: "connected", timestamp: new Date(time.now + 5_000).toISOString() });
  const view = [prediction("A", { timestamp: 600_000 }), prediction("B", { timestamp: 990_000 })];
  store.apply({ type: "initial", predictions: view });
  assert.equal(store.updatedAt, 985_000, "by this clock");
  time.now += 3_000;
  arrive(store, "A", { timestamp: 999_000 });
  assert.equal(store.updatedAt, time.now);
  store.apply({ type: "initial", predictions: view });
  assert.equal(store.updatedAt, time.now);
});

test("old data has an age, unless it is a replay", () => {
  const { store, time } = makeStore();
  assert.equal(store.ages.staleSeconds, null);
  arrive(store, "A", { timestamp: time.now - 300_000 });
  arrive(store, "B", { timestamp: time.now - 900_000 });
  assert.equal(store.ages.staleSeconds, null);
  time.now += 300_000;
  assert.equal(store.ages.staleSeconds, 600);
  store.apply({ type: "initial", predictions: [prediction("A", { source: "replay", timestamp: 5 })] });
  assert.deepEqual([store.ages.staleSeconds], [null]);
});

test("the duration of a consumer state is measured by the server's clock", () => {
  const { store, time } = makeStore();
  store.apply({ type: "connected", timestamp: new Date(time.now + 60_000).toISOString() });
  store.apply({ type: "status", state: "starting", since: new Date(time.now + 50_000).toISOString(), reason: "" });
  time.now += 1_000;
  assert.equal(store.status.consumerSeconds, 11);
});

/** @returns {import("../../static/js/types.js").ConnectionState} */
const connection = (lostAt) => ({ phase: "live", transport: "SSE", attempt: 0, retryAt: null, lostAt, reason: null });

test("while disconnected, counts are those of the disconnection", () => {
  const { store, time } = makeStore();
  arrive(store, "A", { timestamp: time.now - 700_000 });
  arrive(store, "B", { timestamp: time.now });
  store.setConnection(connection(null));
  assert.deepEqual([store.keptSince, totalsOf(store).reporting], [null, 1]);
  store.setConnection(connection(time.now));
  time.now += 3_600_000;
  const { reporting, keptSince, counts } = totalsOf(store);
  assert.deepEqual([reporting, keptSince, counts.not_current], [1, 1_000_000, 1]);
  assert.equal(store.ages.seconds(store.segments.get("B")), 3_600);
  store.setConnection(connection(null));
  store.apply({ type: "status", state: "circuit_open", since: new Date(time.now - 3_600_000).toISOString(), reason: "" });
  assert.deepEqual([totalsOf(store).reporting, store.keptSince], [1, 1_000_000]);
});

test("a new view drops the trails of missing segments", () => {
  const { store } = makeStore();
  arrive(store, "A", { predicted_speed: 1 });
  arrive(store, "B", { predicted_speed: 2 });
  store.apply({ type: "initial", predictions: [prediction("A", { predicted_speed: 3, timestamp: 1_000_001 })] });
  arrive(store, "B", { predicted_speed: 4 });
  assert.deepEqual([store.trail("A"), store.trail("B")], [[1, 3], [4]]);
});
