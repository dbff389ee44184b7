import assert from "node:assert/strict";
import { test } from "node:test";
import { sseTransport } from "../../static/greenwave.js";
import { FakeTime, settle, streamingResponse } from "./fakes.js";

/** @param {{ answer?: any, cursor?: string | null, pause?: () => Promise<any> }} options */
function open({ answer, cursor = null, pause = async () => {} } = {}) {
  const time = new FakeTime();
  const seen = { messages: [], states: [], asked: [] };
  const fetch = async (address, options) => {
    seen.asked.push(address);
    seen.signal = options.signal;
    return typeof answer === "function" ? answer() : answer.response;
  };
  const transport = sseTransport({ url: "/stream", heartbeatSeconds: 15, fetch, timers: time, pause });
  const close = transport.open({
    cursor,
    onMessage: (message, at) => seen.messages.push([message.type, at]),
    onState: (state) => seen.states.push(state),
  });
  return { time, seen, close };
}

const GREETING = 'data: {"type":"connected","heartbeat_seconds":10}\n\n';

test("a stream opens with its first message, and passes cursors on", async () => {
  const answer = streamingResponse();
  const { seen } = open({ answer, cursor: "c/0" });
  await answer.write(": padding\n\n");
  assert.deepEqual(seen.states, []);
  await answer.write(`${GREETING}id: c1\ndata: {"type":"prediction"}\n\n`);
  assert.deepEqual(seen.states, [{ state: "open" }]);
  assert.deepEqual(seen.messages, [["connected", null], ["prediction", "c1"]]);
  assert.deepEqual(seen.asked, ["/stream?after=c%2F0"]);
});

test("a view in parts is joined, with the cursor of its last part", async () => {
  const answer = streamingResponse();
  const { seen } = open({ answer });
  await answer.write(`${GREETING}data: {"type":"initial","predictions":[1],"count":3}\n\n`);
  await answer.write('data: {"type":"prediction","data":2}\n\n');
  assert.deepEqual(seen.messages.slice(1), [["loading", null]]);
  await answer.write('id: c1\ndata: {"type":"prediction","data":3}\n\n');
  assert.deepEqual(seen.messages.slice(2), [["initial", "c1"]]);
});

test("other tasks run between two chunks of a stream", async () => {
  const answer = streamingResponse();
  let goOn;
  const { seen } = open({ answer, pause: () => new Promise((resolve) => (goOn = resolve)) });
  await answer.write(GREETING);
  await answer.write('data: {"type":"stats"}\n\n');
  assert.deepEqual(seen.messages.map(([type]) => type), ["connected"]);
  goOn();
  await settle();
  assert.deepEqual(seen.messages.map(([type]) => type), ["connected", "stats"]);
});

test("heartbeats keep a stream open, and two missing ones end it", async () => {
  const answer = streamingResponse();
  const { time, seen } = open({ answer });
  await answer.write(GREETING);
  for (let beat = 0; beat < 5; beat += 1) {
    await time.advance(15_000);
    await answer.write(": heartbeat\n\n");
  }
  assert.equal(seen.states.length, 1);
  await time.advance(20_000);
  assert.deepEqual(seen.states.at(-1), { state: "closed", reason: "silent", retryMs: null });
  assert.ok(seen.signal.aborted);
});

test("padding does not open a stream", async () => {
  const answer = streamingResponse();
  const { time, seen } = open({ answer });
  await time.advance(4_000);
  await answer.write(":          \n\n");
  await time.advance(1_000);
  assert.equal(seen.states[0].reason, "late");
});

test("a missing answer is late", async () => {
  const { time, seen } = open({ answer: () => new Promise(() => {}) });
  await time.advance(5_000);
  assert.equal(seen.states[0].reason, "late");
});

/** @type {[string, Parameters<typeof streamingResponse>[0]][]} */
const REFUSALS = [
  ["503", { status: 503 }],
  ["a page in place of a stream", { type: "text/html" }],
];
for (const [name, given] of REFUSALS) {
  test(`${name} is a refusal`, async () => {
    const { seen } = open({ answer: streamingResponse(given) });
    await settle();
    assert.deepEqual(seen.states, [{ state: "closed", reason: "refused", retryMs: null }]);
  });
}

test("an unreachable server ends the attempt", async () => {
  const { seen } = open({ answer: () => Promise.reject(new TypeError("failed")) });
  await settle();
  assert.equal(seen.states[0].reason, "unreachable");
});

test("busy ends a stream before it opens, with the retry time", async () => {
  const answer = streamingResponse();
  const { seen } = open({ answer });
  await answer.write('retry: 7000\n\ndata: {"type":"busy"}\n\n');
  assert.deepEqual(seen.states, [{ state: "closed", reason: "busy", retryMs: 7000 }]);
  assert.deepEqual(seen.messages, []);
});

test("bye ends the stream once, with the retry time", async () => {
  const answer = streamingResponse();
  const { seen } = open({ answer });
  await answer.write(`${GREETING}retry: 900\n\ndata: {"type":"bye"}\n\n`);
  await answer.finish();
  assert.deepEqual(seen.states.slice(1), [{ state: "closed", reason: "bye", retryMs: 900 }]);
});

test("a cut stream reports its end", async () => {
  const answer = streamingResponse();
  const { seen, time } = open({ answer });
  await answer.write(GREETING);
  await answer.finish();
  assert.equal(seen.states.at(-1).reason, "ended");
  assert.equal(time.pending, 0);
});

test("an unreadable event does not end the stream", async () => {
  const answer = streamingResponse();
  const { seen } = open({ answer });
  await answer.write(`${GREETING}data: {oops\n\nid: c2\ndata: {"type":"prediction"}\n\n`);
  assert.deepEqual(seen.messages.at(-1), ["prediction", "c2"]);
  assert.equal(seen.states.length, 1);
});

test("a closed stream reports nothing", async () => {
  const answer = streamingResponse();
  const { seen, close, time } = open({ answer });
  await answer.write(GREETING);
  close();
  await answer.write('data: {"type":"prediction"}\n\n');
  await answer.finish();
  assert.deepEqual(seen.messages, [["connected", null]]);
  assert.equal(seen.states.length, 1);
  assert.equal(time.pending, 0);
});
