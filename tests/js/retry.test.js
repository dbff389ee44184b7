import assert from "node:assert/strict";
import { test } from "node:test";
import { untilDone } from "../../static/js/retry.js";
import { FakeTime } from "./fakes.js";

test("what fails is repeated every ten seconds until it succeeds", async () => {
  const time = new FakeTime();
  let runs = 0;
  const step = async () => {
    runs += 1;
    if (runs < 3) throw new TypeError("Failed to fetch");
  };
  await untilDone(step, time.setTimeout);
  await time.advance(9_999);
  assert.equal(runs, 1);
  await time.advance(10_001);
  assert.deepEqual([runs, time.pending], [3, 0]);
  await time.advance(60_000);
  assert.equal(runs, 3);
});
