import assert from "node:assert/strict";
import { test } from "node:test";
import { AcknowledgementStorage } from "../../static/js/acknowledgement-storage.js";
import { Alerts } from "../../static/js/alerts.js";
import { prediction } from "./fakes.js";

const SEVERE = "severe_congestion";
const MINUTE = 60_000;

/** @param {import("../../static/js/types.js").SpeedUnit} unit */
function alertsOf(unit = "mph") {
  const alerts = new Alerts({ unit, intervalSeconds: 300 });
  let minute = 0;
  const say = (category, change = 0, id = "A") => {
    minute += 1;
    alerts.apply({ type: "prediction", data: prediction(id, { category, speed_diff: change, timestamp: minute * MINUTE, predicted_speed: minute }) });
  };
  return { alerts, say };
}

const kinds = (alerts) => alerts.list().map(({ id, kind }) => `${id} ${kind}`);

test("a segment that is severe for two or more steps is one alert", () => {
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

test("a step received twice counts once", () => {
  const { alerts } = alertsOf();
  const data = prediction("A", { category: SEVERE });
  for (let time = 0; time < 3; time += 1) alerts.apply({ type: "prediction", data });
  assert.deepEqual(kinds(alerts), []);
});

test("an alert ends after two calm steps, and can begin again", () => {
  const { alerts, say } = alertsOf();
  for (const category of [SEVERE, SEVERE, "heavy_traffic", SEVERE, "heavy_traffic"]) say(category);
  assert.deepEqual(kinds(alerts), ["A severe"]);
  say("heavy_traffic");
  assert.deepEqual(kinds(alerts), []);
  for (const category of [SEVERE, SEVERE]) say(category);
  assert.deepEqual(kinds(alerts), ["A severe"]);
});

test("an alert stays when an observation or another horizon of its segment leaves", () => {
  const { alerts } = alertsOf();
  for (const timestamp of [MINUTE, 2 * MINUTE]) {
    alerts.apply({ type: "prediction", data: prediction("A", { category: SEVERE, timestamp, horizon_minutes: 15 }) });
  }
  alerts.apply({ type: "left", segment_id: "A", kind: "observation", reason: "expired" });
  alerts.apply({ type: "left", segment_id: "A", horizon_minutes: 30, reason: "expired" });
  assert.deepEqual(kinds(alerts), ["A severe"]);
  alerts.apply({ type: "left", segment_id: "A", horizon_minutes: 15, reason: "expired" });
  assert.deepEqual(kinds(alerts), []);
});

test("a drop of 15 mph is an alert at once, until it is below 10 mph", () => {
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

test("limits in km/h are the same speeds", () => {
  const { alerts, say } = alertsOf("kmh");
  say("free_flow", -24);
  assert.deepEqual(kinds(alerts), []);
  say("free_flow", -24.2);
  assert.deepEqual(kinds(alerts), ["A drop"]);
});

test("an acknowledgement lasts until its alert ends", () => {
  const { alerts, say } = alertsOf();
  for (let step = 0; step < 2; step += 1) say(SEVERE);
  alerts.acknowledge("A");
  say(SEVERE);
  assert.equal(alerts.list()[0].acknowledged, true);
  for (const category of ["free_flow", "free_flow", SEVERE, SEVERE]) say(category);
  assert.equal(alerts.list()[0].acknowledged, false, "another one");
  for (const { id } of alerts.list()) alerts.acknowledge(id);
  assert.equal(alerts.list()[0].acknowledged, true);
});

test("alerts end with their segment, and ignore late and invalid messages", () => {
  const { alerts, say } = alertsOf();
  for (const id of ["A", "B"]) say("free_flow", -20, id);
  alerts.apply({ type: "left", segment_id: "A" });
  assert.deepEqual(kinds(alerts), ["B drop"]);
  alerts.apply({ type: "initial", predictions: [prediction("C", { speed_diff: -30 })] });
  assert.deepEqual(kinds(alerts), ["C drop"]);
  alerts.apply({ type: "prediction", data: prediction("D", { speed_diff: -30, late: true }) });
  alerts.apply({ type: "prediction", data: /** @type {any} */ ({ segment_id: 7 }) });
  assert.deepEqual(kinds(alerts), ["C drop"]);
});

test("a larger horizon than the one shown is ignored", () => {
  const { alerts } = alertsOf();
  const arrive = (fields) => alerts.apply({ type: "prediction", data: prediction("A", fields) });
  arrive({ horizon_minutes: 5, timestamp: MINUTE });
  arrive({ horizon_minutes: 15, timestamp: 2 * MINUTE, speed_diff: -30 });
  assert.deepEqual(kinds(alerts), []);
});

/** Return steps of a segment, a minute apart: S is severe, d a drop of 16, . neither. */
function steps(id, text, firstMinute = 1) {
  return [...text].map((each, index) =>
    prediction(id, {
      category: each === "S" ? SEVERE : "free_flow",
      speed_diff: each === "d" ? -16 : 0,
      timestamp: (firstMinute + index) * MINUTE,
      predicted_speed: 20,
    }),
  );
}

function opened(predictions, acknowledgements = []) {
  const { alerts } = alertsOf();
  alerts.recall(acknowledgements);
  alerts.apply({ type: "initial", predictions });
  return alerts;
}

const summary = (alerts) => alerts.list().map(({ id, kind, since, acknowledged }) => [id, kind, since / MINUTE, acknowledged]);
const arrive = (alerts, predictions) => {
  for (const data of predictions) alerts.apply({ type: "prediction", data });
};

test("an alert begins with its first severe step", () => {
  const alerts = opened(steps("A", "."));
  arrive(alerts, steps("A", ".SSS", 1));
  arrive(alerts, steps("B", "..dd", 1));
  assert.deepEqual(summary(alerts), [["A", "severe", 2, false], ["B", "drop", 3, false]]);
});

test("earlier steps from the history complete the alerts of a view", () => {
  const now = [...steps("A", "S", 9), ...steps("B", "S", 9), ...steps("C", ".", 9), ...steps("D", "d", 9)];
  const alerts = opened(now);
  assert.deepEqual(summary(alerts), [["D", "drop", 9, false]]);
  const [drop] = alerts.list();
  assert.deepEqual(alerts.unsure().sort(), ["A", "B", "D"], "a calm segment needs no history");
  alerts.learn([...steps("A", ".SSSSSSS", 1), ...steps("B", "SS..", 5), ...steps("D", "..dd", 5)].reverse());
  assert.deepEqual(summary(alerts), [["A", "severe", 2, false], ["D", "drop", 7, false]]);
  assert.equal(alerts.list()[1], drop, "the same one");
  assert.deepEqual(alerts.unsure(), [], "all is known now");
});

test("a drop that becomes severe is a new alert", () => {
  const alerts = opened(steps("A", "d"));
  const [drop] = alerts.list();
  alerts.acknowledge("A");
  arrive(alerts, steps("A", "SS", 2));
  assert.deepEqual(summary(alerts), [["A", "severe", 2, false]]);
  assert.notEqual(alerts.list()[0], drop);
});

test("after a silence of five intervals earlier steps don't count", () => {
  const alerts = opened(steps("A", "S"));
  arrive(alerts, steps("A", "S", 26));
  assert.deepEqual(summary(alerts), []);
  arrive(alerts, steps("A", "S", 27));
  assert.deepEqual(summary(alerts), [["A", "severe", 26, false]]);
});

test("alerts are sorted: current, new, severe, lowest speed", () => {
  const { alerts } = alertsOf();
  const begin = (id, change, speed) => {
    for (const timestamp of [1, 2]) {
      const category = change ? "free_flow" : SEVERE;
      alerts.apply({ type: "prediction", data: prediction(id, { timestamp, category, speed_diff: change, predicted_speed: speed }) });
    }
  };
  for (const [id, change, speed] of [["drop", -20, 5], ["known", 0, 1], ["slow", 0, 10], ["slowest", 0, 9], ["silent", 0, 0]]) {
    begin(id, change, speed);
  }
  alerts.acknowledge("known");
  const listed = alerts.list(({ id }) => id !== "silent").map(({ id }) => id);
  assert.deepEqual(listed, ["slowest", "slow", "drop", "known", "silent"]);
});

test("an acknowledgement outlasts a reload", () => {
  const first = opened(steps("A", "S", 1));
  arrive(first, steps("A", "SSSSSSSSS", 2));
  first.acknowledge("A");
  arrive(first, steps("A", "SS", 11));
  const kept = first.acknowledgements();
  assert.deepEqual(kept, [["A", "severe", MINUTE, 12 * MINUTE]]);

  const soon = opened(steps("A", "S", 14), kept);
  soon.learn(steps("A", "SSS", 11));
  assert.deepEqual(summary(soon), [["A", "severe", 1, true]], "with the time of its first step");
  const over = opened(steps("A", "S", 17), kept);
  over.learn(steps("A", "S..S", 13));
  assert.deepEqual(summary(over), [["A", "severe", 16, false]], "it ended, and a new alert began");
  const calm = opened(steps("A", ".", 14), kept);
  arrive(calm, steps("A", ".SS", 15));
  assert.deepEqual(summary(calm), [["A", "severe", 16, false]]);
  const late = opened(steps("A", "S", 60), kept);
  arrive(late, steps("A", "S", 61));
  assert.deepEqual(summary(late), [["A", "severe", 60, false]], "the steps between are not known");
  const other = opened(steps("A", "d", 13), kept);
  assert.deepEqual(summary(other), [["A", "drop", 13, false]]);
});

test("an acknowledgement is taken over by other tabs until its alert ends", () => {
  const [one, other] = [opened(steps("A", "d")), opened(steps("A", "d"))];
  one.acknowledge("A");
  other.recall(one.acknowledgements());
  assert.deepEqual(summary(other), [["A", "drop", 1, true]]);
  arrive(other, steps("A", "...", 2));
  assert.deepEqual(other.acknowledgements(), []);
});

test("segments and acknowledgements are bounded", () => {
  const { alerts } = alertsOf();
  for (let number = 0; number < 20_001; number += 1) arrive(alerts, steps(`S${number}`, "d"));
  assert.equal(alerts.list().length, 20_000);
  for (const { id } of alerts.list()) alerts.acknowledge(id);
  assert.equal(alerts.acknowledgements().length, 2_000);
});

test("acknowledgements survive a storage that is forbidden or invalid", () => {
  const kept = new Map();
  /** @type {() => any} */
  const storage = () => ({ getItem: (key) => kept.get(key) ?? null, setItem: (key, text) => kept.set(key, text) });
  const keep = (alerts, given = storage) => new AcknowledgementStorage({ alerts, key: "k", storage: given });
  const alerts = opened(steps("A", "d"));
  alerts.acknowledge("A");
  keep(alerts).write();
  const other = opened(steps("A", "d"));
  keep(other).read();
  assert.deepEqual(summary(other), [["A", "drop", 1, true]]);
  const odd = opened(steps("A", "d"));
  for (const text of ["", "null", "{}", "[null, 5, [], [1, 2, 3, 4]]", '[["A", "drop", "1", null]]', "nonsense"]) {
    kept.set("k", text);
    keep(odd).read();
  }
  const forbidden = () => {
    throw new Error("SecurityError");
  };
  keep(odd, forbidden).read();
  keep(alerts, forbidden).write();
  assert.deepEqual(summary(odd), [["A", "drop", 1, false]]);
});

const observe = (alerts, minute, current_speed, fields = {}) =>
  alerts.apply({ type: "observation", data: { segment_id: "A", timestamp: minute * MINUTE, current_speed, ...fields } });

test("a jam that is only measured is an alert", () => {
  const { alerts } = alertsOf();
  observe(alerts, 1, 9, { road_name: "I-5 N" });
  observe(alerts, 2, 8, { road_name: "I-5 N", late: true });
  assert.deepEqual(kinds(alerts), []);
  observe(alerts, 3, 8, { road_name: "I-5 N" });
  const [alert] = alerts.list();
  assert.deepEqual([alert.now, alert.value, alert.since, alert.road], [8, null, MINUTE, "I-5 N"]);
  alerts.apply({ type: "left", segment_id: "A", reason: "expired" });
  assert.deepEqual(kinds(alerts), ["A severe"], "a prediction left");
  alerts.acknowledge("A");
  assert.ok(alerts.list()[0].acknowledged);
  for (const minute of [4, 5]) observe(alerts, minute, 60);
  assert.deepEqual(kinds(alerts), []);
});

test("a measured jam is an alert when the predictions of its segment have stopped", () => {
  const { alerts, say } = alertsOf();
  for (const category of [SEVERE, SEVERE]) say(category);
  for (const minute of [40, 45]) {
    alerts.apply({ type: "observation", data: { segment_id: "A", timestamp: minute * MINUTE, current_speed: 9 } });
  }
  const summary = (/** @type {any[]} */ all) => all.map(({ id, now, value }) => [id, now, value]);
  assert.deepEqual(summary(alerts.list(({ timestamp }) => timestamp > 35 * MINUTE)), [["A", 9, null]]);
  assert.deepEqual(summary(alerts.list()), [["A", 50, 2]]);
  alerts.acknowledge("A");
  assert.ok(alerts.list(({ timestamp }) => timestamp > 35 * MINUTE)[0].acknowledged);
});

test("a measured jam and its prediction are one alert", () => {
  const { alerts, say } = alertsOf();
  for (const minute of [1, 2]) observe(alerts, minute, 9);
  for (const category of [SEVERE, SEVERE]) say(category);
  assert.deepEqual(kinds(alerts), ["A severe"]);
  assert.equal(alerts.list()[0].value, 2, "that of the prediction");
  alerts.acknowledge("A");
  for (const category of ["free_flow", "free_flow"]) say(category);
  assert.deepEqual(summary(alerts), [["A", "severe", 1, true]], "what is measured is left");
});

test("a new view replaces observations, and a removed segment has none", () => {
  const { alerts } = alertsOf();
  const view = (...observations) => alerts.apply({ type: "initial", predictions: [], observations });
  for (const minute of [1, 2]) view({ segment_id: "A", timestamp: minute * MINUTE, current_speed: 9 });
  assert.deepEqual(kinds(alerts), ["A severe"]);
  view({ segment_id: "B", timestamp: MINUTE, current_speed: 9 });
  assert.deepEqual(kinds(alerts), []);
  for (const minute of [3, 4]) observe(alerts, minute, 9);
  alerts.apply({ type: "left", segment_id: "A", reason: "removed" });
  assert.deepEqual(kinds(alerts), []);
});
