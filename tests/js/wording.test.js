import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ServerStatus } from "../../static/js/server-status.js";
import * as wording from "../../static/js/view/wording.js";

const CONNECTION = { phase: "live", transport: "SSE", attempt: 0, retryAt: null, lostAt: null, reason: null };
const NOW = new Date(2026, 2, 7, 17, 31, 40).getTime();
const LOST = NOW - 20_000;

function statusOf(connection, consumer = null) {
  /** @type {any} */
  const ages = { serverNow: NOW, toLocal: (time) => time };
  return Object.assign(new ServerStatus({ ages, clock: () => NOW }), { connection: { ...CONNECTION, ...connection }, consumer });
}

/** @returns {any} */
function pill(connection, /** @type {any} */ { consumer = null, updates = {}, ...rest } = {}) {
  const given = { at: NOW - 1_200, staleSeconds: null, any: true, ...updates };
  return wording.pill({ status: statusOf(connection, consumer), updates: given, now: NOW, ...rest });
}

for (const [name, shown, text, tone] of [
  ["live", pill({}), "Live · SSE · 1.2 s ago", "ok"],
  ["live without data", pill({}, { updates: { at: null, any: false } }), "Live · SSE · no data yet", "ok"],
  ["live with a replayed view", pill({}, { updates: { at: null } }), "Live · SSE · no updates yet", "ok"],
  ["live with old data", pill({}, { updates: { staleSeconds: 14_500 } }), "Live · SSE · newest data 4 h old", "warn"],
  [
    "Kafka not reached yet",
    pill({}, { consumer: { state: "starting" }, updates: { at: null, any: false } }),
    "Waiting for Kafka · no data yet",
    "warn",
  ],
  ["polling", pill({ phase: "polling", everySeconds: 5 }), "Polling every 5 s", "busy"],
  ["first attempt", pill({ phase: "connecting", attempt: 1 }), "Connecting", "busy"],
  [
    "waiting",
    pill({ phase: "waiting", attempt: 2, retryAt: NOW + 2_400, lostAt: LOST }),
    "Retrying in 3 s (attempt 2)",
    "warn",
  ],
  ["reconnecting", pill({ phase: "connecting", attempt: 2, lostAt: LOST }), "Reconnecting (attempt 2)", "warn"],
  [
    "long outage",
    pill({ phase: "waiting", attempt: 9, retryAt: NOW + 2_400, lostAt: NOW - 61_000 }),
    "Offline since 17:30",
    "bad",
  ],
  [
    "browser offline",
    pill({ phase: "waiting", attempt: 1, retryAt: NOW + 2_400, lostAt: LOST }, { browserOnline: false }),
    "Offline since 17:31",
    "bad",
  ],
  ["refused", pill({ phase: "ended", lostAt: LOST, reason: "refused" }), "Refused", "bad"],
  ["token expired", pill({ phase: "waiting", lostAt: LOST, reason: "signed_out" }), "Signed out", "bad"],
  ["Kafka lost", pill({}, { consumer: { state: "circuit_open" } }), "Kafka unreachable · newest data 1 s old", "warn"],
  ["history", pill({}, { shown: { time: LOST } }), "History · 17:31", "busy"],
  ["paused", pill({}, { shown: { paused: true, waiting: 1_234 } }), "Paused (1,234 waiting)", "busy"],
]) {
  test(`pill: ${name}`, () => assert.deepEqual([shown.text, shown.tone], [text, tone]));
}

test("the spoken text does not change every second", () => {
  const early = pill({ phase: "waiting", attempt: 1, retryAt: NOW + 900, lostAt: LOST });
  const late = pill({ phase: "connecting", attempt: 4, lostAt: LOST });
  assert.equal(early.spoken, late.spoken);
});

test("a countdown shows whole seconds and never goes below 0", () => {
  assert.deepEqual([wording.secondsTo(3_001, 1_000), wording.secondsTo(0, 1_000)], [3, 0]);
});

const banner = (connection, { consumer = null, hasData = true } = {}) =>
  wording.banner({ status: statusOf(connection, consumer), now: NOW, hasData });

test("there is no banner while the consumer is live", () => {
  assert.equal(banner({}), null);
  assert.equal(banner({}, { consumer: { state: "live", since: LOST, reason: "" } }), null);
});

test("the banner of a lost server has its time and the next attempt", () => {
  const { kind, title, text } = banner({ phase: "waiting", retryAt: NOW + 2_400, lostAt: LOST });
  assert.deepEqual([kind, title], ["bad", "No connection to the server since 17:31:20"]);
  assert.equal(text, "Showing the last known values. Next attempt in 3 s.");
});

test("the banner of an expired token says how to sign in", () => {
  const { title, text } = banner({ phase: "waiting", retryAt: NOW + 2_400, lostAt: LOST, reason: "signed_out" });
  assert.equal(title, "Signed out since 17:31:20");
  assert.equal(text, "The token has expired, or was revoked. Reload the page to sign in. Showing the last known values.");
});

test("the banner of a lost Kafka shows the reason as text", () => {
  const consumer = { state: "reconnecting", since: LOST, reason: "no answer\u0000 for 6 s" };
  const { kind, title, text } = banner({}, { consumer });
  assert.deepEqual([kind, title], ["warn", "Kafka unreachable since 17:31:20"]);
  assert.equal(text, "Reason: no answer\ufffd for 6 s. Showing the last known values.");
});

test("the banner of a server that is behind shows the reason", () => {
  const consumer = { state: "catching_up", since: LOST, reason: "more than 30 s behind the end of the topic (MAX_LAG)" };
  const text = "The values shown are behind the topic. Reason: more than 30 s behind the end of the topic (MAX_LAG).";
  assert.deepEqual(banner({}, { consumer }), { kind: "info", title: "Catching up", text });
  assert.doesNotMatch(banner({}, { consumer, hasData: false }).text, /behind/);
});

test("only a start that takes long has a banner", () => {
  const consumer = { state: "starting", since: NOW - 4_000, reason: "topic t does not exist" };
  assert.equal(banner({}, { consumer }), null);
  const { kind, title, text } = banner({}, { consumer: { ...consumer, since: LOST } });
  assert.deepEqual([kind, title], ["warn", "Waiting for Kafka since 17:31:20"]);
  assert.equal(text, "Reason: topic t does not exist.");
});

test("a gap shows how many predictions are missing, and why", () => {
  const text = (reason, missed) => wording.gapText({ reason, missed });
  assert.equal(text("too_old", 84), "84 predictions missed: no longer in the server's memory. The view was loaded again.");
  assert.match(text("too_slow", 1), /^1 prediction missed: /);
  assert.match(text("bad_cursor", null), /^Predictions may be missing: /);
  assert.match(text("constructor", null), /: constructor\./, "a reason that the page doesn't know");
});

test("each documented reason of a gap has a text", () => {
  const page = readFileSync(new URL("../../docs/clients.md", import.meta.url), "utf8").split("## When there is a gap")[1];
  const reasons = [...page.matchAll(/^\| `(\w+)` \|/gm)].map(([, reason]) => reason);
  assert.ok(reasons.length >= 10);
  assert.deepEqual(reasons.filter((reason) => wording.gapText({ reason, missed: 1 }).includes(reason)), []);
});

const ALERT = { id: "A", road: null, kind: "drop", change: -16.6, target: NOW + 900_000, now: 61, value: 44, since: NOW, timestamp: NOW };

function alertText(fields, given = {}) {
  return wording.alertText({ ...ALERT, ...fields }, { unit: "mph", freshness: "fresh", ageSeconds: 5, isCurrent: true, now: NOW, ...given });
}

test("a drop alert shows its size and target time", () => {
  assert.equal(alertText({}), "17 mph drop expected: 61 mph now, 44 mph predicted for 17:46");
  assert.equal(alertText({ target: null, now: null }), "17 mph drop expected: 44 mph predicted");
});

test("a severe alert shows its start, and a stale one its age", () => {
  assert.equal(alertText({ kind: "severe" }), "Severe since 17:31: 61 mph now, 44 mph predicted for 17:46");
  const stale = alertText({ kind: "severe" }, { freshness: "stale", ageSeconds: 780, isCurrent: false });
  assert.equal(stale, "Severe since 17:31: 61 mph last, 44 mph predicted for 17:46; stale, no update for 13 min");
});

test("accuracy is compared with the no-change forecast", () => {
  const score = { count: 3, rmse: 1, mae: 1 };
  const text = wording.accuracyText({ horizon: 15, score, noChange: { rmse: 3 }, unit: "mph" });
  assert.equal(text, "3 forecasts of 15 min checked: RMSE 1.0, MAE 1.0 mph; no-change forecast: RMSE 3.0.");
  assert.match(wording.accuracyText({ horizon: null, score, noChange: null, unit: "mph" }), /state no horizon/);
  assert.match(wording.accuracyText({ horizon: 15, score: null, noChange: null, unit: "mph" }), /No forecasts checked yet/);
});

test("a link outside of the history says what is shown instead", () => {
  /** @type {[number, number]} */
  const range = [NOW, NOW + 60_000];
  assert.equal(wording.missedText(NOW - 86_400_000, range), "No history for 6 Mar 2026, 17:31; showing the oldest available");
  assert.match(wording.missedText(NOW + 90_000, range), /newest available$/);
});
