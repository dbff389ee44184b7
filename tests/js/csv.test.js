import assert from "node:assert/strict";
import { test } from "node:test";
import { csvOf, fileName } from "../../static/js/csv.js";
import { Store } from "../../static/js/store.js";
import { prediction } from "./fakes.js";

const NOW = Date.parse("2026-03-04T17:05:30.250Z");

/** @param {any[]} predictions */
function csv(...predictions) {
  const store = new Store({ intervalSeconds: 300, clock: () => NOW });
  store.apply({ type: "initial", predictions });
  return csvOf([...store.segments.values()], { store, unit: "mph" });
}

/** Return the fields of CSV as RFC 4180 has them. */
function fieldsOf(text) {
  const rows = [[]];
  const pattern = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/y;
  for (let match; (match = pattern.exec(text)); ) {
    rows[rows.length - 1].push(match[1] === undefined ? match[2] : match[1].replaceAll('""', '"'));
    if (match[3] === "\r\n") rows.push([]);
  }
  assert.deepEqual(rows.pop(), [], "all lines end with CRLF");
  return rows;
}

test("a table is saved with units, times in UTC, and values as the server gave them", () => {
  const text = csv(prediction("A", {
    timestamp: NOW - 10_000, road_name: "I-5 N", current_speed: 40.04, predicted_speed: 18.96, speed_diff: -21.08, horizon_minutes: 15,
    category: "severe_congestion", model: "m1", confidence: 0, coordinates: { latitude: 34.1, longitude: -118.25 },
  }));
  assert.ok(text.startsWith("\ufeffsegment,road,now (mph),predicted (mph),change (mph),"));
  const [header, row] = fieldsOf(text.slice(1));
  assert.equal(header.length, row.length);
  assert.deepEqual(row, [
    "A", "I-5 N", "40.04", "18.96", "-21.08", "15", "2026-03-04T17:20:20Z", "severe_congestion", "fresh", "10", "2026-03-04T17:05:20Z",
    "", "0", "m1", "", "34.1", "-118.25",
  ]);
});

test("the state is by the age also while a connection is lost, since a file does not say that", () => {
  let now = NOW;
  const store = new Store({ intervalSeconds: 300, clock: () => now });
  store.apply({ type: "initial", predictions: [prediction("A", { timestamp: NOW })] });
  store.setConnection({ phase: "live", transport: "SSE", attempt: 1, retryAt: null, lostAt: NOW, reason: null });
  now += 900_000;
  const [header, row] = fieldsOf(csvOf([...store.segments.values()], { store, unit: "mph" }).slice(1));
  assert.deepEqual([row[header.indexOf("state")], row[header.indexOf("age (s)")]], ["stale", "900"]);
});

test("a text is no formula, and survives quotes, commas and line ends", () => {
  for (const [given, expected] of [
    ['=HYPERLINK("http://x","y")', `'=HYPERLINK("http://x","y")`],
    ["+1", "'+1"],
    ["-2+3", "'-2+3"],
    ["@SUM(A1)", "'@SUM(A1)"],
    [" =1", "' =1"],
    ["\t=1", "'\t=1"],
    ["\r=1", "'\r=1"],
    ["\uff1d1", "'\uff1d1"],
    ['say "no", then\r\ngo', 'say "no", then\r\ngo'],
    ["I-5 N", "I-5 N"],
    ["Łódź 🚗", "Łódź 🚗"],
  ]) {
    const [, row] = fieldsOf(csv(prediction("A", { road_name: given, timestamp: NOW })).slice(1));
    assert.equal(row[1], expected);
  }
});

test("speed 0 is a value, and what is not known is empty", () => {
  const [, row] = fieldsOf(csv(prediction("A", { timestamp: NOW, current_speed: null, predicted_speed: 0, speed_diff: null })).slice(1));
  assert.deepEqual(row.slice(1, 5), ["", "", "0", ""]);
});

test("a time that no clock can show is left out", () => {
  const [, row] = fieldsOf(csv(prediction("A", { timestamp: -9e15 })).slice(1));
  assert.equal(row[10], "");
});

test("times are saved in the chosen zone, with their offset, and its name is in the header", () => {
  const store = new Store({ intervalSeconds: 300, clock: () => NOW });
  store.apply({ type: "initial", predictions: [prediction("A", { timestamp: NOW - 10_000, horizon_minutes: 15 }), prediction("B", { timestamp: -9e15 })] });
  for (const [minutes, observed, target] of /** @type {const} */ ([
    [-480, "2026-03-04T09:05:20-08:00", "2026-03-04T09:20:20-08:00"],
    [345, "2026-03-04T22:50:20+05:45", "2026-03-04T23:05:20+05:45"],
  ])) {
    const zone = { name: "Some/Where", offsetMinutes: () => minutes };
    const [header, ...rows] = fieldsOf(csvOf([...store.segments.values()], { store, unit: "mph", zone }).slice(1));
    assert.deepEqual([header[6], header[10]], ["target time (Some/Where)", "observed (Some/Where)"]);
    assert.deepEqual(rows.map((row) => row[10]), [observed, ""]);
    assert.equal(rows[0][6], target);
  }
});

test("the usual speed is saved where the table shows it", () => {
  /** @type {any} */
  const usual = { isOn: true, at: (/** @type {string} */ id) => (id === "A" ? { low: 47, median: 54.04, high: 60 } : null) };
  const store = new Store({ intervalSeconds: 300, clock: () => NOW, usual });
  store.apply({ type: "initial", predictions: ["A", "B"].map((id) => prediction(id, { timestamp: NOW, predicted_speed: 18.96 })) });
  const [header, ...rows] = fieldsOf(csvOf([...store.segments.values()], { store, unit: "mph" }).slice(1));
  assert.deepEqual(header.slice(5, 8), ["usual (mph)", "vs usual (mph)", "horizon (min)"]);
  assert.deepEqual(rows.map((row) => row.slice(5, 7)), [["54.04", "-35.08"], ["", ""]]);
});

test("a file has its time in its name", () => {
  assert.equal(fileName("table", NOW, "csv"), "greenwave-table-2026-03-04T170530Z.csv");
});
