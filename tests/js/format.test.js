import assert from "node:assert/strict";
import { test } from "node:test";
import * as format from "../../static/js/view/format.js";

for (const [call, expected] of [
  [() => format.speed(0), "0.0"],
  [() => format.speed(null), "–"],
  [() => format.speed(54.27), "54.3"],
  [() => format.change(-12.34), "−12.3"],
  [() => format.change(4), "+4.0"],
  [() => format.change(-0.01), "0.0"],
  [() => format.change(undefined), "–"],
  [() => format.age(59.9), "59 s"],
  [() => format.age(61), "1 min"],
  [() => format.age(7_300), "2 h"],
  [() => format.age(200_000), "2 d"],
  [() => format.ago(1_234), "1.2 s ago"],
  [() => format.ago(-50), "0.0 s ago"],
  [() => format.ago(12_900), "12 s ago"],
  [() => format.ago(240_000), "4 min ago"],
  [() => format.label("a\u0000b\u202ec\u2028d"), "a\ufffdb\ufffdc\ufffdd"],
  [() => format.label("x".repeat(1_000)).length, 200],
  [() => format.share(0, "mph"), 0],
  [() => format.share(500, "mph"), 1],
  [() => format.share(null, "mph"), 0],
  [() => format.ranges([60, 45, 30], "mph").moderate_traffic, "45–60"],
  [() => format.ranges([60, 45, 30], "kmh").free_flow, "≥ 97"],
  [() => format.secondsTo(3_001, 1_000), 3],
  [() => format.secondsTo(0, 1_000), 0],
]) {
  test(`${call.toString().slice(13)} is ${expected}`, () => assert.equal(call(), expected));
}

const CONNECTION = { phase: "live", transport: "SSE", attempt: 0, retryAt: null, lostAt: null, reason: null };
const NOW = new Date(2026, 2, 7, 17, 31, 40).getTime();
const LOST = NOW - 20_000;

function pill(connection, rest = {}) {
  const news = { at: NOW - 1_200, staleSeconds: null, any: true, ...rest.news };
  const given = { connection: { ...CONNECTION, ...connection }, consumer: null, now: NOW, ...rest, news };
  return format.pill(given);
}

for (const [name, shown, text, tone] of [
  ["live", pill({}), "Live · SSE · 1.2 s ago", "ok"],
  ["live without data", pill({}, { news: { at: null, any: false } }), "Live · SSE · no data yet", "ok"],
  ["live, with what was there before", pill({}, { news: { at: null } }), "Live · SSE · no news yet", "ok"],
  ["live with old data", pill({}, { news: { staleSeconds: 14_500 } }), "Live · SSE · newest data 4 h old", "warn"],
  [
    "Kafka not there yet",
    pill({}, { consumer: { state: "starting" }, news: { at: null, any: false } }),
    "Kafka not read yet · no data yet",
    "warn",
  ],
  ["polling", pill({ phase: "polling", everySeconds: 5 }), "Polling every 5 s", "busy"],
  ["the first try", pill({ phase: "connecting", attempt: 1 }), "Connecting", "busy"],
  [
    "waiting",
    pill({ phase: "waiting", attempt: 2, retryAt: NOW + 2_400, lostAt: LOST }),
    "Reconnecting in 3 s (try 2)",
    "warn",
  ],
  ["trying", pill({ phase: "connecting", attempt: 2, lostAt: LOST }), "Reconnecting (try 2)", "warn"],
  [
    "a long outage",
    pill({ phase: "waiting", attempt: 9, retryAt: NOW + 2_400, lostAt: NOW - 61_000 }),
    "Offline since 17:30",
    "bad",
  ],
  [
    "a browser without a network",
    pill({ phase: "waiting", attempt: 1, retryAt: NOW + 2_400, lostAt: LOST }, { browserOnline: false }),
    "Offline since 17:31",
    "bad",
  ],
  ["Kafka away", pill({}, { consumer: { state: "circuit_open" } }), "Kafka away · 1.2 s ago", "warn"],
]) {
  test(`the pill: ${name}`, () => assert.deepEqual([shown.text, shown.tone], [text, tone]));
}

test("what is read out doesn't change with every second", () => {
  const early = pill({ phase: "waiting", attempt: 1, retryAt: NOW + 900, lostAt: LOST });
  const late = pill({ phase: "connecting", attempt: 4, lostAt: LOST });
  assert.equal(early.spoken, late.spoken);
});

const banner = (connection, rest = {}) =>
  format.banner({ connection: { ...CONNECTION, ...connection }, consumer: null, now: NOW, hasData: true, ...rest });

test("no banner when all is well", () => assert.equal(banner({}), null));

test("the banner of a lost server says since when, and that values are kept", () => {
  const { kind, title, text } = banner({ phase: "waiting", retryAt: NOW + 2_400, lostAt: LOST });
  assert.equal(kind, "bad");
  assert.equal(title, "No connection to the server since 17:31:20");
  assert.match(text, /not live\. Next try in 3 s\./);
});

test("the banner of a lost Kafka gives the reason as text", () => {
  const consumer = { state: "reconnecting", since: LOST, reason: "no word\u0000 for 6 s" };
  const { kind, title, text } = banner({}, { consumer });
  assert.equal(kind, "warn");
  assert.equal(title, "The server has lost Kafka since 17:31:20");
  assert.equal(text, "Reason: no word\ufffd for 6 s. The values below are kept; they are not live.");
});

test("the banner of a process that is behind says that what is shown is behind, and why", () => {
  const consumer = { state: "catching_up", since: LOST, reason: "more than 30 s behind the end of the topic (MAX_LAG)" };
  const text = "What is shown is behind. Reason: more than 30 s behind the end of the topic (MAX_LAG).";
  assert.deepEqual(banner({}, { consumer }), { kind: "info", title: "Catching up", text });
  assert.doesNotMatch(banner({}, { consumer, hasData: false }).text, /behind/);
});

test("a start that lasts has a banner with its reason, one that goes well has none", () => {
  const consumer = { state: "starting", since: LOST, reason: "topic t does not exist" };
  assert.equal(banner({}, { consumer, consumerSeconds: 4 }), null);
  const { kind, title, text } = banner({}, { consumer, consumerSeconds: 20 });
  assert.deepEqual([kind, title], ["warn", "The server doesn't read Kafka yet, since 17:31:20"]);
  assert.equal(text, "Reason: topic t does not exist.");
});

test("a gap in words", () => {
  assert.match(format.gap({ reason: "too_old", missed: 84 }), /^84 predictions were missed: they are no longer/);
  assert.match(format.gap({ reason: "too_slow", missed: 1 }), /^1 prediction was missed/);
  assert.match(format.gap({ reason: "bad_cursor", missed: null }), /^Some may have been missed/);
});

test("a sparkline goes from left to right over the full scale", () => {
  assert.equal(format.sparkline([0, 75, 37.5], "mph"), "0.0,15.0 30.0,1.0 60.0,8.0");
  assert.equal(format.sparkline([50], "mph"), "");
});

for (const [given, expected] of [
  [["severe_congestion", "fresh"], "Severe"],
  [["severe_congestion", "stale"], "Severe (stale)"],
  [["free_flow", "silent"], "Free flow (no data)"],
  [["constructor", "fresh"], "Unknown"],
  [[null, "stale"], "Unknown (stale)"],
]) {
  test(`a category in words: ${expected}`, () => assert.equal(format.category(...given), expected));
}

test("a difference goes one way, the other, or neither; one that isn't known goes nowhere", () => {
  assert.deepEqual([-3, 3, 0.04, null, undefined].map(format.direction), ["slower", "faster", "same", null, null]);
});

test("a time that isn't of today is told with its day", () => {
  assert.equal(format.since(NOW - 600_000, NOW), "17:21");
  assert.equal(format.since(NOW - 86_400_000, NOW), "6 Mar 2026, 17:31");
});
