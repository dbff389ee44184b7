/** Usual speeds: requested for what is shown, once, and compared at the time that is shown. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Api } from "../../static/js/api.js";
import { readQuery } from "../../static/js/query.js";
import { Rows } from "../../static/js/rows.js";
import { Store } from "../../static/js/store.js";
import { QUARTER_MS, UsualSpeeds } from "../../static/js/usual.js";
import { accuracyText, chartText } from "../../static/js/view/wording.js";
import { jsonResponse, prediction } from "./fakes.js";

const ZONE = "America/Los_Angeles";
const NOW = Date.UTC(2026, 2, 4, 16, 10);
const BAND = { low: 47, median: 54, high: 60, count: 24 };

/** @param {{ answer?: any, timezone?: string | null, status?: number }} options */
function usualSpeeds({ answer = { segments: { A: BAND } }, timezone = ZONE, status = 200 } = {}) {
  const asked = [];
  let now = 0;
  const fetch = async (url) => {
    asked.push(url);
    return jsonResponse({ data: answer }, status);
  };
  const changes = [];
  const usual = new UsualSpeeds({ api: new Api({ root: "", fetch }), timezone, onChange: () => changes.push(1), clock: () => now });
  return { usual, asked, changes, wait: (ms) => (now += ms) };
}

test("a quarter-hour is requested once, when it is needed", async () => {
  const { usual, asked, changes } = usualSpeeds();
  await usual.load();
  assert.equal(usual.at("A", NOW), null);
  assert.equal(usual.at("B", NOW + 60_000), null);
  assert.deepEqual(asked, []);
  await usual.load();
  await usual.load();
  assert.deepEqual(asked, [`/api/usual?at=${Math.floor(NOW / QUARTER_MS) * QUARTER_MS}`]);
  assert.deepEqual(usual.at("A", NOW), BAND);
  assert.equal(usual.at("B", NOW), null);
  assert.equal(changes.length, 1);
});

/** Request quarter-hours one after the other; return how many of them are kept. */
async function keptOf({ usual, asked }, count) {
  for (let quarter = 0; quarter < count; quarter += 1) {
    usual.at("0", NOW + quarter * QUARTER_MS);
    await usual.load();
  }
  assert.equal(asked.length, count);
  assert.deepEqual(usual.at("0", NOW + (count - 1) * QUARTER_MS), BAND);
  return Array.from({ length: count }, (_, quarter) => usual.at("0", NOW + quarter * QUARTER_MS)).filter(Boolean).length;
}

test("the quarter-hours of a day are kept, fewer of many segments", async () => {
  const bands = (count) => ({ segments: Object.fromEntries(Array.from({ length: count }, (_, id) => [id, BAND])) });
  assert.equal(await keptOf(usualSpeeds({ answer: bands(1) }), 120), 100);
  assert.equal(await keptOf(usualSpeeds({ answer: bands(20_000) }), 20), 10);
  assert.equal(await keptOf(usualSpeeds({ answer: bands(50_000) }), 12), 8);
});

test("after a failure it is asked again, later", async () => {
  const { usual, asked, wait } = usualSpeeds({ status: 503 });
  usual.at("A", NOW);
  await usual.load();
  usual.at("A", NOW);
  await usual.load();
  assert.equal(asked.length, 1);
  wait(10_000);
  await usual.load();
  assert.equal(asked.length, 2);
});

test("nothing is requested where the server learns none", async () => {
  for (const timezone of [null, "Mars/Olympus"]) {
    const { usual, asked } = usualSpeeds({ timezone });
    assert.equal(usual.at("A", NOW), null);
    assert.equal(usual.onDay("A", NOW), null);
    await usual.load();
    assert.deepEqual([usual.isOn, asked.length], [false, 0]);
  }
});

test("a time that the server doesn't take is never requested, and holds up no other", async () => {
  const { usual, asked } = usualSpeeds();
  for (const at of [Date.UTC(1999, 11, 31), Date.UTC(2200, 0, 1), 9e15, NaN]) {
    assert.equal(usual.at("A", at), null);
    assert.equal(usual.onDay("A", at), null);
  }
  usual.at("A", NOW);
  await usual.load();
  assert.equal(asked.length, 1);
  assert.deepEqual(usual.at("A", NOW), BAND);
});

test("a day is read by local quarter-hours, also when the clocks change", async () => {
  const quarters = Array.from({ length: 96 }, (_, time) => ({ ...BAND, median: time }));
  const { usual, asked } = usualSpeeds({ answer: { quarters } });
  const morning = Date.UTC(2026, 2, 8, 18, 20); // 11:20 PDT, on the day on which the clocks change
  for (const at of [morning, Date.UTC(2026, 2, 8, 8, 0), morning]) usual.onDay("A B", at);
  await usual.load();
  assert.deepEqual(asked, [`/api/usual?segment_id=A%20B&at=${morning}`]);
  assert.equal(usual.onDay("A B", morning)?.median, 45);
  assert.equal(usual.onDay("A B", Date.UTC(2026, 2, 8, 8, 0))?.median, 0);
});

test("a segment that the server doesn't know has no usual day", async () => {
  const { usual, changes } = usualSpeeds({ status: 404 });
  usual.onDay("A", NOW);
  await usual.load();
  assert.deepEqual([usual.onDay("A", NOW), changes.length], [null, 1]);
});

async function storeOf(predictions, time = null) {
  const { usual } = usualSpeeds({ answer: { segments: { A: BAND, B: { low: 20, median: 30, high: 40 } } } });
  const store = new Store({ intervalSeconds: 300, clock: () => NOW, usual });
  store.apply({ type: "initial", predictions });
  store.choose(time);
  for (const each of predictions) store.versusUsual(each);
  await usual.load();
  return store;
}

const at = (id, predicted, current, fields = {}) =>
  prediction(id, { predicted_speed: predicted, current_speed: current, timestamp: NOW, horizon_minutes: 15, ...fields });

test("the speed at the chosen time is compared with the usual one at that time", async () => {
  const [predicted] = [at("A", 33, 60)];
  const next = (await storeOf([predicted])).versusUsual(predicted);
  assert.deepEqual(next, { band: BAND, atMs: NOW + QUARTER_MS, difference: -21 });
  const now = (await storeOf([predicted], "now")).versusUsual(predicted);
  assert.deepEqual([now?.atMs, now?.difference], [NOW, 6]);
});

test("a stale segment, an unknown one and a speed of null have no comparison", async () => {
  const [stale, unknown, unmeasured] = [at("A", 33, 60, { timestamp: NOW - 700_000 }), at("C", 33, 60), at("A", 33, null)];
  assert.equal((await storeOf([stale])).versusUsual(stale), null);
  assert.equal((await storeOf([unknown])).versusUsual(unknown), null);
  assert.equal((await storeOf([unmeasured], "now")).versusUsual(unmeasured), null);
  assert.equal(new Store({ intervalSeconds: 300, clock: () => NOW }).versusUsual(at("A", 33, 60)), null);
});

test("rows are sorted by the difference from usual, unknown ones last", async () => {
  const store = await storeOf([at("A", 33, 60), at("B", 31, 60), at("C", 5, 60)]);
  const rows = new Rows(store);
  assert.deepEqual(rows.list(readQuery("?sort=usual")).map(({ segment_id }) => segment_id), ["A", "B", "C"]);
  assert.deepEqual(rows.list(readQuery("?sort=-usual")).map(({ segment_id }) => segment_id), ["B", "A", "C"]);
  assert.ok(!rows.emptyColumns().includes("usual"));
});

test("what is usual of the errors of a segment is said of an hour or more", () => {
  const given = { horizon: 15, noChange: { rmse: 3 }, usual: { rmse: 7 }, unit: "mph" };
  const checked = (count) => accuracyText({ ...given, score: { count, rmse: 6.1, mae: 4.8 } });
  const rest = "forecasts of 15 min checked: RMSE 6.1, MAE 4.8 mph; no-change forecast: RMSE 3.0; usual speed: RMSE 7.0.";
  assert.equal(checked(12), `Usually off by 5 mph here. 12 ${rest}`);
  assert.equal(checked(11), `11 ${rest}`);
  const coverage = { count: 11, held: 8 };
  assert.equal(accuracyText({ ...given, coverage, score: { count: 11, rmse: 6.1, mae: 4.8 } }), `11 ${rest} 8 of 11 within their interval.`);
});

test("the chart has its last values, interval and usual speed as text", () => {
  const lines = { low: [47, 47], median: [54, 54], high: [60, 60], lower: [null, 29], upper: [null, 37], measured: [33, null], predicted: [null, 31], error: [null, null] };
  const text = chartText({ lines, accuracy: "Checked.", unit: "mph" });
  assert.equal(text, "Chart: measured 33.0, predicted 31.0 mph, from 29.0 to 37.0. Usual 54.0, from 47.0 to 60.0 mph. Checked.");
  const none = { ...lines, low: [null, null], median: [null, null], high: [null, null], lower: [null, null], upper: [null, null] };
  assert.equal(chartText({ lines: none, accuracy: "Checked.", unit: "mph" }), "Chart: measured 33.0, predicted 31.0 mph. Checked.");
});
