/** The parts that keep the page's address: query, selection, time of the past. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Address } from "../../static/js/address.js";
import { Selection } from "../../static/js/selection.js";
import { TimeLink } from "../../static/js/time-link.js";
import { settle } from "./fakes.js";

function makeAddress(search = "") {
  /** @type {any} */
  const location = { pathname: "/predictions", search, hash: "#list" };
  const written = [];
  /** @type {any} */
  const history = {
    replaceState: (_state, _title, url) => {
      written.push(url);
      location.search = new URL(url, "http://host").search;
    },
  };
  const changes = [];
  const address = new Address({ location, history, onChange: () => changes.push(address.query) });
  return { address, location, written, changes };
}

function makeSelection(search, { hasDetails = true, fail = false } = {}) {
  const { address, location } = makeAddress(search);
  /** @type {any} */
  const drawer = {
    isOpen: false,
    calls: [],
    open: (id, takesFocus) => (drawer.calls.push(["open", id, takesFocus]), (drawer.isOpen = true)),
    close: () => (drawer.isOpen = false),
    setHistory: (id, history) => drawer.calls.push(["history", id, history]),
  };
  const requests = [];
  /** @type {any} */
  const api = {
    segment: async (id, signal) => {
      requests.push({ id, signal });
      await settle();
      if (fail || signal.aborted) throw new Error("failed");
      return { history: [id] };
    },
  };
  const selection = new Selection({ address, api, drawer, hasDetails, onChange: () => {} });
  return { selection, address, location, drawer, requests };
}

test("a change of the query is written to the address, and others stay", () => {
  const { address, written, changes } = makeAddress("?debug=1&q=i-5");
  address.change({ road: "I-405 N" });
  assert.deepEqual(written, ["/predictions?debug=1&q=i-5&road=I-405+N#list"]);
  assert.deepEqual([address.query.words, address.query.road, changes.length], ["i-5", "I-405 N", 1]);
});

test("the query is read again after the browser changed the address", () => {
  const { address, location, written, changes } = makeAddress("?q=a");
  location.search = "?q=b";
  address.reread();
  assert.deepEqual([address.query.words, written.length, changes.length], ["b", 0, 1]);
});

test("a selected segment stays without details until they are asked for", async () => {
  const { selection, location, drawer } = makeSelection();
  selection.select("A");
  assert.deepEqual([location.search, drawer.isOpen], ["?segment=A", false]);
  selection.select("B", true);
  await settle();
  assert.deepEqual([location.search, drawer.calls], ["?segment=B&details=1", [["open", "B", true], ["history", "B", ["B"]]]]);
  selection.select(null);
  assert.deepEqual([location.search, drawer.isOpen], ["", false]);
});

test("an open drawer follows the selection, and the older request ends", async () => {
  const { selection, drawer, requests } = makeSelection();
  selection.select("A", true);
  selection.select("B");
  await settle();
  assert.deepEqual(requests.map(({ id, signal }) => [id, signal.aborted]), [["A", true], ["B", false]]);
  assert.deepEqual(drawer.calls.filter(([call]) => call === "history"), [["history", "B", ["B"]]]);
});

test("a failed request shows that there is no history", async () => {
  const { selection, drawer } = makeSelection("", { fail: true });
  selection.select("A", true);
  await settle();
  assert.deepEqual(drawer.calls.at(-1), ["history", "A", null]);
});

test("a link opens the drawer without taking the focus; an embedded page has none", () => {
  const link = makeSelection("?segment=A&details=1");
  link.selection.follow();
  assert.deepEqual(link.drawer.calls, [["open", "A", false]]);
  const embedded = makeSelection("?segment=A&details=1", { hasDetails: false });
  embedded.selection.follow();
  assert.deepEqual(embedded.drawer.calls, []);
});

test("the time of the past is in the address, but not while it changes", () => {
  const { address, written } = makeAddress();
  /** @type {any} */
  const past = { isThere: true, isReading: false, playing: false, missed: null, time: 60_000 };
  const link = new TimeLink({ address, past });
  link.write(1_000);
  past.time = 61_000;
  link.write(1_100);
  Object.assign(past, { playing: true });
  link.write(9_000);
  assert.deepEqual(written, ["/predictions?at=1970-01-01T00:01:00Z#list"]);
  Object.assign(past, { isThere: false, playing: false });
  link.write(9_500);
  assert.equal(written.at(-1), "/predictions#list");
});
