import assert from "node:assert/strict";
import { test } from "node:test";
import { Store } from "../../static/js/store.js";
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
  assert.equal(store.received, 3);
});

test("a late prediction replaces nothing, though it counts as received", () => {
  const { store } = makeStore();
  arrive(store, "A", { predicted_speed: 40 });
  arrive(store, "A", { predicted_speed: 10, late: true });
  arrive(store, "B", { late: true });
  assert.deepEqual(speeds(store), { A: 40 });
  assert.equal(store.received, 3);
});

test("initial replaces everything", () => {
  const { store } = makeStore();
  arrive(store, "A");
  store.takeChanges();
  store.apply({ type: "initial", predictions: [prediction("B")], count: 1 });
  assert.deepEqual([...store.segments.keys()], ["B"]);
  assert.ok(store.takeChanges().replaced);
});

test("left removes all of a segment, and harms nothing when it was never there", () => {
  const { store } = makeStore();
  arrive(store, "A");
  store.apply({ type: "left", segment_id: "A", horizon_minutes: null, reason: "removed" });
  store.apply({ type: "left", segment_id: "Z", horizon_minutes: null, reason: "removed" });
  assert.equal(store.segments.size, 0);
});

test("names that mean something to JavaScript are names like others", () => {
  const { store } = makeStore();
  for (const id of ["__proto__", "constructor", "toString"]) arrive(store, id, { category: id });
  assert.equal(store.segments.size, 3);
  assert.equal(store.summary().counts.not_current, 3);
  assert.equal({}.segment_id, undefined);
});

test("messages that it doesn't know, or that aren't any, are let pass", () => {
  const { store } = makeStore();
  for (const message of [{ type: "new_kind" }, { type: "constructor" }, {}, null, 5]) store.apply(message);
  store.apply({ type: "prediction", data: null });
  assert.equal(store.segments.size, 0);
  assert.equal(store.unreadable, 1);
});

test("fresh below two intervals, stale below five, then silent", () => {
  const { store, time } = makeStore();
  arrive(store, "A");
  const at = (seconds) => {
    time.now = 1_000_000 + seconds * 1000;
    return store.freshness(store.segments.get("A"));
  };
  assert.deepEqual([0, 599, 600, 1499, 1500].map(at), ["fresh", "fresh", "stale", "stale", "silent"]);
});

test("counts are of what is fresh; the rest is counted apart, so the parts make the whole", () => {
  const { store, time } = makeStore();
  arrive(store, "old", { category: "severe_congestion" });
  time.now += 601_000;
  for (const [id, category] of [["A", "free_flow"], ["B", "heavy_traffic"], ["C", "heavy_traffic"]]) {
    arrive(store, id, { category, timestamp: time.now });
  }
  const { total, reporting, counts } = store.summary();
  assert.deepEqual([total, reporting], [4, 3]);
  assert.deepEqual(counts, {
    free_flow: 1,
    moderate_traffic: 0,
    heavy_traffic: 2,
    severe_congestion: 0,
    not_current: 1,
  });
});

test("0 is a speed and counts in the mean; null doesn't", () => {
  const { store } = makeStore();
  arrive(store, "A", { predicted_speed: 0, speed_diff: -20 });
  arrive(store, "B", { predicted_speed: 30, speed_diff: null, current_speed: null });
  const { meanPredicted, meanChange } = store.summary();
  assert.deepEqual([meanPredicted, meanChange], [15, -20]);
});

test("without anything there are no means, rather than means of zero", () => {
  const { meanPredicted, meanChange } = makeStore().store.summary();
  assert.deepEqual([meanPredicted, meanChange], [null, null]);
});

test("ages are by the server's clock, however wrong this one is", () => {
  const { store } = makeStore();
  store.apply({ type: "connected", timestamp: new Date(1_000_000 + 7_200_000).toISOString() });
  arrive(store, "A", { timestamp: 1_000_000 + 7_200_000 - 30_000 });
  assert.equal(store.ageSeconds(store.segments.get("A")), 30);
});

test("a replayed prediction's age is its distance to the newest event", () => {
  const { store } = makeStore();
  arrive(store, "A", { source: "replay", timestamp: 500_000 });
  arrive(store, "B", { source: "replay", timestamp: 620_000 });
  assert.equal(store.ageSeconds(store.segments.get("A")), 120);
  assert.equal(store.freshness(store.segments.get("B")), "fresh");
  assert.equal(store.replayTime, 620_000);
});

test("a replay that has ended grows old by the wall clock", () => {
  const { store, time } = makeStore();
  arrive(store, "A", { source: "replay", timestamp: 500_000 });
  time.now += 600_000;
  assert.equal(store.freshness(store.segments.get("A")), "stale");
});

test("replayed data is forgotten as such when a new view holds none", () => {
  const { store } = makeStore();
  arrive(store, "A", { source: "replay" });
  store.apply({ type: "initial", predictions: [prediction("B")], count: 1 });
  assert.equal(store.replayTime, null);
});

test("predictions per minute are those of the last minute", () => {
  const { store, time } = makeStore();
  arrive(store, "A");
  time.now += 30_000;
  arrive(store, "A");
  assert.equal(store.perMinute, 2);
  time.now += 31_000;
  assert.equal(store.perMinute, 1);
});

test("a gap is kept as a notice, with its reason and number", () => {
  const { store } = makeStore();
  store.apply({ type: "gap", reason: "too_old", missed: 84 });
  assert.deepEqual(store.notice, { kind: "gap", reason: "too_old", missed: 84, at: 1_000_000 });
});

test("the consumer's state is kept with its time", () => {
  const { store } = makeStore();
  store.apply({ type: "status", state: "reconnecting", since: "1970-01-01T00:10:00Z", reason: "no word", retry_in: 2 });
  assert.deepEqual(store.consumer, { state: "reconnecting", since: 600_000, reason: "no word" });
});

test("segments are bounded: the one renewed longest ago goes", () => {
  const { store } = makeStore();
  for (let number = 0; number < 20_000; number += 1) arrive(store, `S${number}`);
  arrive(store, "S0");
  arrive(store, "one more");
  assert.equal(store.segments.size, 20_000);
  assert.ok(store.segments.has("S0"));
  assert.ok(!store.segments.has("S1"));
});

test("changes are collected until they are taken", () => {
  const { store } = makeStore();
  store.takeChanges();
  arrive(store, "A");
  arrive(store, "B");
  assert.deepEqual([...store.takeChanges().segments], ["A", "B"]);
  assert.equal(store.takeChanges().segments.size, 0);
});

test("listeners hear of changes until they leave", () => {
  const { store } = makeStore();
  let heard = 0;
  const leave = store.subscribe(() => (heard += 1));
  arrive(store, "A");
  leave();
  arrive(store, "A");
  assert.equal(heard, 1);
});

test("in a pause what is shown stays, what comes waits, and is all there afterwards", () => {
  const store = new Store({ intervalSeconds: 300 });
  store.apply({ type: "initial", predictions: [prediction("A", { predicted_speed: 1 }), prediction("B")] });
  store.pause();
  for (const speed of [2, 3]) store.apply({ type: "prediction", data: prediction("A", { predicted_speed: speed }) });
  store.apply({ type: "left", segment_id: "B" });
  store.apply({ type: "status", state: "reconnecting", since: "", reason: "" });
  assert.deepEqual([store.segments.get("A").predicted_speed, store.segments.size, store.waiting], [1, 2, 2]);
  assert.equal(store.consumer.state, "reconnecting", "what isn't a value is told at once");
  store.goOn();
  assert.deepEqual([store.segments.get("A").predicted_speed, store.segments.size, store.waiting], [3, 1, 0]);
  assert.equal(store.received, 2);
});

test("what is known can be told to somebody else, in a pause as well", () => {
  const store = new Store({ intervalSeconds: 300 });
  store.apply({ type: "status", state: "live", since: "2026-01-01T00:00:00Z", reason: "read" });
  store.apply({ type: "initial", predictions: [prediction("A"), prediction("B")] });
  store.pause();
  store.apply({ type: "prediction", data: prediction("A", { predicted_speed: 7 }) });
  store.apply({ type: "left", segment_id: "B" });
  const other = new Store({ intervalSeconds: 300 });
  for (const message of store.messages()) other.apply(message);
  assert.deepEqual([...other.segments.values()].map(({ predicted_speed }) => predicted_speed), [7]);
  assert.deepEqual(other.consumer, store.consumer);
});

test("a view that comes in a pause replaces what waited before it", () => {
  const store = new Store({ intervalSeconds: 300 });
  store.pause();
  store.apply({ type: "prediction", data: prediction("A") });
  store.apply({ type: "initial", predictions: [prediction("B")] });
  store.apply({ type: "prediction", data: prediction("C") });
  store.goOn();
  assert.deepEqual([...store.segments.keys()], ["B", "C"]);
});

test("a prediction's arrival is known unless it came in a view, and is when it came, not when a pause ended", () => {
  let now = 1_000;
  const store = new Store({ intervalSeconds: 300, clock: () => now });
  store.apply({ type: "initial", predictions: [prediction("A")] });
  assert.equal(store.arrivedAt(store.segments.get("A")), null);
  store.apply({ type: "prediction", data: prediction("A") });
  assert.equal(store.arrivedAt(store.segments.get("A")), 1_000);
  store.pause();
  now = 2_000;
  store.apply({ type: "prediction", data: prediction("A") });
  now = 3_000;
  store.goOn();
  assert.equal(store.arrivedAt(store.segments.get("A")), 2_000);
});
