/** Tokens of a function: what it may do wrong, and how each transport ends then. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { authorizationBy, pollingTransport, sseTransport, webSocketTransport } from "../../static/greenwave.js";
import { FakeTime, settle } from "./fakes.js";

const answers = (given) => assert.fail(`there was a request: ${given}`);
class NoSocket {
  constructor(url) {
    answers(url);
  }
}

const TRANSPORTS = {
  sse: (given) => sseTransport({ url: "/stream", fetch: answers, ...given }),
  websocket: (given) => webSocketTransport({ url: "http://host/ws", ticketUrl: "/tickets", fetch: answers, WebSocket: /** @type {any} */ (NoSocket), ...given }),
  polling: (given) => pollingTransport({ url: "/api", healthUrl: "/health", everySeconds: 5, fetch: answers, ...given }),
};

function open(name, token) {
  const time = new FakeTime();
  const states = [];
  const transport = TRANSPORTS[name]({ authorization: authorizationBy(token), timers: time });
  const close = transport.open({ cursor: null, onMessage: () => {}, onState: (state) => states.push(state) });
  return { time, states, close };
}

const CANT_BE_SENT = "the token can't be sent; allowed: a text of visible ASCII characters";
/** @type {[string, () => any, string][]} */
const FAULTS = [
  ["throws", () => { throw new Error("no network"); }, "the token function failed: no network"],
  ["rejects", async () => Promise.reject(new Error("no network")), "the token function failed: no network"],
  ["rejects with a text", async () => Promise.reject("signed out"), "the token function failed: signed out"],
  ["returns nothing", () => undefined, "the token function returned no token"],
  ["returns an empty text", () => "", "the token function returned no token"],
  ["returns a number", () => 7, CANT_BE_SENT],
  ["returns two lines", () => "a\nX-Other: b", CANT_BE_SENT],
];

for (const name of Object.keys(TRANSPORTS)) {
  for (const [what, token, error] of FAULTS) {
    test(`${name}: a token function that ${what} ends the transport with its error`, async () => {
      const { states, time } = open(name, token);
      await settle();
      assert.deepEqual(states, [{ state: "closed", reason: "no_token", retryMs: null, error }]);
      assert.equal(time.pending, 0);
    });
  }

  test(`${name}: a token function that hangs ends the transport after 10 s`, async () => {
    let fail = (_) => {};
    const { states, time } = open(name, () => new Promise((_, reject) => (fail = reject)));
    await time.advance(9_900);
    assert.deepEqual(states, []);
    await time.advance(100);
    assert.deepEqual([states[0].reason, states[0].error], ["no_token", "the token function has not answered for 10 s"]);
    fail(new Error("too late"));
    await settle();
    assert.deepEqual([states.length, time.pending], [1, 0]);
  });

  test(`${name}: a transport that is closed before its token came requests nothing`, async () => {
    let give = (_) => {};
    const { states, time, close } = open(name, () => new Promise((resolve) => (give = resolve)));
    await settle();
    close();
    give("t");
    await settle();
    assert.deepEqual([states.length, time.pending], [0, 0]);
  });
}

test("a token that can't be sent is refused at once", () => {
  for (const token of ["", "a\nb", "tökén"]) assert.throws(() => authorizationBy(token), /visible ASCII/);
});
