import assert from "node:assert/strict";
import { test } from "node:test";
import { Recording } from "../../static/js/recording.js";
import { Store } from "../../static/js/store.js";
import { TimeTravel } from "../../static/js/time-travel.js";
import { FakeTime, prediction } from "./fakes.js";

const at = (id, timestamp, fields = {}) => prediction(id, { timestamp, ...fields });

test("a past view has the newest prediction of each segment, in any order", () => {
  const recording = new Recording();
  recording.add([at("A", 30), at("B", 20), at("A", 10)]);
  recording.add([at("B", 40)]);
  assert.deepEqual(recording.range, [10, 40]);
  const names = (time) => recording.viewAt(time).map(({ segment_id, timestamp }) => `${segment_id}${timestamp}`).sort();
  assert.deepEqual(names(9), []);
  assert.deepEqual(names(10), ["A10"]);
  assert.deepEqual(names(35), ["A30", "B20"]);
  assert.deepEqual(names(99), ["A30", "B40"]);
});

test("a past view has the newest prediction of each horizon", () => {
  const recording = new Recording();
  recording.add([15, 30, 60].map((horizon_minutes, index) => at("A", 10 + index, { horizon_minutes })));
  const horizons = () => recording.viewAt(99).map(({ horizon_minutes }) => horizon_minutes);
  assert.deepEqual(horizons(), [15, 30, 60]);
  recording.add([at("A", 20, { horizon_minutes: 15, predicted_speed: 7 })]);
  assert.deepEqual(horizons(), [15, 30, 60]);
  assert.equal(recording.viewAt(99)[0].predicted_speed, 7);
});

test("a recording keeps the newest predictions up to its limit", () => {
  const recording = new Recording();
  for (let page = 0; page < 6; page += 1) {
    recording.add(Array.from({ length: 100_000 }, (_, index) => at("A", 100_000 * page + index)));
  }
  assert.ok(recording.size <= 400_000);
  assert.deepEqual(recording.range, [400_000, 599_999]);
});

test("the trail of a past moment has the predictions before it", async () => {
  const steps = [10, 20, 30].map((speed, index) => at("A", 1_000 * (index + 1), { predicted_speed: speed }));
  const others = [5, 15].map((horizon_minutes) => at("A", 2_500, { predicted_speed: 99, horizon_minutes }));
  const { travel } = travelling([[...steps, ...others, at("B", 1_000)]]);
  await travel.begin(new Store({ intervalSeconds: 300 }));
  assert.deepEqual(travel.store.trail("A"), [10, 20, 30]);
  travel.seek(2_000);
  assert.deepEqual(travel.store.trail("A"), [10, 20]);
});

test("an empty recording has no range", () => {
  assert.equal(new Recording().range, null);
});

function travelling(pages, fail = false) {
  const time = new FakeTime();
  const intervals = [];
  /** @type {any} */
  const timers = { setInterval: (action) => intervals.push(action), clearInterval: () => intervals.splice(0) };
  /** @type {any} */
  const api = {
    async *history() {
      for (const page of pages) yield page;
      if (fail) throw new Error("cut");
    },
  };
  const states = [];
  const travel = new TimeTravel({ api, intervalSeconds: 300, onChange: () => states.push(travel.state), timers });
  return { travel, states, time, tick: () => intervals.forEach((action) => action()) };
}

test("time travel reads the history, shows its end, seeks, and ends", async () => {
  const { travel, states } = travelling([[at("A", 1_000, { predicted_speed: 10 })], [at("A", 61_000, { predicted_speed: 20 })]]);
  await travel.begin(new Store({ intervalSeconds: 300 }));
  assert.deepEqual([states[0], travel.state], ["reading", "there"]);
  const speed = () => travel.store.segments.get("A")?.predicted_speed;
  assert.deepEqual([travel.time, speed()], [61_000, 20]);
  travel.seek(30_000);
  assert.deepEqual([travel.time, speed()], [30_000, 10]);
  travel.seek(-5);
  assert.equal(travel.time, 1_000);
  travel.end();
  assert.equal(travel.state, "live");
});

test("playing advances at its speed and stops at the end", async () => {
  const { travel, tick } = travelling([[at("A", 0), at("A", 10_000)]]);
  await travel.begin(new Store({ intervalSeconds: 300 }));
  travel.togglePlay(() => 30);
  assert.deepEqual([travel.playing, travel.time], [true, 0]);
  tick();
  assert.equal(travel.time, 6_000);
  tick();
  assert.deepEqual([travel.playing, travel.time], [false, 10_000]);
});

test("a failed or empty history sets the state", async () => {
  const failed = travelling([[at("A", 1)]], true);
  await failed.travel.begin(new Store({ intervalSeconds: 300 }));
  assert.equal(failed.travel.state, "failed");
  const empty = travelling([[]]);
  await empty.travel.begin(new Store({ intervalSeconds: 300 }));
  assert.equal(empty.travel.state, "empty");
});
