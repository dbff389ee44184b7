import assert from "node:assert/strict";
import { test } from "node:test";
import { Frames } from "../../static/js/view/frames.js";
import { FakeTime } from "./fakes.js";

function makeFrames() {
  const time = new FakeTime();
  const log = [];
  let pending = null;
  let renderings = 0;
  function* render(inFull) {
    renderings += 1;
    const name = `${renderings}${inFull ? " in full" : ""}`;
    log.push(`${name}: table`);
    yield;
    log.push(`${name}: map`);
  }
  const requestFrame = (action) => {
    assert.equal(pending, null, "one frame is requested at a time");
    pending = action;
    return 1;
  };
  const frame = () => {
    const action = pending;
    pending = null;
    action?.();
  };
  const frames = new Frames({ render, requestFrame, timers: time, clock: time.clock });
  return { frames, time, log, frame, taken: () => log.splice(0) };
}

test("updates are rendered one step per frame", async () => {
  const { frames, time, frame, taken } = makeFrames();
  frames.renderUpdates();
  await time.advance(0);
  assert.deepEqual(taken(), []);
  frame();
  assert.deepEqual(taken(), ["1: table"]);
  frame();
  assert.deepEqual(taken(), ["1: map"]);
  frame();
  assert.deepEqual(taken(), []);
});

test("updates are rendered at most five times a second", async () => {
  const { frames, time, log, frame } = makeFrames();
  for (let ms = 0; ms < 990; ms += 10) {
    frames.renderUpdates();
    await time.advance(10);
    frame();
  }
  assert.equal(log.filter((step) => step.endsWith("table")).length, 5);
});

test("an action is rendered completely in the next frame", () => {
  const { frames, frame, taken } = makeFrames();
  frames.renderSoon();
  frames.renderSoon();
  frame();
  assert.deepEqual(taken(), ["1 in full: table", "1 in full: map"]);
});

test("an action finishes a rendering that was started", async () => {
  const { frames, time, frame, taken } = makeFrames();
  frames.renderUpdates();
  await time.advance(0);
  frame();
  frames.renderNow();
  assert.deepEqual(taken(), ["1: table", "1: map", "2 in full: table", "2 in full: map"]);
});
