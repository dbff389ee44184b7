import assert from "node:assert/strict";
import { test } from "node:test";
import { narrows, readQuery, sortBy, toggleGroup, writeQuery, writeSegments } from "../../static/js/query.js";
import { Rows } from "../../static/js/rows.js";
import { Store } from "../../static/js/store.js";
import { prediction } from "./fakes.js";

function listing(predictions, search = "") {
  const store = new Store({ intervalSeconds: 300, clock: () => 1_000_000 });
  store.apply({ type: "initial", predictions, count: predictions.length });
  return new Rows(store).list(readQuery(search)).map(({ segment_id }) => segment_id);
}

const roads = [
  prediction("S10", { road_name: "I-10 East", predicted_speed: 62, category: "free_flow" }),
  prediction("S2", { road_name: "I-5 North", predicted_speed: 12, category: "severe_congestion", current_speed: 0 }),
  prediction("S1", { predicted_speed: 33, category: "heavy_traffic", current_speed: null, speed_diff: null }),
];

for (const [name, search, expected] of /** @type {[string, string, string[]][]} */ ([
  ["the worst first, now or predicted", "", ["S2", "S1", "S10"]],
  ["names come the way people count", "?sort=segment", ["S1", "S2", "S10"]],
  ["and the other way round", "?sort=-segment", ["S10", "S2", "S1"]],
  ["roads too, the unnamed last", "?sort=road", ["S2", "S10", "S1"]],
  ["the unnamed last in both directions", "?sort=-road", ["S10", "S2", "S1"]],
  ["by predicted speed", "?sort=predicted", ["S2", "S1", "S10"]],
  ["0 is a speed, not measured is none", "?sort=now", ["S2", "S10", "S1"]],
  ["from free to severe", "?sort=category", ["S10", "S1", "S2"]],
  ["a search finds the segment of that name", "?q=s1", ["S1"]],
  ["a search finds beginnings of names", "?q=s", ["S2", "S1", "S10"]],
  ["a search finds roads", "?q=north", ["S2"]],
  ["all words must be there", "?q=i-10+s10", ["S10"]],
  ["one category", "?category=free_flow", ["S10"]],
  ["two categories", "?category=free_flow,heavy_traffic", ["S1", "S10"]],
  ["one road, whatever its places are called", "?road=I-5+North", ["S2"]],
  ["a road that there is not", "?road=I-5", []],
  ["nothing matches", "?q=zzz", []],
  ["what isn't known is ignored", "?category=nonsense&sort=nonsense", ["S2", "S1", "S10"]],
])) {
  test(`rows: ${name}`, () => assert.deepEqual(listing(roads, search), expected));
}

test("stale segments are only in the group of stale ones", () => {
  const old = prediction("OLD", { timestamp: 1_000_000 - 700_000, category: "free_flow" });
  assert.deepEqual(listing([...roads, old], "?category=not_current"), ["OLD"]);
  assert.deepEqual(listing([...roads, old], "?category=free_flow"), ["S10"]);
});

test("stale segments come after the worst", () => {
  const old = prediction("OLD", { timestamp: 1_000_000 - 700_000, current_speed: 1, predicted_speed: 1 });
  assert.deepEqual(listing([...roads, old]), ["S2", "S1", "S10", "OLD"]);
});

test("a segment that is measured while its predictions have stopped is among the worst", () => {
  const old = prediction("OLD", { timestamp: 1_000_000 - 700_000, current_speed: 65, predicted_speed: 65 });
  const store = new Store({ intervalSeconds: 300, clock: () => 1_000_000 });
  const observations = [{ segment_id: "OLD", timestamp: 1_000_000, current_speed: 3 }];
  store.apply({ type: "initial", predictions: [...roads, old], observations });
  assert.deepEqual(new Rows(store).list(readQuery("")).map(({ segment_id }) => segment_id), ["S2", "OLD", "S1", "S10"]);
});

test("a query is the same after a URL round trip", () => {
  for (const search of ["", "?segment=A&details=1&predictions=0", "?q=i-405+north", "?category=free_flow,not_current", "?q=a&category=free_flow&sort=-age"]) {
    assert.equal(writeQuery(readQuery(search)), search);
  }
});

test("unknown parameters stay in the URL", () => {
  assert.equal(writeQuery(readQuery("?q=x"), "?debug=1"), "?debug=1&q=x");
});

test("a group can be added and removed", () => {
  const once = toggleGroup(readQuery(""), "free_flow");
  assert.deepEqual(once.groups, ["free_flow"]);
  assert.ok(narrows(once));
  assert.ok(!narrows(toggleGroup(once, "free_flow")));
});

test("sorting by the same column reverses the order", () => {
  const once = sortBy(readQuery(""), "age");
  assert.deepEqual([once.column, once.descending], ["age", false]);
  assert.ok(sortBy(once, "age").descending);
  assert.ok(!sortBy(sortBy(once, "age"), "now").descending);
});

test("2,000 rows are listed with little processor time", () => {
  const many = Array.from({ length: 2_000 }, (_, index) => prediction(`LA_${(index * 7919) % 2_000}`));
  const store = new Store({ intervalSeconds: 300, clock: () => 1_000_000 });
  store.apply({ type: "initial", predictions: many, count: many.length });
  const rows = new Rows(store);
  rows.list(readQuery(""));
  const begin = process.cpuUsage();
  for (let round = 0; round < 10; round += 1) rows.list(readQuery("?sort=-predicted"));
  const { user, system } = process.cpuUsage(begin);
  assert.ok((user + system) / 10_000 < 50, "milliseconds a list");
});

test("a link keeps road, map position and time", () => {
  const search = "?road=I-405+N&map=34.0500,-118.2500,11&at=2026-03-04T17:05:00Z";
  const query = readQuery(search);
  assert.equal(query.road, "I-405 N");
  assert.deepEqual(query.view, { centre: [34.05, -118.25], zoom: 11 });
  assert.equal(query.at, Date.UTC(2026, 2, 4, 17, 5));
  assert.equal(writeQuery(query), search);
});

for (const search of ["?map=", "?map=1,2", "?map=,,", "?map=91,0,3", "?map=0,181,3", "?map=0,0,99", "?map=1,2,3,4", "?at=soon"]) {
  test(`invalid parameters of a link are ignored: ${search}`, () => {
    const { view, at } = readQuery(search);
    assert.deepEqual([view, at], [null, null]);
  });
}

test("a segment filter has as many segments as fit into a request", () => {
  assert.equal(writeSegments(["A B", "a,b", "C&D"]), "&segment=A%20B&segment=C%26D");
  assert.equal(writeSegments([]), "");
  const many = writeSegments(Array.from({ length: 1_000 }, (_, number) => `S${number}`));
  assert.ok(many.length > 2_900 && many.length <= 3_000);
});
