/** connect() of the client library: what it requires, and its published types. Its behaviour: tests/clients/. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "../../static/greenwave.js";

/** The type checker compares the module with the types of its package. @type {typeof import("../../clients/javascript/greenwave.d.ts").connect} */
const published = connect;

test("without a page the url is required", () => {
  assert.throws(() => published({}), /needs the url/);
});

test("an unknown transport is refused, with those that are allowed", () => {
  const transports = /** @type {any} */ (["smoke"]);
  assert.throws(() => published({ url: "http://localhost", transports }), /allowed: sse, websocket, polling/);
});
