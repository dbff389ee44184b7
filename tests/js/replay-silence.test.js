import assert from "node:assert/strict";
import { test } from "node:test";

import { ageReplay } from "../../static/js/replay-silence.js";
import { Store } from "../../static/js/store.js";

function storeOf(source) {
  const store = new Store({ intervalSeconds: 300 });
  store.apply({ type: "initial", predictions: [prediction("A", source)] });
  return store;
}

const prediction = (id, source) => ({ segment_id: id, timestamp: 5_000, predicted_speed: 50, category: "free_flow", source });
/** @returns {any} */
const apiThat = (silenceSeconds) => ({ silenceSeconds });

test("a replay is as old as the silence of the server", async () => {
  const store = storeOf("replay");
  assert.equal(await ageReplay(store, apiThat(async () => 1_200)), true);
  assert.ok(store.ages.staleReplaySeconds >= 1_200);
});

test("events that come before the answer make a replay live", async () => {
  const store = storeOf("replay");
  const api = apiThat(async () => {
    store.apply({ type: "prediction", data: prediction("B", "replay") });
    return 1_200;
  });
  assert.equal(await ageReplay(store, api), false);
  assert.equal(store.ages.staleReplaySeconds, null);
});

test("without an answer, or without a replay, ages stay", async () => {
  const fails = apiThat(() => Promise.reject(new Error("offline")));
  assert.equal(await ageReplay(storeOf("replay"), fails), false);
  assert.equal(await ageReplay(storeOf("live"), apiThat(() => assert.fail("asked"))), false);
});
