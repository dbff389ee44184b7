import assert from "node:assert/strict";
import { test } from "node:test";
import { Alerts } from "../../static/js/alerts.js";
import { Api } from "../../static/js/api.js";
import { SharedAcknowledgements } from "../../static/js/shared-acknowledgements.js";
import { FakeTime, prediction, settle } from "./fakes.js";

const SEVERE = "severe_congestion";
const MINUTE = 60_000;

/** A server that keeps what it gets, as the real one does; `fails` is a status to answer with. */
class FakeServer {
  /** @type {any[]} */
  kept = [];
  /** @type {any[]} */
  asked = [];
  fails = 0;
  version = 0;

  /** @type {any} */
  fetch = async (path, { method = "GET", body = "" } = {}) => {
    assert.equal(path, "/traffic/api/acknowledgements");
    if (this.fails < 0) throw new TypeError("Failed to fetch");
    const headers = { ETag: `"${this.version}"` };
    if (this.fails) return Response.json({ success: false, error: "retry later" }, { status: this.fails, headers });
    if (method === "POST") this.#change(JSON.parse(body));
    return Response.json({ success: true, data: { acknowledgements: this.kept } }, { headers });
  };

  #change({ action, alerts, name = "token", note = "" }) {
    this.asked.push([action, ...alerts.map(({ segment_id }) => segment_id)]);
    this.version += 1;
    for (const alert of alerts) {
      const known = this.kept.find(({ segment_id, kind }) => segment_id === alert.segment_id && kind === alert.kind);
      if (action === "renew") known.until = alert.until;
      else this.kept = this.kept.filter((each) => each !== known);
      if (action === "acknowledge") this.kept.push({ ...alert, name, note, at: 7 });
    }
  }
}

/** @param {FakeServer} server */
function page(server) {
  const time = new FakeTime();
  const alerts = new Alerts({ unit: "mph", intervalSeconds: 300 });
  const api = new Api({ root: "/traffic", fetch: server.fetch });
  let renders = 0;
  const shared = new SharedAcknowledgements({ alerts, api, onChange: () => (renders += 1), timers: /** @type {any} */ (time) });
  const say = (minute, category = SEVERE, id = "A") =>
    alerts.apply({ type: "prediction", data: prediction(id, { category, timestamp: minute * MINUTE }) });
  const seen = () => alerts.list().map(({ id, acknowledged, seen: by }) => [id, acknowledged, by && `${by.name}: ${by.note}`]);
  return { time, alerts, shared, say, seen, renders: () => renders };
}

/** @param {FakeServer} server */
function opened(server) {
  const here = page(server);
  here.say(1);
  here.say(2);
  here.shared.start();
  return here;
}

test("what one page acknowledges others show within five seconds, with who and why, and what it undoes", async () => {
  const server = new FakeServer();
  const [one, other] = [opened(server), opened(server)];
  await settle();
  await one.shared.acknowledge(["A"], { name: "Ann", note: "crew sent" });
  assert.deepEqual(one.seen(), [["A", true, "Ann: crew sent"]]);
  await other.time.advance(5_000);
  assert.deepEqual(other.seen(), [["A", true, "Ann: crew sent"]]);
  await other.shared.undo(["A"]);
  assert.deepEqual(other.seen(), [["A", false, null]]);
  await one.time.advance(5_000);
  assert.deepEqual(one.seen(), [["A", false, null]]);
});

test("a page that opens later shows what was acknowledged", async () => {
  const server = new FakeServer();
  const one = opened(server);
  await settle();
  await one.shared.acknowledge(["A"], { name: "Ann", note: null });
  const later = page(server);
  later.shared.start();
  await settle();
  later.say(3);
  later.say(4);
  assert.deepEqual(later.seen(), [["A", true, "Ann: "]]);
});

test("an answer on its way during a change doesn't take the change back", async () => {
  const server = new FakeServer();
  const here = opened(server);
  await settle();
  const { fetch } = server;
  /** @type {any} */
  let release;
  here.shared.api.fetch = async (...given) => {
    const answer = await fetch(...given);
    await new Promise((resolve) => (release = resolve));
    return answer;
  };
  await here.time.advance(5_000); // asked, and answered with none
  here.shared.api.fetch = fetch;
  await here.shared.acknowledge(["A"], { name: "Ann", note: null });
  release();
  await settle();
  assert.deepEqual(here.seen(), [["A", true, "Ann: "]]);
});

test("an alert that goes on is renewed by one page, so that a page opened then knows it", async () => {
  const server = new FakeServer();
  const [one, other] = [opened(server), opened(server)];
  await settle();
  await one.shared.acknowledge(["A"], { name: "Ann", note: null });
  for (const here of [one, other]) for (let minute = 3; minute <= 15; minute += 1) here.say(minute);
  await one.time.advance(5_000);
  await other.time.advance(5_000);
  assert.deepEqual(server.asked, [["acknowledge", "A"], ["renew", "A"]]);
  assert.equal(server.kept[0].until, 15 * MINUTE);
  assert.deepEqual(other.seen(), [["A", true, "Ann: "]]);
});

test("a new alert of the segment is new, though the one before was acknowledged", async () => {
  const server = new FakeServer();
  const here = opened(server);
  await settle();
  await here.shared.acknowledge(["A"], { name: "Ann", note: null });
  for (const minute of [3, 4]) here.say(minute, "free_flow");
  await here.time.advance(10_000);
  for (const minute of [5, 6]) here.say(minute);
  await here.shared.acknowledge([], { name: "Ann", note: null });
  server.version += 1; // others changed something
  await here.time.advance(5_000);
  assert.deepEqual(here.seen(), [["A", false, null]]);
  await here.shared.acknowledge(["A"], { name: "Bob", note: null });
  assert.deepEqual(here.seen(), [["A", true, "Bob: "]]);
});

test("an acknowledgement of a prediction stays while its jam is measured", async () => {
  const server = new FakeServer();
  const here = opened(server);
  await settle();
  for (const minute of [2, 3]) {
    here.alerts.apply({ type: "observation", data: { segment_id: "A", timestamp: minute * MINUTE, current_speed: 9 } });
  }
  await here.shared.acknowledge(["A"], { name: "Ann", note: null });
  for (const minute of [4, 5]) here.say(minute, "free_flow");
  server.version += 1;
  await here.time.advance(5_000);
  assert.deepEqual(here.seen(), [["A", true, "Ann: "]]);
});

test("a change that is not kept is said, and shows nothing", async () => {
  const server = new FakeServer();
  const here = opened(server);
  await settle();
  for (const [status, text] of /** @type {const} */ ([[503, "retry later"], [-1, "the server can't be reached"]])) {
    server.fails = status;
    await here.shared.acknowledge(["A"], { name: "Ann", note: null });
    assert.equal(here.shared.error, `Not kept: ${text}`);
    assert.deepEqual(here.seen(), [["A", false, null]]);
  }
  server.fails = 0;
  await here.time.advance(5_000);
  assert.equal(here.shared.error, "Not kept: the server can't be reached", "until it is tried again");
  await here.shared.acknowledge(["A"], { name: "Ann", note: null });
  assert.equal(here.shared.error, null);
});

test("a list that may be old is said, except while the server is away, which is said elsewhere", async () => {
  const server = new FakeServer();
  const here = opened(server);
  await settle();
  server.fails = -1;
  await here.time.advance(5_000);
  assert.equal(here.shared.error, null);
  server.fails = 503;
  await here.time.advance(5_000);
  assert.equal(here.shared.error, "Acknowledgements may be old: retry later");
  server.fails = 0;
  await here.time.advance(5_000);
  assert.equal(here.shared.error, null);
  const before = here.renders();
  await here.time.advance(20_000);
  assert.equal(here.renders(), before, "nothing changed");
});

test("many alerts are sent in requests of 500", async () => {
  const server = new FakeServer();
  const here = page(server);
  const ids = Array.from({ length: 501 }, (_, number) => `S${number}`);
  for (const id of ids) for (const minute of [1, 2]) here.say(minute, SEVERE, id);
  await here.shared.acknowledge(ids, { name: "Ann", note: null });
  assert.deepEqual(server.asked.map(({ length }) => length - 1), [500, 1]);
  assert.equal(here.seen().filter(([, acknowledged]) => acknowledged).length, 501);
});

test("nothing is asked after the page is left", async () => {
  const server = new FakeServer();
  const here = opened(server);
  await settle();
  here.shared.stop();
  assert.equal(here.time.pending, 0);
});

test("a page that comes back while an answer is on its way asks no more often", async () => {
  const server = new FakeServer();
  const here = opened(server);
  here.shared.stop();
  here.shared.start();
  await settle();
  assert.equal(here.time.pending, 1);
  here.shared.stop();
  assert.equal(here.time.pending, 0);
});
