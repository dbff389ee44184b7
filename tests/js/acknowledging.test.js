import assert from "node:assert/strict";
import { test } from "node:test";
import { AcknowledgementStorage } from "../../static/js/acknowledgement-storage.js";
import { Acknowledging } from "../../static/js/acknowledging.js";
import { Alerts } from "../../static/js/alerts.js";
import { FakeTime, prediction } from "./fakes.js";

const MINUTE = 60_000;

/** A page with alerts for these segments; `words` is what its dialog returns. */
function page(kept, { isShared = false, words = /** @type {any} */ (null), ids = ["A", "B"] } = {}) {
  const time = new FakeTime();
  const alerts = new Alerts({ unit: "mph", intervalSeconds: 300 });
  for (const minute of [1, 2]) {
    for (const id of ids) {
      const data = prediction(id, { category: "severe_congestion", timestamp: minute * MINUTE });
      alerts.apply({ type: "prediction", data });
    }
  }
  /** @type {any[]} */
  const calls = [];
  const shared = /** @type {any} */ ({
    start: () => calls.push("start"),
    stop: () => calls.push("stop"),
    acknowledge: async (given, said) => calls.push([given, said]),
  });
  /** @type {any} */
  const storage = () => ({ getItem: (key) => kept.get(key) ?? null, setItem: (key, text) => kept.set(key, text) });
  const stored = new AcknowledgementStorage({ alerts, key: "k", storage, timers: /** @type {any} */ (time) });
  const ask = async (note, title) => (calls.push([note, title]), words);
  let renders = 0;
  const acknowledging = new Acknowledging({ alerts, shared, stored, isShared, ask, onChange: () => (renders += 1) });
  acknowledging.start();
  const open = () => alerts.list().flatMap(({ id, acknowledged }) => (acknowledged ? [] : id));
  return { acknowledging, alerts, time, calls, open, renders: () => renders };
}

test("acknowledgements of one browser hold in its other tabs, and after a reload", async () => {
  const kept = new Map();
  const [one, other] = [page(kept), page(kept)];
  await one.acknowledging.acknowledge(["A"]);
  assert.deepEqual([one.open(), one.renders(), one.calls], [["B"], 1, []]);
  other.acknowledging.follow("another key");
  assert.deepEqual([other.open(), other.renders()], [["A", "B"], 0]);
  other.acknowledging.follow("k");
  assert.deepEqual([other.open(), other.renders()], [["B"], 1]);
  assert.deepEqual(page(kept).open(), ["B"]);
});

test("all open alerts are acknowledged at once", async () => {
  const here = page(new Map());
  await here.acknowledging.acknowledgeAll();
  assert.deepEqual(here.open(), []);
});

test("what lasts is stored every half a minute until the page is left", async () => {
  const kept = new Map();
  const { acknowledging, alerts, time } = page(kept, { ids: ["A"] });
  await acknowledging.acknowledge(["A"]);
  const before = kept.get("k");
  const severe = (minute) => prediction("A", { category: "severe_congestion", timestamp: minute * MINUTE });
  alerts.apply({ type: "prediction", data: severe(3) });
  await time.advance(29_000);
  assert.equal(kept.get("k"), before);
  await time.advance(1_000);
  const after = kept.get("k");
  assert.notEqual(after, before);
  alerts.apply({ type: "prediction", data: severe(4) });
  acknowledging.stop();
  assert.notEqual(kept.get("k"), after);
  assert.equal(time.pending, 0);
});

test("shared acknowledgements go to the server, with the words of the user", async () => {
  const kept = new Map();
  const here = page(kept, { isShared: true, words: { name: "Ann", note: null } });
  await here.acknowledging.acknowledgeAll();
  await here.acknowledging.note(["A"], "crew sent", "Note");
  here.acknowledging.follow("k");
  here.acknowledging.stop();
  assert.deepEqual(here.calls.filter((call) => typeof call === "string" || Array.isArray(call[0])), [
    "start",
    [["A", "B"], { name: "Ann", note: null }],
    [["A"], { name: "Ann", note: null }],
    "stop",
  ]);
  assert.deepEqual([here.renders(), kept.size, here.open()], [0, 0, ["A", "B"]]);
});

test("a user who cancels the dialog acknowledges nothing", async () => {
  const here = page(new Map(), { isShared: true });
  await here.acknowledging.note(["A"], "", "Note");
  assert.deepEqual(here.calls, ["start", ["", "Note"]]);
});
