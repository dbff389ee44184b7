import assert from "node:assert/strict";
import { test } from "node:test";
import { Api } from "../../static/js/api.js";
import { jsonResponse } from "./fakes.js";

test("the history is read to its end", async () => {
  const asked = [];
  const fetch = async (url) => {
    asked.push(new URL(url, "http://here").searchParams.get("after"));
    const more = asked.length < 250;
    return jsonResponse({ data: { predictions: [{ n: asked.length }], cursor: `c${asked.length}`, more } });
  };
  const found = [];
  for await (const page of new Api({ root: "", fetch }).historyPages()) found.push(...page.predictions);
  assert.equal(found.length, 250);
  assert.deepEqual(asked.slice(0, 3), [null, "c1", "c2"]);
});
