import assert from "node:assert/strict";
import { test } from "node:test";
import { Tabs } from "../../static/greenwave.js";
import { FakeTime, settle } from "./fakes.js";

/** A browser: tabs that receive the messages of each other, a clock, and the connections. */
class Browser {
  channels = [];
  time = new FakeTime();
  intervals = new Map();

  tab() {
    /** @type {any} */
    const channel = { postMessage: (data) => this.#post(channel, data), onmessage: null, isClosed: false, said: [] };
    this.channels.push(channel);
    /** @type {any} */
    const tab = { seen: [], states: [], connections: [], channel };
    const timers = {
      setTimeout: this.time.setTimeout,
      clearTimeout: (id) => (this.time.clearTimeout(id), this.intervals.delete(id)),
      setInterval: (action, every) => this.#every(action, every),
      clearInterval: () => assert.fail("an interval ends by clearTimeout"),
    };
    tab.tabs = new Tabs({
      channel,
      connect: (options) => this.#connection(tab, options),
      snapshot: () => [{ type: "initial", predictions: [...tab.seen] }],
      onMessage: (message) => tab.seen.push(message),
      onState: (state) => tab.states.push(state.phase),
      timers,
      clock: this.time.clock,
      random: () => this.channels.length / 10,
    });
    tab.tabs.start();
    return tab;
  }

  /** End a tab without a message. */
  kill(tab) {
    tab.channel.isClosed = true;
    tab.tabs.stop();
  }

  #connection(tab, options) {
    const connection = { ...options, open: false, retries: 0, start: () => (connection.open = true), stop: () => (connection.open = false), retryNow: () => (connection.retries += 1) };
    tab.connections.push(connection);
    return connection;
  }

  #post(from, data) {
    from.said.push(data.type);
    for (const channel of this.channels) {
      if (channel !== from && !channel.isClosed && !from.isClosed) channel.onmessage?.({ data: structuredClone(data) });
    }
  }

  #every(action, every) {
    const again = () => {
      action();
      return this.time.setTimeout(again, every);
    };
    return this.time.setTimeout(again, every);
  }
}

const connected = (...tabs) => tabs.map(({ connections }) => connections.filter(({ open }) => open).length);

test("one of three tabs is connected, and all get each message once", async () => {
  const browser = new Browser();
  const tabs = [browser.tab()];
  await browser.time.advance(1_000);
  tabs.push(browser.tab(), browser.tab());
  await browser.time.advance(5_000);
  assert.deepEqual(connected(...tabs), [1, 0, 0]);
  tabs[0].connections[0].onState({ phase: "live" });
  tabs[0].connections[0].onMessage({ type: "prediction", n: 1 }, "c1");
  await settle();
  for (const { seen, states } of tabs) {
    assert.deepEqual(seen.filter(({ type }) => type === "prediction"), [{ type: "prediction", n: 1 }]);
    assert.equal(states.at(-1), "live");
  }
});

test("a new tab starts with the leader's view and state", async () => {
  const browser = new Browser();
  const first = browser.tab();
  await browser.time.advance(1_000);
  first.connections[0].onState({ phase: "live" });
  first.connections[0].onMessage({ type: "prediction", n: 1 }, "c1");
  const second = browser.tab();
  assert.deepEqual(second.seen, [{ type: "initial", predictions: [{ type: "prediction", n: 1 }] }]);
  assert.deepEqual(second.states, ["live"]);
  assert.equal(second.tabs.cursor, "c1");
});

test("when the leader disappears, another tab continues within 12 s", async () => {
  const browser = new Browser();
  const first = browser.tab();
  await browser.time.advance(1_000);
  const second = browser.tab();
  first.connections[0].onMessage({ type: "prediction", n: 1 }, "c1");
  await browser.time.advance(30_000);
  assert.deepEqual(connected(second), [0], "it receives that the first is there");
  browser.kill(first);
  await browser.time.advance(12_500);
  assert.deepEqual(connected(second), [1]);
  assert.equal(second.connections[0].cursor, "c1");
});

test("when the leader closes, another tab continues at once", async () => {
  const browser = new Browser();
  const first = browser.tab();
  await browser.time.advance(1_000);
  const second = browser.tab();
  first.tabs.stop();
  await browser.time.advance(400);
  assert.deepEqual(connected(first, second), [0, 1]);
});

test("messages are forwarded in batches, and only if there are followers", async () => {
  const browser = new Browser();
  const first = browser.tab();
  await browser.time.advance(60_000);
  const give = async (...numbers) => {
    for (const n of numbers) first.connections[0].onMessage({ type: "prediction", n }, `c${n}`);
    await settle();
    return first.channel.said.filter((type) => type === "messages").length;
  };
  assert.equal(await give(1, 2), 0, "it is alone");
  const second = browser.tab();
  assert.equal(await give(3, 4, 5), 1);
  await browser.time.advance(60_000);
  assert.equal(await give(6, 7), 2, "the other is still there");
  assert.deepEqual(second.seen.flatMap(({ n, predictions }) => n ?? predictions.map((each) => each.n)), [1, 2, 3, 4, 5, 6, 7]);
  assert.equal(second.tabs.cursor, "c7");
  browser.kill(second);
  await browser.time.advance(15_000);
  assert.equal(await give(8, 9), 2, "it is alone again");
});

for (const [how, goOn] of /** @type {[string, (first: any, browser: Browser) => any][]} */ ([
  ["the next message", (leader) => leader.connections[0].onMessage({ type: "prediction", n: 2 }, "c2")],
  ["the next sign of who leads", (_, browser) => browser.time.advance(2_000)],
])) {
  test(`a tab that missed messages gets the view again: ${how}`, async () => {
    const browser = new Browser();
    const [first, second] = [browser.tab(), browser.tab()];
    await browser.time.advance(1_000);
    second.channel.isClosed = true;
    first.connections[0].onMessage({ type: "prediction", n: 1 }, "c1");
    await settle();
    second.channel.isClosed = false;
    await goOn(first, browser);
    await settle();
    assert.deepEqual(second.seen.at(-1), { type: "initial", predictions: first.seen });
    assert.equal(second.tabs.cursor, first.tabs.cursor);
  });
}

test("tabs at the same position need no new view from a new leader", async () => {
  const browser = new Browser();
  const first = browser.tab();
  await browser.time.advance(1_000);
  const others = [browser.tab(), browser.tab()];
  first.connections[0].onMessage({ type: "prediction", n: 1 }, "c1");
  await settle();
  first.tabs.stop();
  await browser.time.advance(400);
  const leader = others.find(({ tabs }) => tabs.leads);
  leader.connections[0].onMessage({ type: "prediction", n: 2 }, "c2");
  await settle();
  for (const { seen } of others) {
    assert.deepEqual(seen, [{ type: "initial", predictions: [] }, { type: "prediction", n: 1 }, { type: "prediction", n: 2 }]);
  }
});

test("two leaders become one", async () => {
  const browser = new Browser();
  const first = browser.tab();
  await browser.time.advance(1_000);
  first.channel.isClosed = true; // suspended: it neither receives nor sends
  const second = browser.tab();
  await browser.time.advance(5_000);
  assert.deepEqual(connected(first, second), [1, 1]);
  first.channel.isClosed = false;
  await browser.time.advance(5_000);
  assert.deepEqual(connected(first, second), [0, 1], "the leader that started later stays");
});

test("any tab can retry", async () => {
  const browser = new Browser();
  const first = browser.tab();
  await browser.time.advance(1_000);
  browser.tab().tabs.retryNow();
  first.tabs.retryNow();
  assert.equal(first.connections[0].retries, 2);
});

test("a tab that has stopped neither shows messages nor takes over", async () => {
  const browser = new Browser();
  const [leader, follower] = [browser.tab(), browser.tab()];
  await browser.time.advance(1_000);
  follower.tabs.stop();
  leader.connections[0].onMessage({ type: "stats", data: {} }, "c1");
  await settle();
  assert.deepEqual(follower.seen.filter(({ type }) => type === "stats"), []);
  leader.tabs.stop();
  await browser.time.advance(60_000);
  assert.deepEqual(connected(leader, follower), [0, 0]);
});

test("a tab whose snapshot fails keeps its connection, and the others have their own", async () => {
  const browser = new Browser();
  const errors = [];
  globalThis.reportError = (error) => errors.push(error.message);
  try {
    const first = browser.tab();
    await browser.time.advance(1_000);
    first.tabs.snapshot = () => assert.fail("no snapshot");
    const second = browser.tab();
    await browser.time.advance(30_000);
    assert.deepEqual(errors, ["no snapshot"]);
    assert.deepEqual(connected(first, second), [1, 1]);
    first.connections[0].onState({ phase: "waiting" });
    first.connections[0].onMessage({ type: "prediction", n: 1 }, "c1");
    await settle();
    assert.deepEqual([first.seen.length, second.seen.length, second.states], [1, 0, []]);
    first.tabs.stop();
    await browser.time.advance(30_000);
    assert.deepEqual(connected(first, second), [0, 1]);
  } finally {
    delete globalThis.reportError;
  }
});
