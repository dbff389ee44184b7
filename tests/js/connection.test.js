import assert from "node:assert/strict";
import { test } from "node:test";
import { Connection, backoff } from "../../static/greenwave.js";
import { FakeTime, FakeTransport } from "./fakes.js";

function ladder(options = {}) {
  const time = new FakeTime();
  const stream = new FakeTransport("SSE", true);
  const polling = new FakeTransport("Polling", false);
  const messages = [];
  const connection = new Connection({
    transports: [stream, polling],
    onMessage: (message) => messages.push(message),
    onState: () => {},
    timers: time,
    clock: time.clock,
    random: () => 1,
    ...options,
  });
  connection.start();
  return { time, stream, polling, connection, messages };
}

const phase = ({ state }) => state.phase;

test("a stream that opens is live", () => {
  const { stream, polling, connection } = ladder();
  assert.equal(phase(connection), "connecting");
  stream.succeed();
  assert.equal(phase(connection), "live");
  assert.equal(connection.state.transport, "SSE");
  assert.equal(polling.opened.length, 0);
});

for (const reason of ["refused", "unreachable", "late", "busy"]) {
  test(`a stream that is ${reason} falls back to polling at once`, () => {
    const { stream, polling, connection } = ladder();
    stream.end(reason);
    assert.equal(polling.openNow, 1);
    polling.succeed();
    assert.equal(phase(connection), "polling");
  });
}

test("a broken connection is shown as lost after a second of other attempts", async () => {
  const { time, stream, polling, connection } = ladder();
  stream.succeed();
  const cutAt = time.now;
  stream.end("ended");
  await time.advance(900);
  assert.equal(phase(connection), "live");
  await time.advance(200);
  assert.equal(phase(connection), "connecting");
  assert.equal(connection.state.lostAt, cutAt);
  polling.succeed();
  assert.equal(phase(connection), "polling");
  assert.equal(connection.state.lostAt, null);
});

test("an interruption of less than a second is not shown", async () => {
  const { time, stream, polling, connection } = ladder();
  stream.succeed();
  stream.end("ended");
  polling.succeed();
  await time.advance(1_500);
  assert.equal(phase(connection), "polling");
});

test("all transports share one cursor", async () => {
  const { time, stream, polling } = ladder();
  stream.succeed();
  stream.last.onMessage({ type: "prediction" }, "c1");
  stream.last.onMessage({ type: "stats" }, null);
  stream.end("ended");
  assert.equal(polling.last.cursor, "c1");
  polling.succeed();
  polling.last.onMessage({ type: "position" }, "c7");
  await time.advance(2_000);
  assert.equal(stream.last.cursor, "c7");
});

test("while polling, better transports are tried with growing waits", async () => {
  const { time, stream, polling } = ladder();
  stream.end("refused");
  polling.succeed();
  const waits = [];
  for (let climb = 0; climb < 12; climb += 1) {
    const before = time.now;
    const tries = stream.opened.length;
    while (stream.opened.length === tries && time.now - before < 100_000) await time.advance(1_000);
    waits.push((time.now - before) / 1000);
    stream.end("refused");
    polling.succeed();
  }
  assert.deepEqual(waits, [2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60, 60]);
});

test("an upgrade closes polling before the stream opens", async () => {
  const { time, stream, polling } = ladder();
  stream.end("refused");
  polling.succeed();
  await time.advance(2_000);
  assert.equal(polling.openNow, 0);
  assert.equal(stream.openNow, 1);
});

test("a failed upgrade is not shown", async () => {
  const { time, stream, polling, connection } = ladder();
  stream.end("refused");
  polling.succeed();
  await time.advance(2_000);
  assert.equal(phase(connection), "polling");
  stream.end("late");
  assert.equal(phase(connection), "polling");
  assert.equal(polling.openNow, 1);
});

test("a busy server gets no stream request before its retry time", async () => {
  const { time, stream, polling } = ladder();
  stream.end("busy", 12_000);
  polling.succeed();
  await time.advance(11_000);
  assert.equal(stream.opened.length, 1);
  await time.advance(1_000);
  assert.equal(stream.opened.length, 2);
});

test("a cut stream is opened again after the server's retry time", async () => {
  const { time, stream, polling, connection } = ladder();
  stream.succeed();
  await time.advance(30_000);
  stream.end("ended", 1_500);
  assert.equal(phase(connection), "waiting");
  assert.equal(connection.state.retryAt, time.now + 1_500);
  await time.advance(1_500);
  assert.equal(stream.openNow, 1);
  assert.equal(polling.opened.length, 0);
});

test("a stream that breaks at once is treated as not open", async () => {
  const { stream, polling } = ladder();
  stream.succeed();
  stream.end("ended");
  assert.equal(polling.openNow, 1);
});

test("after bye the connection waits for the server's retry time", async () => {
  const { time, stream, connection } = ladder();
  stream.succeed();
  stream.end("bye", 700);
  assert.equal(phase(connection), "waiting");
  await time.advance(700);
  assert.equal(stream.opened.length, 2);
});

test("without any transport the waits grow to 8 s and never end", async () => {
  const { time, stream, polling, connection } = ladder();
  stream.end("unreachable");
  polling.end("unreachable");
  const lostAt = time.now;
  const waits = [];
  for (let attempt = 1; attempt <= 8; attempt += 1) {
    assert.equal(connection.state.attempt, attempt);
    assert.equal(connection.state.lostAt, lostAt);
    waits.push((connection.state.retryAt - time.now) / 1000);
    await time.advance(connection.state.retryAt - time.now);
    assert.equal(phase(connection), "connecting");
    stream.end("unreachable");
    polling.end("unreachable");
  }
  assert.deepEqual(waits, [1, 2, 4, 8, 8, 8, 8, 8]);
});

test("a server that comes back ends the outage", async () => {
  const { time, stream, polling, connection } = ladder();
  stream.end("unreachable");
  polling.end("unreachable");
  await time.advance(1_000);
  stream.succeed();
  assert.equal(phase(connection), "live");
  assert.equal(connection.state.lostAt, null);
  assert.equal(connection.state.attempt, 0);
});

test("waits are short again in the next outage", async () => {
  const { time, stream, polling, connection } = ladder();
  for (let attempt = 0; attempt < 4; attempt += 1) {
    stream.end("unreachable");
    polling.end("unreachable");
    await time.advance(8_000);
  }
  stream.succeed();
  stream.end("ended");
  polling.end("unreachable");
  assert.equal(connection.state.retryAt - time.now, 1_000);
});

test("after a settled stream upgrades are tried with short waits again", async () => {
  const { time, stream, polling } = ladder();
  for (let climb = 0; climb < 5; climb += 1) {
    stream.end("refused");
    polling.succeed();
    await time.advance(32_000);
  }
  stream.succeed();
  await time.advance(60_000);
  stream.end("ended", 1_000);
  await time.advance(1_000);
  stream.end("refused");
  polling.succeed();
  const tries = stream.opened.length;
  await time.advance(2_000);
  assert.equal(stream.opened.length, tries + 1);
});

const refuse = ({ last }, status) =>
  last.onState({ state: "closed", reason: "refused", retryMs: null, refusal: { status, text: "why" } });

for (const [name, status, options] of /** @type {[string, number, object][]} */ ([
  ["a filter that is refused", 400, {}],
  ["missing rights", 403, {}],
  ["a token that is refused", 401, { canRenew: false }],
])) {
  test(`${name} ends the connection, with the text of the server`, async () => {
    const { time, stream, polling, connection } = ladder(options);
    refuse(stream, status);
    assert.deepEqual([phase(connection), connection.state.error], ["ended", "why"]);
    await time.advance(100_000);
    assert.deepEqual([stream.opened.length, polling.opened.length, time.pending], [1, 0, 0]);
    connection.retryNow();
    assert.deepEqual([phase(connection), connection.state.error, stream.opened.length], ["connecting", null, 2]);
  });
}

test("where the token can be renewed, 401 is tried again after a wait", async () => {
  const { time, stream, polling, connection } = ladder();
  refuse(stream, 401);
  assert.deepEqual([phase(connection), connection.state.reason], ["waiting", "signed_out"]);
  await time.advance(1_000);
  assert.deepEqual([stream.opened.length, polling.opened.length], [2, 0]);
});

test("retryNow() tries the best transport at once", () => {
  const { stream, polling, connection } = ladder();
  stream.end("unreachable");
  polling.end("unreachable");
  connection.retryNow();
  assert.equal(stream.openNow, 1);
  stream.end("refused");
  polling.succeed();
  connection.retryNow();
  assert.equal(stream.openNow + polling.openNow, 1);
});

test("stop() closes what is open and leaves no timer", async () => {
  const { time, stream, polling, connection } = ladder();
  stream.end("refused");
  polling.succeed();
  connection.stop();
  assert.equal(polling.openNow, 0);
  assert.equal(time.pending, 0);
});

test("half of each wait is random", () => {
  assert.equal(backoff(2, 1_000, 8_000, () => 0), 2_000);
  assert.equal(backoff(2, 1_000, 8_000, () => 1), 4_000);
  assert.equal(backoff(5_000, 1_000, 8_000, () => 1), 8_000);
});

for (const at of ["live", "polling", "waiting", "connecting"]) {
  test(`a callback can stop the connection when it is ${at}`, async () => {
    const { time, stream, polling, connection } = ladder({
      onState: (state) => {
        if (connection.state.attempt < 2 && state.phase === at) connection.stop();
      },
    });
    if (at === "live") stream.succeed();
    else {
      stream.end("unreachable");
      if (at === "polling") polling.succeed();
      else polling.end("unreachable");
    }
    await time.advance(60_000);
    assert.equal(stream.openNow + polling.openNow, 0);
    assert.equal(time.pending, 0);
    assert.equal(stream.opened.length, 1);
  });
}

test("a second start() leaves one transport open", () => {
  const { stream, connection } = ladder();
  connection.start();
  assert.equal(stream.openNow, 1);
});

test("a wait is never longer than a timer can be", async () => {
  const { time, stream, polling, connection } = ladder();
  stream.end("unreachable");
  polling.end("busy", 1e12);
  assert.equal(connection.state.retryAt, time.now + 2 ** 31 - 1);
});

test("without a token it waits with back-off and tries no other transport", async () => {
  const { time, stream, polling, connection } = ladder();
  const waits = [];
  for (let attempt = 0; attempt < 5; attempt += 1) {
    stream.last.ended = true;
    stream.last.onState({ state: "closed", reason: "no_token", retryMs: null, error: "the token function returned no token" });
    const { phase: shown, reason, error, retryAt } = connection.state;
    assert.deepEqual([shown, reason, error], ["waiting", "no_token", "the token function returned no token"]);
    waits.push(retryAt - time.now);
    await time.advance(retryAt - time.now);
  }
  assert.deepEqual(waits, [1_000, 2_000, 4_000, 8_000, 8_000]);
  assert.equal(polling.opened.length, 0);
  stream.succeed();
  assert.deepEqual([phase(connection), connection.state.error], ["live", null]);
});

test("a token that the server refuses is shown with the server's text while the next one is awaited", () => {
  const { stream, polling, connection } = ladder();
  stream.last.onState({ state: "closed", reason: "refused", retryMs: null, refusal: { status: 401, text: "the token has expired" } });
  const { phase: shown, reason, error } = connection.state;
  assert.deepEqual([shown, reason, error], ["waiting", "signed_out", "the token has expired"]);
  assert.equal(polling.opened.length, 0);
});
