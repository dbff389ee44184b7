import assert from "node:assert/strict";
import { test } from "node:test";
import { pollingTransport } from "../../static/greenwave.js";
import { FakeTime, jsonResponse, settle } from "./fakes.js";

const HEALTH = { success: true, data: { state: "live", since: "2026-01-01T00:00:00Z", reason: "", retry_in: null } };

function open(answers, { cursor = null, health = HEALTH } = {}) {
  const time = new FakeTime();
  const seen = { messages: [], states: [], asked: [] };
  const fetch = async (address) => {
    if (address === "/health") {
      if (health === null) throw new TypeError("failed");
      return jsonResponse(health);
    }
    seen.asked.push(address);
    const answer = answers.shift();
    if (answer === undefined) throw new TypeError("failed");
    if (typeof answer === "number") return jsonResponse({ success: false, error: "no" }, answer);
    if (answer instanceof Response) return answer;
    return answer === "never" ? new Promise(() => {}) : jsonResponse({ success: true, data: answer });
  };
  const transport = pollingTransport({ url: "/api", healthUrl: "/health", everySeconds: 5, fetch, timers: time });
  const close = transport.open({
    cursor,
    onMessage: (message, at) => seen.messages.push({ ...message, at }),
    onState: (state) => seen.states.push(state),
  });
  return { time, seen, close };
}

const types = ({ messages }) => messages.map(({ type }) => type);

test("without a cursor the view comes as initial, with its cursor", async () => {
  const { seen, time } = open([
    { predictions: [{ segment_id: "A" }], stats: {}, cursor: "c1" },
    { predictions: [], left: [], cursor: "c1", more: false },
  ]);
  await time.advance(5_000);
  assert.deepEqual(types(seen).slice(0, 5), ["connected", "status", "initial", "stats", "position"]);
  assert.equal(seen.messages[4].at, "c1");
  assert.deepEqual(seen.asked, ["/api", "/api?after=c1"]);
});

test("with a cursor changes come in order, removals included", async () => {
  const removal = (segment_id, at) => ({ segment_id, horizon_minutes: null, reason: "removed", at });
  const { seen } = open(
    [
      {
        predictions: [{ segment_id: "A" }, { segment_id: "B" }],
        left: [removal("X", 0), removal("A", 1), removal("B", 2)],
        cursor: "c5",
        more: false,
      },
    ],
    { cursor: "c1" },
  );
  await settle();
  const order = seen.messages.slice(2).map((each) => [each.type, each.segment_id ?? each.data?.segment_id]);
  assert.deepEqual(order, [
    ["left", "X"],
    ["prediction", "A"],
    ["left", "A"],
    ["prediction", "B"],
    ["left", "B"],
    ["position", undefined],
  ]);
});

test("the cursor comes with the last message of an answer", async () => {
  const { seen } = open([{ predictions: [{}, {}], cursor: "c3", more: false }], { cursor: "c1" });
  await settle();
  assert.deepEqual(seen.messages.map(({ at }) => at).filter(Boolean), ["c3"]);
  assert.equal(seen.messages.at(-1).at, "c3");
});

test("with more changes the next request does not wait", async () => {
  const { seen, time } = open(
    [
      { predictions: [{}], cursor: "c2", more: true },
      { predictions: [{}], cursor: "c3", more: false },
    ],
    { cursor: "c1" },
  );
  await time.advance(0);
  assert.deepEqual(seen.asked, ["/api?after=c1", "/api?after=c2"]);
});

test("an answer can bring the whole view without a gap", async () => {
  const { seen } = open([{ predictions: [{ segment_id: "A" }], left: [], gap: null, stats: {}, cursor: "c9" }], { cursor: "c1" });
  await settle();
  assert.deepEqual(types(seen), ["connected", "status", "initial", "stats", "position"]);
  assert.equal(seen.messages.at(-1).at, "c9");
});

test("an answer with a gap brings the whole view", async () => {
  const gap = { reason: "too_old", missed: 84 };
  const { seen } = open([{ predictions: [{ segment_id: "A" }], gap, stats: {}, cursor: "c9" }], { cursor: "c1" });
  await settle();
  assert.deepEqual(types(seen).slice(2), ["gap", "initial", "stats", "position"]);
  assert.equal(seen.messages[2].missed, 84);
});

test("a refused cursor is dropped, with a gap", async () => {
  const { seen } = open([400, { predictions: [], stats: {}, cursor: "c9" }], { cursor: "bad" });
  await settle();
  assert.deepEqual(seen.asked, ["/api?after=bad", "/api"]);
  assert.deepEqual(types(seen).slice(2, 4), ["gap", "initial"]);
});

for (const [name, answers, reason] of [
  ["503", [503], "refused"],
  ["401 of a proxy", [new Response("sign in first", { status: 401 })], "signed_out"],
  ["no answer at all", [], "unreachable"],
]) {
  test(`${name} ends the transport`, async () => {
    const { seen, time } = open(answers);
    await settle();
    assert.deepEqual(seen.states, [{ state: "closed", reason, retryMs: null }]);
    assert.equal(time.pending, 0);
  });
}

test("a refusal ends the transport with the text of the server", async () => {
  const { seen } = open([403]);
  await settle();
  assert.deepEqual(seen.states, [{ state: "closed", reason: "refused", retryMs: null, refusal: { status: 403, text: "no" } }]);
});

test("too many requests are retried after the server's time", async () => {
  const { seen } = open([new Response("{}", { status: 429, headers: { "retry-after": "7" } })]);
  await settle();
  assert.deepEqual(seen.states, [{ state: "closed", reason: "busy", retryMs: 7_000 }]);
});

test("a missing answer ends the transport after 10 s", async () => {
  const { seen, time } = open(["never"]);
  await time.advance(10_000);
  assert.equal(seen.states[0].reason, "late");
});

test("an unreadable health answer is ignored", async () => {
  const { seen } = open([{ predictions: [], cursor: "c1" }], { health: null });
  await settle();
  assert.deepEqual(types(seen), ["connected", "initial", "position"]);
});

test("each answer comes with the consumer's state", async () => {
  const { seen } = open([{ predictions: [], cursor: "c1" }]);
  await settle();
  assert.equal(seen.messages.find(({ type }) => type === "status").state, "live");
});

test("a closed transport requests nothing", async () => {
  const { seen, time, close } = open([{ predictions: [], cursor: "c1" }]);
  await settle();
  close();
  await time.advance(60_000);
  assert.equal(seen.asked.length, 1);
});

for (const last of ["connected", "status", "initial"]) {
  test(`nothing follows where the callback of ${last} closes the transport`, async () => {
    const { seen, time, close } = open([{ predictions: [{ segment_id: "A" }], stats: {}, cursor: "c1" }]);
    const push = seen.messages.push.bind(seen.messages);
    seen.messages.push = (message) => {
      if (message.type === last) close();
      return push(message);
    };
    await settle();
    assert.equal(types(seen).at(-1), last);
    assert.equal(time.pending, 0);
  });
}
