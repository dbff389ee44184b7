import assert from "node:assert/strict";
import { test } from "node:test";
import { EventStreamReader } from "../../static/greenwave.js";

function read(...pieces) {
  const found = [];
  const reader = new EventStreamReader((data) => found.push([data, reader.lastId]));
  for (const piece of pieces) reader.push(piece);
  return { found, reader };
}

const TABLE = [
  ["an event with an id", "id: c1\ndata: {}\n\n", [["{}", "c1"]]],
  ["an event keeps the last id", "id: c1\ndata: a\n\ndata: b\n\n", [["a", "c1"], ["b", "c1"]]],
  ["a comment gives nothing", ": heartbeat\n\n", []],
  ["several data lines are joined", "data: a\ndata: b\n\n", [["a\nb", null]]],
  ["one space after the colon is dropped, no more", "data:  a\n\n", [[" a", null]]],
  ["carriage returns end lines", "data: a\r\n\r\ndata: b\r\r", [["a", null], ["b", null]]],
  ["an event without its empty line isn't one yet", "data: a\n", []],
  ["an id with a NUL is ignored", "id: a\0b\ndata: a\n\n", [["a", null]]],
  ["unknown fields are let pass", "event: x\nwhat: y\ndata: a\n\n", [["a", null]]],
];

for (const [name, text, expected] of /** @type {[string, string, any][]} */ (TABLE)) {
  test(name, () => assert.deepEqual(read(text).found, expected));
  test(`${name}, cut at every place`, () => assert.deepEqual(read(...text).found, expected));
}

test("an id without data is kept as the last id", () => assert.equal(read("id: c9\n\n").reader.lastId, "c9"));
test("retry sets the milliseconds to wait", () => assert.equal(read("retry: 1500\n").reader.retryMs, 1500));
test("a retry that is not a number is ignored", () => assert.equal(read("retry: 1e3\n").reader.retryMs, null));
