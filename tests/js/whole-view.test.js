import assert from "node:assert/strict";
import { test } from "node:test";
import { Store } from "../../static/js/store.js";
import { WholeView } from "../../static/greenwave.js";

const at = (name, speed = 50) => ({ segment_id: name, timestamp: 1, predicted_speed: speed, category: "moderate_traffic" });
/** @returns {import("../../static/js/types.js").Message} */
const initial = (count, ...names) => ({ type: "initial", predictions: names.map((name) => at(name)), count });
/** @returns {import("../../static/js/types.js").Message} */
const prediction = (name, speed) => ({ type: "prediction", data: at(name, speed) });
/** @returns {import("../../static/js/types.js").Message} */
const loading = (count) => ({ type: "loading", count });
const status = { type: "status", state: "live" };

function joined(...messages) {
  const seen = [];
  const view = new WholeView((message, cursor) => seen.push([message, cursor]));
  for (const [message, cursor = null] of messages) view.push(message, cursor);
  return seen;
}

test("parts are joined to one view, with the cursor of the last part", () => {
  const seen = joined([initial(3, "A")], [prediction("B")], [prediction("C"), "c1"], [prediction("A", 7), "c2"]);
  assert.deepEqual(seen, [[loading(3), null], [initial(3, "A", "B", "C"), "c1"], [prediction("A", 7), "c2"]]);
});

test("a complete view, or one without a count, is passed on", () => {
  const bare = { type: "initial", predictions: [at("A")] };
  const messages = [[initial(0), "c0"], [initial(1, "A"), "c1"], [bare, "c2"], [prediction("B"), "c3"]];
  assert.deepEqual(joined(...messages), messages);
});

test("other messages pass while a view is joined", () => {
  const seen = joined([initial(2, "A")], [status], [prediction("B"), "c1"]);
  assert.deepEqual(seen, [[loading(2), null], [status, null], [initial(2, "A", "B"), "c1"]]);
});

test("a new view replaces an incomplete one", () => {
  const seen = joined([initial(3, "A")], [prediction("B")], [initial(2, "X")], [prediction("Y"), "c1"]);
  assert.deepEqual(seen, [[loading(3), null], [loading(2), null], [initial(2, "X", "Y"), "c1"]]);
});

test("the parts of a view don't count as received", () => {
  const store = new Store({ intervalSeconds: 300, clock: () => 1_000 });
  const view = new WholeView((message) => store.apply(message));
  for (const message of [initial(2, "A"), prediction("B")]) view.push(message, null);
  assert.deepEqual([...store.segments.keys()], ["A", "B"]);
  assert.equal(store.arrivals.count, 0);
  view.push(prediction("B", 7), null);
  assert.equal(store.arrivals.count, 1);
});
