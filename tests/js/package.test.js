/** The lock file of the tools: it must work with any registry. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const lock = JSON.parse(readFileSync(new URL("../../package-lock.json", import.meta.url), "utf8"));

test("the lock file names no registry, and a hash for each package", () => {
  const packages = Object.entries(lock.packages).filter(([path]) => path !== "");
  const other = packages.filter(([, { resolved }]) => resolved && !resolved.startsWith("https://registry.npmjs.org/"));
  assert.deepEqual(other.map(([path]) => path), []);
  assert.deepEqual(packages.filter(([, { integrity }]) => !integrity?.startsWith("sha512-")).map(([path]) => path), []);
});
