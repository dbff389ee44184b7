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
  [() => format.ranges([60, 45, 30], "kmh").free_flow, "≥ 96.6"],
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

/** Run a test with other units or another zone, and restore the usual ones. */
function shown(chosen, test) {
  try {
    format.setDisplay({ served: "mph", unit: "mph", thresholdsMph: [60, 45, 30], ...chosen });
    test();
  } finally {
    format.setDisplay({ served: "mph", unit: "mph" });
  }
}

test("a speed is converted once, and rounded once", () => {
  shown({ unit: "kmh" }, () => {
    assert.equal(format.speed(27.96), "45.0", "of the rounded 28.0 it would be 45.1");
    assert.equal(format.speed(0), "0.0");
    assert.equal(format.wholeSpeed(9.4), "15");
    assert.equal(format.change(-21.04), "−33.9");
    assert.equal(format.wholeChange(-21.04), "34");
    assert.equal(format.signed(-3), "−3.0");
    assert.equal(format.range(47, 60), "76–97");
    assert.equal(format.share(37.5, "kmh"), 0.5);
    assert.equal(format.distance(16.09344, "kmh"), "16.1");
    assert.equal(format.distance(16.09344, "mph"), "10.0");
    assert.equal(format.direction(0.04), "faster", "which is shown as +0.1");
  });
  shown({ served: "kmh" }, () => {
    assert.equal(format.speed(72.42048), "45.0");
    assert.equal(format.speed(null), "–");
  });
});

for (const chosen of /** @type {any[]} */ ([{ unit: "mph" }, { unit: "kmh" }, { served: "kmh", unit: "kmh" }, { served: "kmh", unit: "mph" }])) {
  test(`a rounded speed stays on its side of each threshold: ${JSON.stringify(chosen)}`, () => {
    shown(chosen, () => {
      const perMph = chosen.served === "kmh" ? 1.609344 : 1;
      const labels = format.ranges([60, 45, 30], chosen.unit);
      for (const [mph, text] of /** @type {const} */ ([[30, labels.severe_congestion], [60, labels.free_flow]])) {
        const bound = Number(text.slice(2));
        for (const share of [1e-9, 0.001, 0.005, 0.01, 0.02]) {
          for (const shownAs of [format.speed, format.wholeSpeed]) {
            assert.ok(Number(shownAs(mph * perMph * (1 - share))) < bound, `${shownAs.name} ${share} below ${bound}`);
            assert.ok(Number(shownAs(mph * perMph * (1 + share))) >= bound, `${shownAs.name} ${share} above ${bound}`);
          }
        }
        assert.ok(Number(format.speed(mph * perMph)) >= bound);
      }
    });
  });
}

test("a time shows in the chosen zone, and so does the day that it is compared with", () => {
  const at = Date.parse("2026-03-08T01:05:06Z");
  shown({ timeZone: "America/Los_Angeles" }, () => {
    assert.equal(format.clock(at), "17:05");
    assert.equal(format.since(at, at + 4 * 3_600_000), "17:05");
    assert.equal(format.momentWithZone(at), "7 Mar 2026, 17:05 PST");
    assert.equal(format.zoneName(), "America/Los_Angeles");
    assert.equal(format.chosenZone(), "America/Los_Angeles");
    assert.equal(format.offsetMinutes(at), -480);
    assert.equal(format.offsetMinutes(at + 86_400_000), -420, "after the change of the clocks");
  });
  shown({ timeZone: "Asia/Kolkata" }, () => assert.equal(format.offsetMinutes(at), 330));
  shown({ timeZone: "UTC" }, () => {
    assert.equal(format.clock(at, true), "01:05:06");
    assert.equal(format.since(at, at - 2 * 3_600_000), "8 Mar 2026, 01:05", "the day before in UTC");
    assert.equal(format.zoneOf(at), "UTC");
    assert.equal(format.offsetMinutes(at), 0);
  });
});
