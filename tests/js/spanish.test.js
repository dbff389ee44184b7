import assert from "node:assert/strict";
import { test } from "node:test";

// The language is that of the document, and is read once.
/** @type {any} */ (globalThis).document = { documentElement: { lang: "es" } };
const { grouped } = await import("../../static/js/texts.js");

test("digits are grouped from five on, as templates do", () => {
  assert.deepEqual([1_234, 12_345].map(grouped), ["1234", "12.345"]);
});
