/** Saved views: bounded, shared by tabs, and safe with any contents of the storage. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_NAME, MAX_VIEWS, SavedViews } from "../../static/js/saved-views.js";
import { readQuery } from "../../static/js/query.js";
import { queryText } from "../../static/js/view/paper.js";

const KEY = "greenwave.views ";

function makeViews(stored = null) {
  const items = new Map(stored === null ? [] : [[KEY, stored]]);
  /** @type {any} */
  const storage = { getItem: (key) => items.get(key) ?? null, setItem: (key, value) => items.set(key, value) };
  return { views: new SavedViews({ key: KEY, storage: () => storage }), storage, items };
}

test("views are kept in their order, and in other tabs", () => {
  const { views, storage } = makeViews();
  assert.equal(views.save("Evening", "?road=I-405+N&horizon=15"), "saved");
  const other = new SavedViews({ key: KEY, storage: () => storage });
  assert.equal(other.save("All", ""), "saved");
  assert.deepEqual(views.list(), [
    { name: "Evening", search: "?road=I-405+N&horizon=15" },
    { name: "All", search: "" },
  ]);
});

test("a view does not bring back an earlier unit or zone", () => {
  const { views } = makeViews();
  views.save("A", "?unit=kmh&q=unit%3D1&zone=utc");
  views.save("B", "?unit=kmh&zone=utc");
  assert.deepEqual(views.list().map(({ search }) => search), ["?q=unit%3D1", ""]);
});

test("a view of the same name is replaced at its place", () => {
  const { views } = makeViews();
  views.save("A", "?q=1");
  views.save("B", "?q=2");
  assert.equal(views.save(" A\n", "?q=3"), "replaced");
  assert.deepEqual(views.list().map(({ name, search }) => name + search), ["A?q=3", "B?q=2"]);
});

test("a view is renamed unless the name is taken or empty", () => {
  const { views } = makeViews();
  views.save("A", "?q=1");
  views.save("B", "?q=2");
  assert.equal(views.rename("A", "B"), "taken");
  assert.equal(views.rename("A", " \t"), "unnamed");
  assert.equal(views.rename("A", "A"), "renamed");
  assert.equal(views.rename("A", "C"), "renamed");
  assert.deepEqual(views.list().map(({ name, search }) => name + search), ["C?q=1", "B?q=2"]);
});

test("a removed view is gone", () => {
  const { views } = makeViews();
  views.save("A", "");
  assert.equal(views.remove("A"), "removed");
  assert.deepEqual(views.list(), []);
});

test("number, names and addresses are bounded", () => {
  const { views } = makeViews();
  assert.equal(views.save("", "?q=1"), "unnamed");
  assert.equal(views.save("A", `?q=${"x".repeat(4_000)}`), "long");
  for (let number = 0; number < MAX_VIEWS; number += 1) assert.equal(views.save(`View ${number}`, ""), "saved");
  assert.equal(views.save("One more", ""), "full");
  assert.equal(views.save("View 0", "?q=1"), "replaced");
  views.remove("View 0");
  views.save("🚦".repeat(2 * MAX_NAME), "");
  assert.equal(views.list().at(-1).name, "🚦".repeat(MAX_NAME));
});

const FOREIGN = ["", "{", "null", "7", '"text"', "{}", "[1,null,[]]", '[["a"]]', '[["a",1]]', '[[" ","?q=1"]]', '[["a","?q=1",2]]'];

for (const stored of FOREIGN) {
  test(`foreign contents of the storage are no views: ${stored}`, () => {
    const { views } = makeViews(stored);
    assert.deepEqual(views.list(), []);
    assert.equal(views.save("A", "?q=1"), "saved");
    assert.deepEqual(views.list(), [{ name: "A", search: "?q=1" }]);
  });
}

test("views that lead elsewhere, repeat a name or exceed the limit are left out", () => {
  const more = Array.from({ length: 50 }, (_, number) => [`n${number}`, ""]);
  const { views } = makeViews(JSON.stringify([["a", "javascript:alert(1)"], ["b", "//evil.example"], ["c", "?q=1"], ["c\u0000", "?q=2"], ...more]));
  const found = views.list();
  assert.equal(found.length, MAX_VIEWS);
  assert.deepEqual(found[0], { name: "c", search: "?q=2" });
});

test("a forbidden or full storage is reported", () => {
  const forbidden = new SavedViews({
    key: KEY,
    storage: () => {
      throw new DOMException("denied", "SecurityError");
    },
  });
  assert.equal(forbidden.isAllowed, false);
  assert.deepEqual(forbidden.list(), []);
  assert.equal(forbidden.save("A", ""), "failed");
  const { views, storage } = makeViews();
  assert.equal(views.isAllowed, true);
  storage.setItem = () => {
    throw new DOMException("full", "QuotaExceededError");
  };
  assert.equal(views.save("A", ""), "failed");
});

test("a view is described by what it asks for", () => {
  assert.equal(queryText(readQuery("?q=I-5&category=severe_congestion,heavy_traffic&horizon=15&segment=A&map=34,-118,11")),
    "predicted +15 min · search: I-5 · only: Severe, Heavy · segment: A · a part of the map");
  assert.equal(queryText(readQuery("?horizon=now&road=I-405+N")), "speeds now · road: I-405 N");
  assert.match(queryText(readQuery("?at=2026-03-04T17:05:00Z")), /^shows .*4 Mar 2026/);
  assert.equal(queryText(readQuery("?sort=-now")), "all segments");
});
