import assert from "node:assert/strict";
import { test } from "node:test";
import { grouped, summaryOf } from "../../static/js/alert-groups.js";
import { Alerts } from "../../static/js/alerts.js";
import { Crossings } from "../../static/js/crossings.js";
import { Search } from "../../static/js/search.js";
import { SpeedScale } from "../../static/js/speeds.js";
import { Store } from "../../static/js/store.js";
import { totalsOf } from "../../static/js/totals.js";
import { TrailHistory } from "../../static/js/trail-history.js";
import { prediction } from "./fakes.js";

const scale = new SpeedScale();
const MINUTE = 60_000;

function storeOf(...predictions) {
  const store = new Store({ intervalSeconds: 300, clock: () => 1_000_000 });
  store.apply({ type: "initial", predictions });
  return store;
}

const ahead = (id, horizon_minutes, predicted_speed, fields = {}) =>
  prediction(id, { horizon_minutes, predicted_speed, category: scale.category(predicted_speed), ...fields });

test("a speed has the category of the server's thresholds, in its unit", () => {
  assert.deepEqual([60, 59.9, 45, 30, 29.9, 0].map((speed) => scale.category(speed)), [
    "free_flow",
    "moderate_traffic",
    "moderate_traffic",
    "heavy_traffic",
    "severe_congestion",
    "severe_congestion",
  ]);
  assert.equal(scale.category(null), null);
  assert.equal(new SpeedScale({ unit: "kmh" }).category(60), "heavy_traffic");
});

for (const [now, next, course] of /** @type {[number | null, number | null, string | null][]} */ ([
  [65, 20, "worsening"],
  [40, 35, "worsening"],
  [40, 36, null],
  [75, 61, null],
  [4, 31, "recovering"],
  [40, 65, "recovering"],
  [50, 65, null],
  [null, 20, null],
  [20, null, null],
])) {
  test(`from ${now} to ${next} mph is ${course ?? "no change of a jam"}`, () => assert.equal(scale.course(now, next), course));
}

test("a store shows the chosen horizon, and keeps the others", () => {
  const store = storeOf(ahead("A", 5, 62), ahead("A", 15, 20, { current_speed: 65 }), ahead("B", 5, 33));
  const speeds = () => Object.fromEntries([...store.segments].map(([id, each]) => [id, each.predicted_speed]));
  assert.deepEqual(store.forecasts.horizons, [5, 15]);
  assert.deepEqual(speeds(), { A: 62, B: 33 });
  store.choose(15);
  assert.deepEqual(speeds(), { A: 20, B: null });
  assert.ok(store.takeChanges().replaced);
  store.apply({ type: "prediction", data: ahead("A", 5, 61, { timestamp: 1_000_001 }) });
  assert.deepEqual(speeds(), { A: 20, B: null });
  store.apply({ type: "left", segment_id: "A", horizon_minutes: 15, reason: "expired" });
  assert.deepEqual(speeds(), { A: null, B: null });
  store.choose(null);
  assert.deepEqual(speeds(), { A: 61, B: 33 });
  store.apply({ type: "left", segment_id: "A", horizon_minutes: null, reason: "removed" });
  assert.deepEqual([speeds(), store.forecasts.horizons], [{ B: 33 }, [5]]);
});

test("totals count categories now and predicted", () => {
  const store = storeOf(ahead("A", 15, 31, { current_speed: 4 }), ahead("B", 15, 20, { current_speed: 65 }));
  const found = () => {
    const { counts, others } = totalsOf(store);
    return [counts.heavy_traffic, counts.severe_congestion, others.severe_congestion, others.free_flow];
  };
  assert.deepEqual(found(), [1, 1, 1, 1]);
  store.choose("now");
  assert.deepEqual(found(), [0, 1, 1, 0]);
  assert.equal(store.group(store.segments.get("B")), "free_flow");
});

test("a pause keeps one prediction of each horizon", () => {
  const store = storeOf(ahead("A", 5, 62), ahead("A", 15, 60));
  store.pause();
  for (const [horizon, speed] of [[5, 50], [15, 40], [5, 51]]) {
    store.apply({ type: "prediction", data: ahead("A", horizon, speed, { timestamp: 1_000_100 }) });
  }
  store.apply({ type: "left", segment_id: "A", horizon_minutes: 15, reason: "expired" });
  store.resume();
  assert.deepEqual([...store.forecasts.all()].map((each) => each.predicted_speed), [51]);
});

test("a measured jam of two steps is an alert, whatever is predicted", () => {
  const alerts = new Alerts({ unit: "mph", intervalSeconds: 300 });
  for (const minute of [1, 2]) {
    alerts.apply({ type: "prediction", data: ahead("A", 15, 31, { current_speed: 4, speed_diff: 27, timestamp: minute * MINUTE }) });
  }
  assert.deepEqual(alerts.list().map(({ kind, now, value, since }) => [kind, now, value, since]), [["severe", 4, 31, MINUTE]]);
});

test("predictions of several horizons for one time are one step", () => {
  const alerts = new Alerts({ unit: "mph", intervalSeconds: 300 });
  for (const horizon of [30, 15, 5]) alerts.apply({ type: "prediction", data: ahead("A", horizon, 20) });
  assert.deepEqual(alerts.list(), []);
  alerts.apply({ type: "prediction", data: ahead("A", 5, 20, { timestamp: 1_300_000 }) });
  assert.equal(alerts.list().length, 1);
});

test("alerts of another horizon begin with its predictions", () => {
  const alerts = new Alerts({ unit: "mph", intervalSeconds: 300 });
  const all = [ahead("A", 5, 62, { speed_diff: -3 }), ahead("A", 15, 40, { speed_diff: -25 })];
  alerts.apply({ type: "initial", predictions: all });
  assert.deepEqual(alerts.list(), []);
  alerts.choose(15, all);
  assert.deepEqual(alerts.list().map(({ kind, value }) => [kind, value]), [["drop", 40]]);
  alerts.choose("now", all);
  assert.deepEqual(alerts.list(), []);
});

test("alerts are grouped by road and direction, at the place of the first", () => {
  const alert = (id, road, fields = {}) =>
    /** @type {any} */ ({ id, road, kind: "severe", now: 20, value: 30, since: 5, acknowledged: false, ...fields });
  const alerts = [
    alert("A", "I-5 N at X"),
    alert("B", null),
    alert("C", "I-5 N at Y", { kind: "drop", now: null, value: 7, since: 3, acknowledged: true }),
    alert("D", "I-5 S at X"),
  ];
  const [group, ...rest] = grouped(alerts);
  assert.deepEqual(rest, [alerts[1], alerts[3]]);
  assert.ok("alerts" in group);
  assert.equal(group.road, "I-5 N");
  const { slowest, ...counts } = summaryOf(group);
  assert.deepEqual([counts, slowest.id], [{ open: 1, severe: 1, drops: 1, since: 3 }, "C"]);
});

test("a road name without a place is placed by the nearest other road", () => {
  const at = (id, road_name, longitude) => prediction(id, { road_name, coordinates: { latitude: 34, longitude } });
  const { segments } = storeOf(
    at("1", "US-101 N", -118),
    at("2", "US-101 S", -118.001),
    at("3", "I-405 N", -118.01),
    at("4", "I-10 W", -118.015),
    at("5", "I-5 N at Burbank", -118.3),
    at("6", "SR-2 E", -119),
  );
  const crossings = new Crossings();
  assert.deepEqual(["1", "3", "5", "6", "7"].map((id) => crossings.near(segments, id)), ["I-405", "I-10", null, null, null]);
});

const ROADS = { 1: "I-10 W at Downtown", 2: "I-105 E at Hawthorne", 3: "I-110 S at Downtown", 17: "Road 2 N", 22: "Road 12 N" };

for (const [words, expected] of /** @type {[string, string[]][]} */ ([
  ["I-10", ["1"]],
  ["i10", ["1"]],
  ["i-1", ["1", "2", "3"]],
  ["Road 2", ["17"]],
  ["road", ["17", "22"]],
  ["downtown 110", ["3"]],
  ["town", ["1", "3"]],
  ["17", ["17"]],
  ["-", ["1", "2", "3"]],
  ["nowhere", []],
])) {
  test(`search: "${words}" finds ${expected.join(", ") || "nothing"}`, () => {
    const segments = Object.entries(ROADS).map(([id, road_name]) => prediction(id, { road_name }));
    assert.deepEqual([...(new Search().find(segments, words) ?? [])].sort((one, other) => Number(one) - Number(other)), expected);
  });
}

test("no words match all segments", () => assert.equal(new Search().find([], "  "), null));

test("the history completes the trails of the visible segments, once", async () => {
  const store = storeOf(prediction("A", { predicted_speed: 30 }), prediction("B"));
  const asked = [];
  /** @type {any} */
  const api = {
    async newest(count, filter) {
      asked.push([count, filter]);
      const earlier = [10, 20].map((predicted_speed, at) => prediction("A", { predicted_speed, timestamp: 1_000 * (at + 1) }));
      return [...earlier, prediction("Z", { timestamp: 5 })];
    },
  };
  const trails = new TrailHistory({ store, api, onChange() {} });
  await trails.complete(["A"]);
  await trails.complete(["A"]);
  assert.deepEqual([store.trail("A"), store.trail("Z")], [[10, 20, 30], []]);
  store.choose("now");
  assert.deepEqual(store.trail("A"), [50, 50, 50]);
  assert.deepEqual(asked, [[24, "&segment=A&horizon=all"]]);
});

test("the first minute's rate is over the time that has passed", () => {
  let now = 0;
  const store = new Store({ intervalSeconds: 300, clock: () => now });
  store.apply({ type: "initial", predictions: [] });
  now = 12_000;
  store.apply({ type: "prediction", data: prediction("A") });
  assert.deepEqual([store.perMinute, store.arrivals.seconds], [1, 12]);
  now = 300_000;
  assert.equal(store.arrivals.seconds, 60);
});

test("a replay that ended before the page was opened is old", () => {
  const store = storeOf(prediction("A", { source: "replay", timestamp: 5_000 }));
  assert.equal(store.ages.staleReplaySeconds, null);
  store.ages.setSilence(1_200, 1_000_000);
  assert.equal(store.ages.freshness(store.segments.get("A")), "stale");
  assert.equal(store.ages.staleReplaySeconds, 1_200);
});
