import assert from "node:assert/strict";
import { test } from "node:test";
import * as format from "../../static/js/view/format.js";

for (const [call, expected] of /** @type {[() => any, any][]} */ ([
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
])) {
  test(`${call.toString().slice(13)} is ${expected}`, () => assert.equal(call(), expected));
}

const NOW = new Date(2026, 2, 7, 17, 31, 40).getTime();

test("a sparkline spans the box over the full scale", () => {
  assert.equal(format.sparkline([0, 75, 37.5], "mph"), "0.0,15.0 30.0,1.0 60.0,8.0");
  assert.equal(format.sparkline([50], "mph"), "");
});

for (const [given, expected] of /** @type {[[any, any], string][]} */ ([
  [["severe_congestion", "fresh"], "Severe"],
  [["severe_congestion", "stale"], "Severe (stale)"],
  [["free_flow", "silent"], "Free flow (no data)"],
  [["constructor", "fresh"], "Unknown"],
  [[null, "stale"], "Unknown (stale)"],
])) {
  test(`category: ${expected}`, () => assert.equal(format.category(...given), expected));
}

test("a change is faster, slower, the same, or not known", () => {
  assert.deepEqual([-3, 3, 0.04, null, undefined].map(format.direction), ["slower", "faster", "same", null, null]);
});

test("a time of another day has its date", () => {
  assert.equal(format.since(NOW - 600_000, NOW), "17:21");
  assert.equal(format.since(NOW - 86_400_000, NOW), "6 Mar 2026, 17:31");
});
