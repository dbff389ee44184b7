/** Accuracy by traffic: requested while it is shown, and what is said of it. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Accuracy } from "../../static/js/accuracy.js";
import { Api } from "../../static/js/api.js";
import { regimesText } from "../../static/js/view/wording.js";
import { jsonResponse } from "./fakes.js";

const SCORE = { count: 1234, rmse: 4, mape: 8, persistence: null, usual: null, intervals: { count: 9, coverage: 0.8 } };
const REPORT = { congested_below: 45, interval_level: 0.9, total: null, by_horizon: [], by_model: [] };

test("the report is requested again after a while only", async () => {
  const asked = [];
  let [now, status, changes] = [0, 200, 0];
  const fetch = async (url) => {
    asked.push(url);
    return jsonResponse({ data: REPORT }, status);
  };
  const accuracy = new Accuracy({ api: new Api({ root: "/x", fetch }), onChange: () => (changes += 1), clock: () => now });
  await Promise.all([accuracy.load(), accuracy.load()]);
  await accuracy.load();
  assert.deepEqual(asked, ["/x/api/scores"]);
  assert.deepEqual(accuracy.report, REPORT);
  [now, status] = [15_000, 500];
  await accuracy.load();
  assert.deepEqual([asked.length, accuracy.hasFailed, accuracy.report], [2, true, REPORT]);
  [now, status] = [30_000, 200];
  await accuracy.load();
  assert.deepEqual([asked.length, accuracy.hasFailed, changes], [3, false, 3]);
});

test("the note says what congested means, and what was not checked", () => {
  const score = { ...SCORE, not_judged: 1200, late: 3, by_regime: null };
  const given = { report: REPORT, score, hasFailed: false, unit: "mph" };
  const bound = "Congested: below 45.0 mph when predicted and at the target time; transition: at one of them.";
  assert.equal(
    regimesText(given),
    `${bound} 90 % should be inside the interval. 1,200 not checked: no speed measured near the target time. 3 came after the target time was measured.`,
  );
  const plain = { ...score, not_judged: 0, late: 0, intervals: null };
  assert.equal(regimesText({ ...given, score: plain }), bound);
  assert.equal(regimesText({ ...given, score: plain, hasFailed: true }), `${bound} Out of date: the server did not answer.`);
  assert.equal(regimesText({ ...given, report: null, score: null }), "Loading …");
  assert.equal(regimesText({ ...given, report: null, score: null, hasFailed: true }), "The server did not send it. Trying again.");
});
