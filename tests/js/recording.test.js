import assert from "node:assert/strict";
import { test } from "node:test";
import { Recording } from "../../static/js/recording.js";
import { SpeedScale } from "../../static/js/speeds.js";
import { Store } from "../../static/js/store.js";
import { TimeTravel } from "../../static/js/time-travel.js";
import { historyText, severityText } from "../../static/js/view/wording.js";
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

test("a recording above its limit keeps all of its range in longer steps", () => {
  const recording = new Recording(1_000);
  const minute = 60_000;
  for (let page = 0; page < 50; page += 1) {
    recording.add(Array.from({ length: 100 }, (_, index) => at("A", minute * (100 * page + index))));
    recording.add([at("B", minute * 100 * page)]);
    assert.ok(recording.size <= 1_000);
  }
  assert.equal(recording.range?.[1], 4_999 * minute);
  assert.ok((recording.range?.[0] ?? Infinity) < recording.stepMs);
  assert.ok(recording.stepMs >= 5 * minute && recording.stepMs <= 16 * minute);
  const view = recording.viewAt(2_000 * minute);
  assert.deepEqual(view.map(({ segment_id: id }) => id), ["A", "B"]);
  assert.ok(view.every(({ timestamp }) => timestamp > 2_000 * minute - 100 * minute - recording.stepMs));
});

test("a recording of too many segments leaves out further ones", () => {
  const recording = new Recording(100);
  recording.add(Array.from({ length: 500 }, (_, index) => at(`S${index}`, index)));
  assert.equal(recording.viewAt(999).length, 50);
  assert.ok(recording.size <= 100);
});

test("a view is complete once each segment that reports within an interval has reported", () => {
  const recording = new Recording();
  recording.add([at("A", 0), at("B", 200_000), at("C", 900_000)]);
  assert.equal(recording.completeFrom(300_000), 200_000);
});

test("the severity of each part counts the last speed of each segment in it", () => {
  const recording = new Recording();
  const slow = { horizon_minutes: 15, current_speed: 10, predicted_speed: 65 };
  recording.add([at("A", 0, slow), at("A", 90, slow), at("A", 95, { ...slow, current_speed: 40 })]);
  recording.add([at("A", 90, { ...slow, horizon_minutes: 30, current_speed: 65 }), at("B", 0, { predicted_speed: 20, current_speed: null })]);
  assert.deepEqual(recording.severity([0, 100], 2, new SpeedScale()), [
    { severe: 2, heavy: 0, known: 2 },
    { severe: 0, heavy: 1, known: 1 },
  ]);
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

test("the trail of a past moment begins after a silence", async () => {
  const steps = [10, 20, 30].map((speed, index) => at("A", [0, 1_500_000, 1_800_000][index], { predicted_speed: speed }));
  const { travel } = travelling([steps]);
  await travel.begin(new Store({ intervalSeconds: 300 }));
  assert.deepEqual(travel.store.trail("A"), [20, 30]);
});

test("an empty recording has no range", () => {
  assert.equal(new Recording().range, null);
});

function travelling(pages, fail = false, more = {}) {
  const time = new FakeTime();
  const intervals = [];
  /** @type {any} */
  const timers = { setInterval: (action) => intervals.push(action), clearInterval: () => intervals.splice(0) };
  /** @type {any} */
  const api = {
    asked: [],
    async *historyPages(signal, filter) {
      this.asked.push(filter);
      for (const predictions of pages) yield { predictions, more: false, ...more };
      if (fail) throw new Error("cut");
    },
  };
  const states = [];
  const travel = new TimeTravel({ api, intervalSeconds: 300, onChange: () => states.push(travel.state), timers });
  return { travel, states, time, api, tick: () => intervals.forEach((action) => action()) };
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

test("a history since a time comes from Kafka, says what is missing, and keeps the shown time", async () => {
  const pages = [[at("A", 0, { current_speed: 5 }), at("A", 400_000), at("A", 800_000)]];
  const { travel, api } = travelling(pages, false, { gap: { reason: "expired" } });
  const live = new Store({ intervalSeconds: 300 });
  await travel.begin(live);
  travel.seek(40_000);
  await travel.begin(live, -5);
  assert.deepEqual(api.asked, ["&horizon=all", "&horizon=all&since=0"]);
  assert.deepEqual([travel.since, travel.time, travel.loaded], [-5, 40_000, 3]);
  assert.equal(historyText(travel), "Earlier history is missing: Kafka no longer has it.");
  assert.equal(travel.severity.reduce((sum, { severe }) => sum + severe, 0), 1);
  assert.match(severityText(travel.severity, travel.range), /^Most severe at .*: 1 of 1 segment\.$/);
  travel.end();
  assert.equal(historyText(travel), "");
});

test("a link to a time before memory reads the history from Kafka", async () => {
  const { travel, api } = travelling([[at("A", 7_200_000), at("A", 7_260_000)]]);
  await travel.follow(new Store({ intervalSeconds: 300 }), 4_000_000);
  assert.deepEqual(api.asked, ["&horizon=all", "&horizon=all&since=400000"]);
  assert.equal(travel.missed, 4_000_000);
  await travel.follow(new Store({ intervalSeconds: 300 }), 7_230_000);
  assert.deepEqual([api.asked.length, travel.time, travel.missed], [3, 7_230_000, null]);
});

test("a link is followed to Kafka while the server has nothing in memory yet", async () => {
  const { travel, api } = travelling([[]]);
  const reading = travel.follow(new Store({ intervalSeconds: 300 }), 4_000_000);
  await reading;
  assert.deepEqual(api.asked, ["&horizon=all", "&horizon=all&since=400000"]);
});

test("a longer history that is chosen while one is read takes its place, at the shown time", async () => {
  const { travel, api } = travelling([[at("A", 0), at("A", 400_000)]]);
  const live = new Store({ intervalSeconds: 300 });
  await travel.begin(live);
  travel.seek(40_000);
  await Promise.all([travel.begin(live, 5), travel.begin(live, 6)]);
  assert.deepEqual(api.asked.at(-1), "&horizon=all&since=6");
  assert.deepEqual([travel.state, travel.since, travel.time], ["there", 6, 40_000]);
});

test("going back to live ends a history that is being read", async () => {
  const { travel } = travelling([[at("A", 1)]]);
  const reading = travel.begin(new Store({ intervalSeconds: 300 }));
  assert.equal(travel.isReading, true);
  travel.end();
  await reading;
  assert.equal(travel.state, "live");
});

test("a thinned history is fresh for its own step", async () => {
  const day = Array.from({ length: 210_000 }, (_, index) => at("A", 240_000 * index));
  const { travel } = travelling([day]);
  await travel.begin(new Store({ intervalSeconds: 300 }));
  assert.equal(travel.store.ages.intervalSeconds, 480);
  assert.match(historyText(travel), /^One view per 8 min/);
  travel.end();
  assert.equal(travel.store.ages.intervalSeconds, 300);
});
