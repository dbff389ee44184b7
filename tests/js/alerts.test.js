import assert from "node:assert/strict";
import { test } from "node:test";
import { Alerts } from "../../static/js/alerts.js";
import { prediction } from "./fakes.js";

const SEVERE = "severe_congestion";

function alertsOf(unit = "mph") {
  const alerts = new Alerts({ unit, clock: () => 5 });
  let minute = 0;
  const say = (category, change = 0, id = "A") => {
    minute += 1;
    alerts.apply({ type: "prediction", data: prediction(id, { category, speed_diff: change, timestamp: minute * 60_000, predicted_speed: minute }) });
  };
  return { alerts, say };
}

const kinds = (alerts) => alerts.list().map(({ id, kind }) => `${id} ${kind}`);

test("a segment that is severe for two steps is one alert, however long it lasts", () => {
  const { alerts, say } = alertsOf();
  say(SEVERE);
  assert.deepEqual(kinds(alerts), []);
  say(SEVERE);
  const [first] = alerts.list();
  for (let step = 0; step < 20; step += 1) say(SEVERE);
  assert.deepEqual(kinds(alerts), ["A severe"]);
  assert.equal(alerts.list()[0], first, "the same one");
  assert.equal(first.value, 22, "with the value of now");
});

test("the same step told twice is one step", () => {
  const { alerts } = alertsOf();
  const data = prediction("A", { category: SEVERE });
  for (let time = 0; time < 3; time += 1) alerts.apply({ type: "prediction", data });
  assert.deepEqual(kinds(alerts), []);
});

test("an alert ends only after two calm steps, and begins anew after that", () => {
  const { alerts, say } = alertsOf();
  for (const category of [SEVERE, SEVERE, "heavy_traffic", SEVERE, "heavy_traffic"]) say(category);
  assert.deepEqual(kinds(alerts), ["A severe"]);
  say("heavy_traffic");
  assert.deepEqual(kinds(alerts), []);
  for (const category of [SEVERE, SEVERE]) say(category);
  assert.deepEqual(kinds(alerts), ["A severe"]);
});

test("a predicted drop of 15 mph is an alert at once, and lasts until it is below 10", () => {
  const { alerts, say } = alertsOf();
  say("moderate_traffic", -14.9);
  assert.deepEqual(kinds(alerts), []);
  say("moderate_traffic", -15);
  assert.deepEqual(kinds(alerts), ["A drop"]);
  say("moderate_traffic", -10);
  say("moderate_traffic", -10);
  assert.deepEqual(kinds(alerts), ["A drop"]);
  say("moderate_traffic", -9);
  assert.deepEqual(kinds(alerts), []);
});

test("in km/h the limits are the same speeds", () => {
  const { alerts, say } = alertsOf("kmh");
  say("free_flow", -24);
  assert.deepEqual(kinds(alerts), []);
  say("free_flow", -24.2);
  assert.deepEqual(kinds(alerts), ["A drop"]);
});

test("what was acknowledged stays so until it ends", () => {
  const { alerts, say } = alertsOf();
  for (let step = 0; step < 2; step += 1) say(SEVERE);
  alerts.acknowledge("A");
  say(SEVERE);
  assert.equal(alerts.list()[0].acknowledged, true);
  for (const category of ["free_flow", "free_flow", SEVERE, SEVERE]) say(category);
  assert.equal(alerts.list()[0].acknowledged, false, "another one");
  alerts.acknowledgeAll();
  assert.equal(alerts.list()[0].acknowledged, true);
});

test("what left or isn't in a new view has no alert, and late or odd messages count for nothing", () => {
  const { alerts, say } = alertsOf();
  for (const id of ["A", "B"]) say("free_flow", -20, id);
  alerts.apply({ type: "left", segment_id: "A" });
  assert.deepEqual(kinds(alerts), ["B drop"]);
  alerts.apply({ type: "initial", predictions: [prediction("C", { speed_diff: -30 })] });
  assert.deepEqual(kinds(alerts), ["C drop"]);
  alerts.apply({ type: "prediction", data: prediction("D", { speed_diff: -30, late: true }) });
  alerts.apply({ type: "prediction", data: { segment_id: 7 } });
  assert.deepEqual(kinds(alerts), ["C drop"]);
});
