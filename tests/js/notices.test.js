/** What is news of the alerts: once per alert and moment, the worst first, never old or replayed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Alerts } from "../../static/js/alerts.js";
import { learnEarlierSteps } from "../../static/js/alert-history.js";
import { Notices } from "../../static/js/notices.js";
import { Store } from "../../static/js/store.js";
import { FakeTime, prediction } from "./fakes.js";

const MINUTE = 60_000;
const LOST = { phase: "waiting", transport: null, attempt: 1, retryAt: null, lostAt: 1, reason: null };
const LIVE = { ...LOST, phase: "live", lostAt: null };

class Scene {
  time = new FakeTime();
  news = [];
  counts = [];
  ready = 0;

  constructor(...predictions) {
    this.store = new Store({ intervalSeconds: 300, clock: this.time.clock });
    this.alerts = new Alerts({ unit: "mph", intervalSeconds: 300 });
    this.notices = new Notices({
      alerts: this.alerts,
      store: this.store,
      timers: /** @type {any} */ (this.time),
      onCount: (count) => this.counts.push(count),
      onReady: () => (this.ready += 1),
      onNews: (news) => this.news.push(news.map(({ id, kind }) => `${id} ${kind}`)),
    });
    this.store.setConnection(/** @type {any} */ (LIVE));
    this.apply({ type: "initial", predictions });
  }

  apply(message) {
    this.alerts.apply(message);
    this.store.apply(message);
    this.notices.changed();
  }

  /** A drop to a speed, or for a second time a severe speed. */
  say(id, speed, fields = {}) {
    this.apply({ type: "prediction", data: this.drop(id, speed, fields) });
  }

  drop(id, speed, fields = {}) {
    const category = speed < 30 ? "severe_congestion" : "heavy_traffic";
    return prediction(id, { predicted_speed: speed, speed_diff: speed - 60, current_speed: 60, category, timestamp: this.time.now, ...fields });
  }

  async settle() {
    this.notices.changed();
    await this.time.advance(5_000);
  }
}

async function started(...predictions) {
  const scene = new Scene(...predictions);
  await scene.settle();
  return scene;
}

test("the alerts of a moment are one notice, the worst first", async () => {
  const scene = await started();
  scene.say("A", 40);
  await scene.time.advance(1_500);
  scene.say("B", 35);
  scene.say("C", 38);
  await scene.settle();
  assert.deepEqual(scene.news, [["B drop", "C drop", "A drop"]]);
  scene.say("D", 40);
  await scene.settle();
  assert.deepEqual(scene.news.slice(1), [["D drop"]]);
});

test("each alert is news once, and again when it becomes severe or comes back", async () => {
  const scene = await started();
  const step = async (speed, diff) => {
    await scene.time.advance(5 * MINUTE);
    scene.say("A", speed, diff === undefined ? {} : { speed_diff: diff });
    await scene.settle();
  };
  for (const speed of [40, 39, 20, 20, 20, 35]) await step(speed);
  assert.deepEqual(scene.news, [["A drop"], ["A severe"]]);
  await step(60, 0);
  await step(60, 0);
  await step(40);
  assert.deepEqual(scene.news.slice(2), [["A drop"]]);
});

test("alerts of the first view are no news, but counted", async () => {
  const time = new FakeTime();
  const scene = await started(prediction("A", { speed_diff: -20, timestamp: time.now }));
  assert.deepEqual([scene.news, scene.counts.at(-1)], [[], 1]);
  scene.alerts.acknowledge("A");
  await scene.settle();
  assert.equal(scene.counts.at(-1), 0);
});

test("alerts that the history completes after the first view are no news", async () => {
  let answer;
  const api = { newest: () => new Promise((resolve) => (answer = resolve)) };
  const scene = new Scene(prediction("A", { category: "severe_congestion", timestamp: 1_000_000 }));
  const learnt = learnEarlierSteps(scene.alerts, /** @type {any} */ (api));
  await scene.settle();
  assert.equal(scene.ready, 0);
  answer([prediction("A", { category: "severe_congestion", timestamp: 700_000 })]);
  assert.equal(await learnt, true);
  await scene.settle();
  assert.deepEqual([scene.news, scene.counts.at(-1)], [[], 1]);
  scene.say("B", 40);
  await scene.settle();
  assert.deepEqual(scene.news, [["B drop"]]);
});

test("alerts of another chosen horizon are no news", async () => {
  const time = new FakeTime();
  const both = [15, 30].map((horizon) => prediction("A", { horizon_minutes: horizon, timestamp: time.now, speed_diff: horizon === 30 ? -20 : 0 }));
  const scene = await started(...both);
  scene.alerts.choose(30, both);
  await scene.settle();
  assert.deepEqual([scene.news, scene.counts.at(-1)], [[], 1]);
  scene.say("B", 40, { horizon_minutes: 30 });
  await scene.settle();
  assert.deepEqual([scene.news, scene.ready], [[["B drop"]], 1]);
});

test("what is acknowledged before the notice is no news", async () => {
  const scene = await started();
  scene.say("A", 40);
  scene.say("B", 41);
  await scene.time.advance(1_500);
  scene.alerts.acknowledge("A");
  await scene.settle();
  assert.deepEqual(scene.news, [["B drop"]]);
});

test("what another tab has reported is no news", async () => {
  const scene = await started();
  scene.say("A", 40);
  scene.say("B", 41);
  await scene.time.advance(1_500);
  scene.notices.reported([["A", "drop"]]);
  await scene.settle();
  assert.deepEqual(scene.news, [["B drop"]]);
  scene.say("A", 20, { timestamp: scene.time.now + 1 });
  scene.say("A", 20, { timestamp: scene.time.now + 2 });
  await scene.settle();
  assert.deepEqual(scene.news.slice(1), [["A severe"]]);
});

test("replayed data is no news", async () => {
  const scene = await started();
  scene.say("A", 40, { source: "replay" });
  await scene.settle();
  assert.deepEqual([scene.news, scene.counts.at(-1)], [[], 1]);
});

test("old data is no news until new data confirms it", async () => {
  const scene = await started();
  scene.say("A", 40, { timestamp: scene.time.now - 20 * MINUTE });
  await scene.settle();
  assert.deepEqual(scene.news, []);
  scene.say("A", 40);
  await scene.settle();
  assert.deepEqual(scene.news, [["A drop"]]);
});

test("after an outage alerts are news that came in it, and no others", async () => {
  const scene = await started();
  scene.say("A", 40);
  await scene.settle();
  scene.store.setConnection(/** @type {any} */ (LOST));
  await scene.settle();
  const view = [scene.drop("A", 41), scene.drop("B", 40)];
  scene.apply({ type: "gap", reason: "too_old", missed: null });
  scene.apply({ type: "initial", predictions: view });
  await scene.settle();
  assert.deepEqual(scene.news, [["A drop"]]);
  scene.store.setConnection(/** @type {any} */ (LIVE));
  await scene.settle();
  assert.deepEqual(scene.news, [["A drop"], ["B drop"]]);
});

test("many changes are looked at once a second", async () => {
  const scene = await started();
  const before = scene.counts.length;
  for (let number = 0; number < 100; number += 1) scene.say("A", 50 + number / 100);
  await scene.time.advance(1_000);
  assert.equal(scene.counts.length, before + 1);
  assert.equal(scene.time.pending, 0);
});

function status(state) {
  return { type: "status", state, since: "1970-01-01T00:00:00Z", reason: "" };
}

test("alerts that a server reads while it catches up are no news", async () => {
  const scene = new Scene();
  scene.apply(status("catching_up"));
  await scene.settle();
  scene.say("A", 40);
  await scene.settle();
  assert.deepEqual([scene.news, scene.counts.at(-1), scene.ready], [[], 1, 0]);
  scene.apply(status("live"));
  await scene.settle();
  scene.say("B", 40);
  await scene.settle();
  assert.deepEqual([scene.news, scene.ready], [[["B drop"]], 1]);
});

test("after a restart of the server alerts are news that came in it, and no others", async () => {
  const scene = await started();
  scene.say("A", 40);
  await scene.settle();
  scene.apply(status("starting"));
  scene.apply({ type: "initial", predictions: [] });
  await scene.settle();
  scene.apply(status("catching_up"));
  scene.say("A", 41);
  scene.say("B", 40);
  await scene.settle();
  assert.deepEqual(scene.news, [["A drop"]]);
  scene.apply(status("live"));
  await scene.settle();
  assert.deepEqual(scene.news, [["A drop"], ["B drop"]]);
});

test("a pause keeps no notices back, and makes no old data new", async () => {
  const scene = await started();
  scene.store.pause();
  scene.apply({ type: "loading", count: 1 });
  scene.apply({ type: "initial", predictions: [scene.drop("A", 60)] });
  await scene.time.advance(60 * MINUTE);
  scene.say("B", 40, { timestamp: scene.time.now - 20 * MINUTE });
  scene.say("C", 40);
  await scene.settle();
  assert.deepEqual(scene.news, [["C drop"]]);
});

test("earlier steps are asked for in parts, the slowest first", async () => {
  const alerts = new Alerts({ unit: "mph", intervalSeconds: 300 });
  const severe = (index) => prediction(`S${index}`, { category: "severe_congestion", predicted_speed: 29 - index / 20, timestamp: 600_000 });
  alerts.apply({ type: "initial", predictions: Array.from({ length: 530 }, (_, index) => severe(index)) });
  const asked = [];
  const api = {
    async newest(count, filter) {
      asked.push([count, filter.split("&segment=").slice(1)]);
      return asked[asked.length - 1][1].map((id) => prediction(id, { category: "severe_congestion", timestamp: 300_000 }));
    },
  };
  assert.equal(await learnEarlierSteps(alerts, /** @type {any} */ (api)), true);
  assert.deepEqual(asked.map(([count, ids]) => [count, ids.length]), Array(25).fill([100, 20]));
  assert.equal(asked[0][1][0], "S529");
  assert.deepEqual([alerts.list().length, alerts.learning], [500, 0]);
});
