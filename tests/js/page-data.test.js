import assert from "node:assert/strict";
import { test } from "node:test";
import { Alerts } from "../../static/js/alerts.js";
import { PageData } from "../../static/js/page-data.js";
import { Store } from "../../static/js/store.js";
import { TimeTravel } from "../../static/js/time-travel.js";
import { prediction, settle } from "./fakes.js";

const HOUR = 3_600_000;
const SEVERE = { category: "severe_congestion", predicted_speed: 10, timestamp: 5 * HOUR };
const EARLIER = prediction("A", { ...SEVERE, timestamp: 5 * HOUR - 300_000 });

/** Data whose server has one earlier step, and notes what it is asked for. */
function opened({ showsAlerts = true } = {}) {
  /** @type {string[]} */
  const asked = [];
  /** @type {any} */
  const api = {
    async newest(_count, filter) {
      asked.push(filter);
      return [EARLIER];
    },
    async *historyPages(_signal, filter) {
      asked.push(filter);
      yield { predictions: [EARLIER] };
    },
    silenceSeconds: async () => 1_200,
  };
  const store = new Store({ intervalSeconds: 300 });
  const alerts = new Alerts({ unit: "mph", intervalSeconds: 300 });
  const past = new TimeTravel({ api, intervalSeconds: 300, onChange: () => {} });
  let renders = 0;
  const data = new PageData({ store, alerts, past, api, showsAlerts, onChange: () => (renders += 1) });
  return { data, store, alerts, past, asked, renders: () => renders };
}

const view = (fields = {}) => /** @type {any} */ ({ type: "initial", predictions: [prediction("A", { ...SEVERE, ...fields })] });

test("after a view the earlier steps of alerts are read, and rendered", async () => {
  const { data, store, alerts, asked, renders } = opened();
  data.take(view());
  await settle();
  assert.deepEqual(asked, ["&segment=A"]);
  assert.deepEqual([store.segments.size, alerts.list().length, renders()], [1, 1, 1]);
  data.take(/** @type {any} */ ({ type: "prediction", data: prediction("A", SEVERE) }));
  await settle();
  assert.deepEqual([asked.length, renders()], [1, 1], "a single prediction asks for nothing");
});

test("a page without alerts asks for none of their steps", async () => {
  const { data, asked, renders } = opened({ showsAlerts: false });
  data.take(view());
  await settle();
  assert.deepEqual([asked, renders()], [[], 0]);
});

test("after a view with a replay its age is asked for", async () => {
  const { data, store, renders } = opened({ showsAlerts: false });
  data.take(view({ source: "replay" }));
  await settle();
  assert.ok(/** @type {number} */ (store.ages.staleReplaySeconds) >= 1_200);
  assert.equal(renders(), 1);
});

test("a time is chosen for the live view, the past and the alerts at once", async () => {
  const { data, store, alerts, past, asked } = opened();
  data.take(view({ horizon_minutes: 15 }));
  await settle();
  data.choose(15);
  assert.deepEqual([store.time, past.store.time, alerts.horizon], [15, 15, 15]);
  await settle();
  const count = asked.length;
  data.choose(15);
  await settle();
  assert.equal(asked.length, count, "it is chosen already");
});

test("a pause begins and ends, and goes on in the past", async () => {
  const { data, store, past } = opened();
  data.togglePause();
  assert.equal(store.paused, true);
  await data.travel(null);
  data.togglePause();
  assert.deepEqual([past.isThere, store.paused], [true, true]);
  data.goLive();
  assert.deepEqual([past.state, store.paused], ["live", false]);
});

test("hours of the past end at the newest replayed event, or now", async () => {
  const { data, asked } = opened({ showsAlerts: false });
  data.take(view({ source: "replay" }));
  await data.travel(2);
  await data.travel(Infinity);
  await data.travel(null);
  assert.deepEqual(asked, [`&horizon=all&since=${3 * HOUR}`, "&horizon=all&since=0", "&horizon=all"]);
});
