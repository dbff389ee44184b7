/** A view that replaces the one that is shown: after a resume under a filter, after a gap, in a poll without a gap. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Alerts } from "../../static/js/alerts.js";
import { Store } from "../../static/js/store.js";
import { prediction } from "./fakes.js";

const SEVERE = "severe_congestion";
const MINUTE = 60_000;

const at = (id, minute, fields = {}) =>
  prediction(id, { timestamp: minute * MINUTE, prediction_time: new Date(minute * MINUTE).toISOString(), ...fields });
/** @returns {import("../../static/js/types.js").Message} */
const arrives = (data) => ({ type: "prediction", data });
/** @returns {import("../../static/js/types.js").Message} */
const initial = (...predictions) => ({ type: "initial", predictions: structuredClone(predictions), count: predictions.length });

function makeStore() {
  return new Store({ intervalSeconds: 300, clock: () => 20 * MINUTE });
}

/** What a resume under a filter brings: the matches after the cursor, then the view, then live changes. */
function resumed() {
  const store = makeStore();
  const [first, match, other] = [at("A", 1, { predicted_speed: 50 }), at("A", 2, { predicted_speed: 40 }), at("B", 1)];
  for (const message of [initial(first, other), arrives(match)]) store.apply(message);
  store.takeChanges();
  return { store, match, other };
}

test("a view that repeats what is shown is not taken for updates", () => {
  const { store, match, other } = resumed();
  const before = [...store.segments.values()];
  store.apply(initial(match, other));
  assert.deepEqual(store.trail("A"), [50, 40], "no point twice");
  assert.equal(store.segments.get("A"), match, "the same object, so its row does not blink");
  assert.equal(store.arrivals.timeOf(store.segments.get("A")), 20 * MINUTE);
  assert.deepEqual(new Set(store.segments.values()), new Set(before));
  assert.deepEqual([...store.takeChanges().segments], []);
});

test("a view with newer predictions extends the trails", () => {
  const { store, other } = resumed();
  store.apply(initial(at("A", 3, { predicted_speed: 30 }), other, at("C", 3)));
  assert.deepEqual(store.trail("A"), [50, 40, 30]);
  assert.deepEqual([...store.takeChanges().segments], ["A", "C"]);
  assert.equal(store.arrivals.count, 1, "a view does not count as received");
});

test("listeners never see a view that is partly replaced", () => {
  const { store, match, other } = resumed();
  const sizes = [];
  store.subscribe(() => sizes.push(store.segments.size));
  store.apply(initial(match, other));
  store.apply(arrives(at("A", 4)));
  assert.deepEqual(sizes, [2, 2]);
});

test("a view removes what left the filter, and live changes follow", () => {
  const { store, other } = resumed();
  store.apply(initial(other));
  assert.deepEqual([...store.segments.keys()], ["B"]);
  assert.equal(store.takeChanges().replaced, true);
  store.apply(arrives(at("A", 5, { predicted_speed: 20 })));
  assert.deepEqual(store.trail("A"), [20], "the trail of a segment that left is not continued");
  store.apply({ type: "left", segment_id: "B", reason: "no_match" });
  assert.deepEqual([...store.segments.keys()], ["A"]);
});

test("a view that repeats an alert's step keeps the alert and its start", () => {
  const alerts = new Alerts({ unit: "mph", intervalSeconds: 300 });
  const steps = [1, 2, 3].map((minute) => at("A", minute, { category: SEVERE }));
  for (const step of steps) alerts.apply(arrives(step));
  const [alert] = alerts.list();
  alerts.acknowledge("A");
  alerts.apply(initial(steps.at(-1)));
  assert.deepEqual(alerts.list(), [alert]);
  assert.equal(alerts.list()[0], alert, "the same object, so it is not announced again");
  assert.deepEqual([alert.since, alert.acknowledged], [MINUTE, true]);
  assert.deepEqual(alerts.unsure(), [], "no earlier steps are requested again");
});
