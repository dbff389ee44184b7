/** connect() of the client library: what it requires, and its published types. Its behaviour: tests/clients/. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "../../static/greenwave.js";
import { jsonResponse, settle, streamingResponse } from "./fakes.js";

/** The type checker compares the module with the types of its package. @type {typeof import("../../clients/javascript/greenwave.d.ts").connect} */
const published = connect;

test("without a page the url is required", () => {
  assert.throws(() => published({}), /needs the url/);
});

test("an unknown transport is refused, with those that are allowed", () => {
  const transports = /** @type {any} */ (["smoke"]);
  assert.throws(() => published({ url: "http://localhost", transports }), /allowed: sse, websocket, polling/);
});

/** Run an action with another fetch, and return what was reported as uncaught. */
async function withFetch(fetch, action) {
  const [before, errors] = [globalThis.fetch, []];
  Object.assign(globalThis, { fetch, reportError: (error) => errors.push(error.message) });
  try {
    await action();
  } finally {
    globalThis.fetch = before;
    delete globalThis.reportError;
  }
  return errors;
}

/** Options whose functions all throw, and the names of those that were called. */
function throwing() {
  const called = [];
  const fail = (name) => (given) => {
    called.push(`${name} ${given.type ?? given.phase}`);
    throw new Error(name);
  };
  const options = { onMessage: fail("onMessage"), onView: fail("onView"), onChange: fail("onChange"), onState: fail("onState") };
  return { called, options: { url: "http://host", ...options } };
}

test("functions that throw are reported, and don't disturb a stream", async () => {
  const answer = streamingResponse();
  const { called, options } = throwing();
  const errors = await withFetch(async () => answer.response, async () => {
    const connection = connect({ ...options, transports: ["sse"] });
    await answer.write('data: {"type":"connected"}\n\ndata: {"type":"initial","predictions":[],"count":0}\n\n');
    await answer.write('id: c1\ndata: {"type":"prediction","data":{}}\n\n');
    assert.deepEqual([connection.state.phase, connection.cursor], ["live", "c1"]);
    connection.stop();
    await settle();
  });
  const all = ["onState live", "onMessage connected", "onMessage initial", "onView initial", "onMessage prediction", "onChange prediction"];
  assert.deepEqual(called, all);
  assert.deepEqual(errors, all.map((each) => each.split(" ")[0]));
});

test("functions that throw are reported, and don't disturb polling", async () => {
  const { called, options } = throwing();
  const data = { predictions: [{}], cursor: "c1", timestamp: "", state: "live" };
  const errors = await withFetch(async () => jsonResponse({ success: true, data }), async () => {
    const connection = connect({ ...options, transports: ["polling"] });
    await settle();
    assert.deepEqual([connection.state.phase, connection.cursor], ["polling", "c1"]);
    connection.stop();
  });
  const all = ["onState polling", "onMessage connected", "onMessage status", "onMessage initial", "onView initial", "onMessage position"];
  assert.deepEqual(called, all);
  assert.equal(errors.length, all.length);
});

test("where the browser forbids channels between tabs, a page has a connection of its own", async () => {
  const answer = streamingResponse();
  const before = globalThis.BroadcastChannel;
  globalThis.BroadcastChannel = /** @type {any} */ (
    class {
      constructor() {
        throw new DOMException("The operation is insecure.", "SecurityError");
      }
    }
  );
  try {
    await withFetch(async () => answer.response, async () => {
      const connection = connect({ url: "http://host", transports: ["sse"], snapshot: () => [] });
      await answer.write('data: {"type":"connected"}\n\ndata: {"type":"initial","predictions":[],"count":0}\n\n');
      assert.equal(connection.state.phase, "live");
      connection.stop();
      await settle();
    });
  } finally {
    globalThis.BroadcastChannel = before;
  }
});
