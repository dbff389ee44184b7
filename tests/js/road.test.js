import assert from "node:assert/strict";
import test from "node:test";
import { columnsOf, Frame, namedRows, predictedFor, speedAt, targetsOf, ticksOf } from "../../static/js/diagram.js";
import { Measurements } from "../../static/js/measurements.js";
import { RoadPast } from "../../static/js/road-past.js";
import { MAX_ROWS, RoadRows } from "../../static/js/road-rows.js";
import { SpeedScale } from "../../static/js/speeds.js";
import { Store } from "../../static/js/store.js";
import { travelTime } from "../../static/js/travel-time.js";
import { clock, offsetMinutes, setDisplay } from "../../static/js/view/format.js";
import { cellText, differenceText, minutesText, missingText, pastText } from "../../static/js/view/road-wording.js";
import { settle } from "./fakes.js";

const MINUTE = 60_000;
const scale = new SpeedScale();
const KM_PER_MILE = 1.609344;

/** @returns {any} */
const segment = (id, latitude, road = "I-5 N", fields = {}) => ({ segment_id: id, road_name: road, coordinates: { latitude, longitude: -118 }, ...fields });
/** @returns {any} */
const row = (id, miles, fields = {}) => ({ id, km: miles === null ? null : miles * KM_PER_MILE, from: 0, to: 1, ...fields });
const rowsOf = (segments, lengths) => {
  const rows = new RoadRows("I-5 N");
  if (lengths) rows.setLengths(lengths);
  return rows.of(new Map(segments.map((each) => [each.segment_id, each])));
};

test("rows follow the direction of travel, with distances from the start", () => {
  const found = rowsOf([segment("c", 34.02), segment("a", 34), segment("b", 34.01), segment("x", 34.005, "I-5 S")]);
  assert.deepEqual(found.rows.map(({ id }) => id), ["a", "b", "c"]);
  assert.deepEqual(found.rows.map(({ from }) => Number(from.toFixed(2))), [0, 1.11, 2.22]);
  assert.ok(found.isOrdered);
});

test("the lengths of a network are used", () => {
  const { rows } = rowsOf([segment("a", 34), segment("b", 34.01)], new Map([["a", 3], ["b", 2]]));
  assert.deepEqual(rows.map(({ from, to }) => [from, to]), [[0, 3], [3, 5]]);
});

test("a row without a length has the mean length in the diagram alone", () => {
  const { rows, isOrdered } = rowsOf([{ segment_id: "a", road_name: "I-5 N" }, { segment_id: "b", road_name: "I-5 N" }]);
  assert.deepEqual(rows.map(({ km, to }) => [km, to]), [[null, 1], [null, 2]]);
  assert.equal(isOrdered, false);
});

test("parts of a road are marked, and rows are limited", () => {
  const apart = rowsOf([segment("a", 34), segment("b", 34.01), segment("c", 35), segment("d", 35.01)]);
  assert.deepEqual(apart.rows.map(({ beginsPart }) => beginsPart), [false, false, true, false]);
  const many = rowsOf(Array.from({ length: MAX_ROWS + 5 }, (_, index) => ({ segment_id: `${index}`, road_name: "I-5 N" })));
  assert.deepEqual([many.rows.length, many.more], [MAX_ROWS, 5]);
});

test("a travel time is the sum of length divided by speed", () => {
  const speeds = { a: 60, b: 30 };
  const time = travelTime([row("a", 10), row("b", 5)], ({ id }) => speeds[id], scale);
  assert.equal(time.minutes?.toFixed(6), "20.000000");
  assert.equal(time.delay?.toFixed(6), "5.000000");
  assert.deepEqual([time.missing, time.unknown], [0, 0]);
});

test("segments without a speed or a length are left out of a travel time and counted", () => {
  const speeds = { a: 60, b: null, c: 30 };
  const time = travelTime([row("a", 10), row("b", 5), row("c", null)], ({ id }) => speeds[id], scale);
  assert.equal(time.minutes?.toFixed(6), "10.000000");
  assert.deepEqual([time.missing, time.unknown], [1, 1]);
  assert.equal(missingText(time, 3, "measured"), "Without 1 of 3 segments, no measured speed; without 1 of 3 segments, no known length");
  assert.equal(travelTime([row("b", 5)], () => null, scale).minutes, null);
});

test("a standing segment has a travel time that is not endless", () => {
  assert.equal(travelTime([row("a", 1)], () => 0, scale).minutes?.toFixed(3), "20.000");
});

test("travel times are compared only over the same segments", () => {
  const [long, short] = [40, 60].map((speed) => travelTime([row("a", 10)], () => speed, scale));
  assert.equal(differenceText(long, short, "usual"), "5.0 min longer than usual");
  assert.equal(differenceText(short, long, "now"), "5.0 min shorter than now");
  assert.equal(differenceText(long, travelTime([row("a", 9)], () => 60, scale), "usual"), "");
  assert.equal(minutesText(65.2), "1 h 05 min");
});

test("measurements keep the last speed of each interval, and count for two", () => {
  const measurements = new Measurements({ binMs: 5 * MINUTE, keepMs: 60 * MINUTE });
  measurements.add({ segment_id: "a", timestamp: 2 * MINUTE, current_speed: 50 });
  measurements.add({ segment_id: "a", timestamp: MINUTE, current_speed: 70 });
  measurements.add({ segment_id: "a", timestamp: 3 * MINUTE, current_speed: null });
  assert.deepEqual([0, 1, 2].map((bin) => measurements.speedOf("a", bin)), [50, 50, null]);
  assert.equal(measurements.firstMs, 2 * MINUTE);
  measurements.forgetBefore(10 * MINUTE);
  assert.equal(measurements.firstMs, null);
});

test("measurements of one segment are bounded", () => {
  const measurements = new Measurements({ binMs: MINUTE, keepMs: 10 * MINUTE });
  for (let at = 0; at < 1000; at += 1) measurements.add({ segment_id: "a", timestamp: at * MINUTE, current_speed: at });
  assert.ok((measurements.firstMs ?? 0) >= 985 * MINUTE);
  assert.equal(measurements.speedOf("a", 999), 999);
});

const NOW = 1_000 * 5 * MINUTE + 2 * MINUTE;

test("columns of the past end at now, and each of the forecast at its target", () => {
  const measurements = new Measurements({ binMs: 5 * MINUTE, keepMs: 60 * MINUTE });
  const columns = columnsOf({ now: NOW, pastMs: 15 * MINUTE, measurements, horizons: [null, -5, 15, 30, 1440] });
  const minutes = columns.map(({ from, to, horizon }) => [(from - NOW) / MINUTE, (to - NOW) / MINUTE, horizon]);
  assert.deepEqual(minutes, [[-12, -7, null], [-7, -2, null], [-2, 0, null], [0, 15, 15], [15, 30, 30]]);
  const unstated = columnsOf({ now: NOW, pastMs: 5 * MINUTE, measurements, horizons: [null] });
  assert.deepEqual(unstated.at(-1), { from: NOW, to: NOW + 15 * MINUTE, bin: null, horizon: null });
});

test("between two updates a forecast is for the target time of its predictions, not later", () => {
  const store = new Store({ intervalSeconds: 300, clock: () => NOW });
  const made = NOW - 4 * MINUTE;
  for (const [id, horizon_minutes, timestamp] of /** @type {[string, number, number][]} */ ([["a", 3, made], ["a", 15, made - MINUTE], ["b", 15, made], ["c", 15, NOW], ["b", 30, NOW - 60 * MINUTE]])) {
    store.apply({ type: "prediction", data: { segment_id: id, timestamp, predicted_speed: 20, horizon_minutes } });
  }
  const targets = targetsOf([row("a", 1), row("b", 1)], store);
  assert.deepEqual([...targets].map(([horizon, at]) => [horizon, (at - NOW) / MINUTE]), [[3, -1], [15, 11]]);
  const measurements = new Measurements({ binMs: 5 * MINUTE, keepMs: 60 * MINUTE });
  const columns = columnsOf({ now: NOW, pastMs: 5 * MINUTE, measurements, horizons: store.forecasts.horizons, targets });
  const forecast = columns.flatMap(({ from, to, bin, horizon }) => (bin === null ? [[(from - NOW) / MINUTE, (to - NOW) / MINUTE, horizon]] : []));
  assert.deepEqual(forecast, [[0, 11, 15], [11, 30, 30]]);
});

test("cells have what was measured, and what is predicted while it is current", () => {
  let now = NOW;
  const store = new Store({ intervalSeconds: 300, clock: () => now });
  const prediction = { segment_id: "a", timestamp: NOW, current_speed: 40, predicted_speed: 20, horizon_minutes: 15 };
  store.apply({ type: "prediction", data: prediction });
  const measurements = new Measurements({ binMs: 5 * MINUTE, keepMs: 60 * MINUTE });
  measurements.add(prediction);
  const columns = columnsOf({ now, pastMs: 5 * MINUTE, measurements, horizons: [15] });
  const given = { measurements, store };
  assert.deepEqual(columns.map((column) => speedAt(row("a", 1), column, given)), [40, 20]);
  assert.equal(predictedFor("a", 30, store), null);
  now += 11 * MINUTE;
  assert.equal(speedAt(row("a", 1), columns[1], given), null);
});

test("places of the diagram are found by their pixels", () => {
  const rows = [row("a", 1, { from: 0, to: 1 }), row("b", 1, { from: 1, to: 4 })];
  const columns = [{ from: 0, to: 60 * MINUTE, bin: 0, horizon: null }, { from: 60 * MINUTE, to: 120 * MINUTE, bin: null, horizon: 60 }];
  const frame = new Frame({ x: 100, y: 20, width: 200, height: 40 }, rows, columns);
  assert.deepEqual([frame.x(60 * MINUTE), frame.y(1)], [200, 30]);
  assert.deepEqual(frame.at(150, 25), { row: 0, column: 0 });
  assert.deepEqual(frame.at(299, 59), { row: 1, column: 1 });
  assert.equal(frame.at(99, 25), null);
  assert.deepEqual(ticksOf(frame, 60, () => 0).map((at) => at / MINUTE), [0, 60, 120]);
  assert.deepEqual(ticksOf(frame, 60, () => 30).map((at) => at / MINUTE), [30, 90]);
  assert.deepEqual(namedRows(frame, 15).map(({ id }) => id), ["a", "b"]);
  assert.deepEqual(namedRows(frame, 30).map(({ id }) => id), ["a"]);
});

test("ticks are whole local times where the clocks change, too", () => {
  /** @param {string} timeZone @param {string} from @param {number} hours */
  const ticks = (timeZone, from, hours, hourPx = 20) => {
    setDisplay({ served: "mph", unit: "mph", timeZone });
    const begin = Date.parse(from);
    const column = { from: begin, to: begin + hours * 60 * MINUTE, bin: 1, horizon: null };
    return ticksOf(new Frame({ x: 0, y: 0, width: hourPx * hours, height: 10 }, [], [column]), 56, offsetMinutes).map((at) => clock(at));
  };
  assert.deepEqual(ticks("America/Los_Angeles", "2026-03-08T08:00:00Z", 10), ["00:00", "03:00", "06:00", "09:00"]);
  assert.deepEqual(ticks("America/Los_Angeles", "2026-11-01T05:00:00Z", 12), ["00:00", "03:00", "06:00", "09:00"]);
  assert.deepEqual(ticks("America/Los_Angeles", "2026-11-01T08:00:00Z", 2, 56), ["01:00", "01:00", "02:00"]);
  assert.deepEqual(ticks("Australia/Lord_Howe", "2026-04-04T13:00:00Z", 9), ["00:00", "03:00", "06:00"]);
  setDisplay({ served: "mph", unit: "mph" });
});

test("a cell says place, time, and whether its speed was measured or predicted", () => {
  const where = { place: "Sunset", distance: "4.2 mi", unit: "mph" };
  const past = { from: NOW - 5 * MINUTE, to: NOW, bin: 1, horizon: null };
  assert.match(cellText({ ...where, column: past, speed: 12.4 }), /^Sunset, 4\.2 mi: \d\d:\d\d, 12 mph measured$/);
  assert.match(cellText({ ...where, column: past, speed: null }), /not measured$/);
  const next = { from: NOW, to: NOW + 15 * MINUTE, bin: null, horizon: 15 };
  assert.match(cellText({ ...where, column: next, speed: 0 }), /: 0 mph predicted for \d\d:\d\d \(\+15 min\)$/);
});

/** @returns {any} */
const fakeApi = (pages) => ({
  asked: [],
  async *historyPages(signal, filter) {
    this.asked.push(filter);
    for (const page of pages) yield page;
  },
});
/** @param {any} api @param {(item: any) => boolean} isWanted */
const pastOf = (api, isWanted = () => true) => new RoadPast({ api, filter: "&road=I-5%20N", isWanted, intervalSeconds: 300, onChange: () => {} });

test("the past of a road is asked for by road and time, and says what is missing", async () => {
  const measured = { segment_id: "a", timestamp: NOW, current_speed: 30 };
  const api = fakeApi([{ predictions: [{ ...measured, predicted_speed: 1 }, { ...measured, predicted_speed: 1, segment_id: "x" }, { broken: 1 }], observations: [{ ...measured, segment_id: "b" }], more: false, gap: { reason: "replay_limit" } }]);
  const past = pastOf(api, ({ segment_id: id }) => id !== "x");
  await past.load(NOW);
  assert.deepEqual(api.asked, [`&road=I-5%20N&include=observations&since=${NOW - 120 * MINUTE}`]);
  assert.deepEqual(["a", "b", "x"].map((id) => past.measurements.speedOf(id, 1000)), [30, 30, null]);
  assert.deepEqual([past.state, past.gap], ["done", "replay_limit"]);
  assert.match(pastText({ state: past.state, gap: past.gap, firstMs: NOW, wantedMs: 0 }), /^Earlier speeds are missing: more records than the server reads for one client\. The diagram begins at \d\d:\d\d\.$/);
  past.setHours(24);
  assert.equal(past.measurements.binMs, 12 * MINUTE);
  past.setHours(7);
  assert.equal(past.hours, 2);
});

test("a history that fails is said, and a newer request replaces an older one", async () => {
  const failing = pastOf({ async *historyPages() { yield* []; throw new Error("down"); } });
  await failing.load(NOW);
  assert.equal(failing.state, "failed");
  /** @type {(() => void)[]} */
  const waiting = [];
  const api = { async *historyPages() { await new Promise((resolve) => waiting.push(() => resolve(undefined))); yield { predictions: [], more: true }; } };
  const past = pastOf(api);
  const [first, second] = [past.load(NOW), past.load(NOW)];
  waiting[0]();
  await first;
  assert.equal(past.state, "loading");
  waiting[1]();
  await second;
  await settle();
  assert.equal(past.state, "cut");
});
