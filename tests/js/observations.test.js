import assert from "node:assert/strict";
import { test } from "node:test";
import { Rows } from "../../static/js/rows.js";
import { snapshotOf } from "../../static/js/snapshot.js";
import { Store } from "../../static/js/store.js";
import { WholeView } from "../../static/greenwave.js";
import { prediction } from "./fakes.js";

const observation = (segment_id, current_speed, fields = {}) => ({ segment_id, current_speed, timestamp: 1_000_000, ...fields });

function makeStore() {
  const store = new Store({ intervalSeconds: 300, clock: () => 1_000_000 });
  store.apply({ type: "initial", predictions: [prediction("A")], observations: [observation("B", 20)] });
  return store;
}

const observe = (store, ...given) => store.apply({ type: "observation", data: /** @type {any} */ (observation)(...given) });
const seen = (store, id) => {
  const { current_speed, predicted_speed, speed_diff } = store.segments.get(id);
  return [current_speed, predicted_speed, speed_diff ?? null];
};

test("a segment that is only measured shows its speed, and no prediction", () => {
  const store = makeStore();
  assert.deepEqual(seen(store, "B"), [20, null, null]);
  assert.equal(store.group(store.segments.get("B")), "severe_congestion");
  store.choose(15);
  assert.equal(store.group(store.segments.get("B")), "not_current");
  store.apply({ type: "prediction", data: prediction("B", { horizon_minutes: 15, predicted_speed: 33 }) });
  assert.equal(seen(store, "B")[1], 33);
});

test("columns without any value are empty, until a segment has one", () => {
  const store = new Store({ intervalSeconds: 300, clock: () => 1_000_000 });
  const rows = new Rows(store);
  assert.deepEqual(rows.emptyColumns(), ["usual"]);
  store.apply({ type: "initial", predictions: [], observations: [observation("A", 20), observation("B", 0)] });
  assert.deepEqual(rows.emptyColumns(), ["road", "predicted", "change", "usual"]);
  observe(store, "B", 30, { timestamp: 1_000_001, road_name: "A 1" });
  assert.deepEqual(rows.emptyColumns(), ["predicted", "change", "usual"]);
  store.apply({ type: "prediction", data: prediction("A", { predicted_speed: 0, speed_diff: 0 }) });
  assert.deepEqual(rows.emptyColumns(), ["usual"]);
  store.apply({ type: "left", segment_id: "A", reason: "expired" });
  assert.deepEqual(rows.emptyColumns(), ["predicted", "change", "usual"]);
});

test("a topic of predictions alone has no column for measured speeds", () => {
  const store = new Store({ intervalSeconds: 300, clock: () => 1_000_000 });
  store.apply({ type: "initial", predictions: [prediction("A", { current_speed: null, speed_diff: null, road_name: "" })] });
  assert.deepEqual(new Rows(store).emptyColumns(), ["road", "now", "change", "usual"]);
});

test("the speed of now is the newest measured one", () => {
  const store = makeStore();
  observe(store, "A", 30, { timestamp: 1_000_001 });
  assert.deepEqual(seen(store, "A"), [30, 50, 20]);
  observe(store, "A", 10, { timestamp: 999_999 });
  observe(store, "A", 11, { timestamp: 1_000_009, late: true });
  observe(store, "A", "fast", { timestamp: 1_000_010 });
  assert.deepEqual(seen(store, "A"), [30, 50, 20]);
  store.apply({ type: "prediction", data: prediction("A", { timestamp: 1_000_020, current_speed: 44, speed_diff: 6 }) });
  assert.deepEqual(seen(store, "A"), [44, 50, 6]);
});

test("a removal takes predictions, the observation, or both", () => {
  const store = makeStore();
  observe(store, "A", 30, { timestamp: 1_000_001 });
  store.apply({ type: "left", segment_id: "A", reason: "expired" });
  assert.deepEqual(seen(store, "A"), [30, null, null]);
  store.apply({ type: "left", segment_id: "A", kind: "observation", reason: "expired" });
  assert.ok(!store.segments.has("A"));
  store.apply({ type: "left", segment_id: "B", reason: "removed" });
  assert.equal(store.segments.size, 0);
});

test("a pause and a snapshot keep observations", () => {
  const store = makeStore();
  store.pause();
  observe(store, "B", 25, { timestamp: 1_000_005 });
  observe(store, "B", 24, { timestamp: 1_000_004 });
  const other = new Store({ intervalSeconds: 300, clock: () => 1_000_000 });
  for (const message of snapshotOf(store)) other.apply(message);
  store.resume();
  assert.deepEqual([seen(store, "B"), seen(other, "B")], [[25, null, null], [25, null, null]]);
});

test("a view in parts is complete with its last observation", () => {
  const messages = [];
  const view = new WholeView((message, cursor) => messages.push([message.type, cursor]));
  view.push({ type: "initial", predictions: [], observations: [], count: 1, observation_count: 2 }, null);
  view.push({ type: "prediction", data: prediction("A") }, null);
  for (const cursor of [null, "c1"]) view.push({ type: "observation", data: observation("B", 20) }, cursor);
  assert.deepEqual(messages, [["loading", null], ["initial", "c1"]]);
});
