import assert from "node:assert/strict";
import { test } from "node:test";
import { webSocketTransport } from "../../static/greenwave.js";
import { FakeTime, jsonResponse, settle } from "./fakes.js";

/** @param {{ cursor?: string | null, settings?: object }} options */
function open({ cursor = null, settings = {} } = {}) {
  const time = new FakeTime();
  const seen = { messages: [], states: [], sockets: [], sent: [] };
  class FakeSocket {
    /** @type {(event: { data: string }) => void} */
    onmessage;

    constructor(address) {
      Object.assign(this, { address, closed: false });
      seen.sockets.push(this);
    }

    say(message) {
      this.onmessage({ data: typeof message === "string" ? message : JSON.stringify(message) });
    }

    send(text) {
      seen.sent.push(JSON.parse(text));
    }

    close() {
      this.closed = true;
    }
  }
  const WebSocket = /** @type {any} */ (FakeSocket);
  const transport = webSocketTransport({ url: "http://host/ws", heartbeatSeconds: 15, WebSocket, timers: time, ...settings });
  const close = transport.open({
    cursor,
    onMessage: (message, at) => seen.messages.push([message, at]),
    onState: (state) => seen.states.push(state),
  });
  return { time, seen, close, socket: seen.sockets[0] };
}

const authorization = async () => ({ Authorization: "Bearer t" });

test("with a token a socket is opened by a ticket", async () => {
  const asked = [];
  const fetch = async (...request) => (asked.push(request), jsonResponse({ success: true, data: { ticket: "gwt_+1" } }));
  const { seen } = open({ cursor: "c1", settings: { ticketUrl: "http://host/api/tickets", authorization, fetch } });
  await settle();
  assert.deepEqual(seen.sockets.map(({ address }) => address), ["ws://host/ws?after=c1&ticket=gwt_%2B1"]);
  const [[address, { method, headers }]] = asked;
  assert.deepEqual([address, method, headers], ["http://host/api/tickets", "POST", { Authorization: "Bearer t" }]);
});

test("a token that gets no ticket ends the transport with the text of the server", async () => {
  const fetch = async () => jsonResponse({ success: false, error: "expired" }, 401);
  const { seen } = open({ settings: { ticketUrl: "http://host/api/tickets", authorization, fetch } });
  await settle();
  assert.deepEqual(seen.states, [{ state: "closed", reason: "refused", retryMs: null, refusal: { status: 401, text: "expired" } }]);
  assert.deepEqual(seen.sockets, []);
});

for (const [name, fetch] of /** @type {[string, () => Promise<any>][]} */ ([
  ["a proxy's 405", async () => new Response("no", { status: 405 })],
  ["no answer", async () => Promise.reject(new TypeError("failed"))],
])) {
  test(`${name} to the request for a ticket ends the transport`, async () => {
    const { seen, time } = open({ settings: { ticketUrl: "http://host/api/tickets", authorization, fetch } });
    await settle();
    assert.deepEqual([seen.states.length, seen.sockets.length, time.pending], [1, 0, 0]);
  });
}

test("a transport that is closed before its ticket came opens no socket", async () => {
  let answer;
  const fetch = () => new Promise((resolve) => (answer = resolve));
  const { seen, close } = open({ settings: { ticketUrl: "http://host/api/tickets", authorization, fetch } });
  await settle();
  close();
  answer(jsonResponse({ success: true, data: { ticket: "gwt_1" } }));
  await settle();
  assert.deepEqual([seen.sockets, seen.states], [[], []]);
});

/** A socket whose token ends after so many seconds; `tokens` are those of its function, null for one that fails. */
async function openExpiring({ seconds, tokens = ["a"], settings = {} }) {
  const left = [...tokens];
  const ours = {
    ticketUrl: "http://host/api/tickets",
    canRenew: true,
    fetch: async () => jsonResponse({ success: true, data: { ticket: "gwt_1" } }),
    authorization: async () => {
      const token = left.length > 1 ? left.shift() : left[0];
      return token === null ? Promise.reject(new Error("no network")) : { Authorization: `Bearer ${token}` };
    },
    ...settings,
  };
  const opened = open({ settings: ours });
  await settle();
  const [socket] = opened.seen.sockets;
  socket.say({ type: "connected", heartbeat_seconds: 1_000, ...expiry(seconds) });
  return { ...opened, socket };
}

function expiry(seconds) {
  const expiresAt = seconds === null ? null : new Date(1_000 * seconds).toISOString();
  return { timestamp: new Date(0).toISOString(), expires_at: expiresAt };
}

test("a token is renewed after half of its lifetime, and the new one after half of its own", async () => {
  const { time, seen, socket } = await openExpiring({ seconds: 100, tokens: ["a", "b", "c"] });
  await time.advance(49_999);
  assert.deepEqual(seen.sent, []);
  await time.advance(1);
  assert.deepEqual(seen.sent, [{ type: "renew", token: "b" }]);
  socket.say({ type: "renewed", ...expiry(1_000) });
  await time.advance(499_999);
  assert.equal(seen.sent.length, 1);
  await time.advance(1);
  assert.deepEqual(seen.sent.at(-1), { type: "renew", token: "c" });
  socket.say({ type: "renewed", ...expiry(null) });
  await time.advance(1_000_000);
  assert.equal(seen.sent.length, 2);
});

test("without an answer a token is renewed again after half of the rest, until less than 2 s are left", async () => {
  const { time, seen } = await openExpiring({ seconds: 16, tokens: ["a", null, "b"] });
  const sent = [];
  for (let second = 1; second <= 20; second += 1) {
    await time.advance(1_000);
    if (seen.sent.splice(0).length > 0) sent.push(second);
  }
  assert.deepEqual(sent, [12, 14, 15]); // the function failed after 8 s
});

for (const [name, options] of /** @type {[string, any][]} */ ([
  ["that does not expire", { seconds: null }],
  ["that can't change", { seconds: 100, settings: { canRenew: false } }],
])) {
  test(`a token ${name} is not renewed`, async () => {
    const { time, seen } = await openExpiring(options);
    await time.advance(200_000);
    assert.deepEqual(seen.sent, []);
  });
}

test("a lifetime that is longer than a timer can be is no reason to renew at once", async () => {
  const { time, seen, socket, close } = await openExpiring({ seconds: 100 * 365 * 86_400 });
  await time.advance(60_000);
  assert.deepEqual(seen.sent, []);
  socket.say({ type: "renewed", ...expiry(100) });
  close();
  assert.equal(time.pending, 0);
});

const GREETING = { type: "connected", heartbeat_seconds: 10 };

test("a socket opens with its first message, and passes cursors on", () => {
  const { socket, seen } = open({ cursor: "c/0" });
  assert.equal(socket.address, "ws://host/ws?after=c%2F0");
  assert.deepEqual(seen.states, []);
  socket.say(GREETING);
  socket.say({ type: "prediction", data: 1, cursor: "c1" });
  assert.deepEqual(seen.states, [{ state: "open" }]);
  assert.deepEqual(seen.messages, [[GREETING, null], [{ type: "prediction", data: 1 }, "c1"]]);
});

test("a view in parts is joined, with the cursor of its last part", () => {
  const { socket, seen } = open();
  socket.say(GREETING);
  socket.say({ type: "initial", predictions: [1], count: 3 });
  socket.say({ type: "prediction", data: 2 });
  socket.say({ type: "prediction", data: 3, cursor: "c1" });
  assert.deepEqual(seen.messages.slice(2), [[{ type: "initial", predictions: [1, 2, 3], count: 3 }, "c1"]]);
});

test("heartbeats keep a socket open, and two missing ones end it", async () => {
  const { time, socket, seen } = open();
  socket.say(GREETING);
  for (let beat = 0; beat < 5; beat += 1) {
    await time.advance(15_000);
    socket.say({ type: "position" });
  }
  assert.equal(seen.states.length, 1);
  await time.advance(20_000);
  assert.deepEqual(seen.states.at(-1), { state: "closed", reason: "silent", retryMs: null });
  assert.ok(socket.closed);
});

for (const [name, act, reason] of /** @type {[string, (socket: any) => void, string][]} */ ([
  ["a handshake that fails is unreachable", (socket) => socket.onclose({ code: 1006 }), "unreachable"],
  ["a full house is said", (socket) => socket.onclose({ code: 1013 }), "busy"],
  ["a cut ends it", (socket) => (socket.say(GREETING), socket.onclose({ code: 1006 })), "ended"],
  ["a goodbye ends it", (socket) => (socket.say(GREETING), socket.say({ type: "bye" })), "bye"],
])) {
  test(name, () => {
    const { socket, seen } = open();
    act(socket);
    assert.deepEqual(seen.states.at(-1), { state: "closed", reason, retryMs: null });
  });
}

test("no message before the deadline is late", async () => {
  const { time, seen } = open();
  await time.advance(3_000);
  assert.deepEqual(seen.states, [{ state: "closed", reason: "late", retryMs: null }]);
});

test("an unreadable message is skipped, and a closed socket reports nothing", () => {
  const { socket, seen, close } = open();
  socket.say("{");
  socket.say(GREETING);
  close();
  socket.say({ type: "prediction" });
  socket.onclose({ code: 1000 });
  assert.deepEqual(seen.states, [{ state: "open" }]);
  assert.equal(seen.messages.length, 1);
});
