import assert from "node:assert/strict";
import { test } from "node:test";
import { PageReload } from "../../static/js/page-reload.js";

const OWN = '{"page_version":"1"}';

/** A page that is asked for once, and what came of it. */
async function checked({ text = `<script id="config">${OWN}</script>`, ok = true, works = true, fetch = null } = {}) {
  let reloads = 0;
  const setTimeout = (action, delayMs) => assert.equal(delayMs, 5_000) ?? action();
  const answer = { ok, text: async () => text };
  const reload = new PageReload({
    fetch: fetch ?? (async () => answer),
    page: "http://here/predictions?wall=1",
    own: OWN,
    works: () => works,
    reload: () => (reloads += 1),
    timers: { setInterval: assert.fail, setTimeout },
  });
  await reload.check();
  await reload.check();
  return reloads;
}

test("the same page is not loaded again", async () => {
  assert.equal(await checked(), 0);
});

test("another version is loaded, once", async () => {
  assert.equal(await checked({ text: '<script id="config">{"page_version":"2"}</script>' }), 1);
});

test("a page that could not start, or was refused, is loaded when the server has it", async () => {
  assert.equal(await checked({ works: false }), 1);
  assert.equal(await checked({ works: false, ok: false }), 0);
});

test("a form to sign in, an error and no answer leave the page as it is", async () => {
  assert.equal(await checked({ text: "<form>Sign in</form>" }), 0);
  assert.equal(await checked({ ok: false }), 0);
  assert.equal(await checked({ fetch: () => Promise.reject(new TypeError("no connection")) }), 0);
});

test("a page is loaded only after two answers in a row", async () => {
  const text = '<script id="config">{"page_version":"2"}</script>';
  for (const [answers, reloads] of [["+-+-", 0], ["-++", 1], ["+-++", 1], ["+--", 0]]) {
    const left = [...String(answers)];
    let asked = 0;
    let reloaded = 0;
    const fetch = async () => ({ ok: (asked++, left.shift() === "+"), text: async () => text });
    const timers = { setInterval: assert.fail, setTimeout: (action) => action() };
    const page = new PageReload({ fetch, page: "/p", own: OWN, works: () => true, reload: () => (reloaded += 1), timers });
    while (left.length > 0) await page.check();
    assert.deepEqual([reloaded, asked], [reloads, String(answers).length], String(answers));
  }
});

test("one check waits for the other", async () => {
  let asked = 0;
  const fetch = async () => ({ ok: (asked += 1) > 0, text: async () => '<script id="config">{}</script>' });
  const timers = { setInterval: assert.fail, setTimeout: () => null };
  const page = new PageReload({ fetch, page: "/p", own: OWN, works: () => true, reload: assert.fail, timers });
  void page.check();
  await page.check();
  assert.equal(asked, 1);
});

test("the page is asked for once a minute, past the cache", async () => {
  const asked = [];
  const timers = [];
  const fetch = async (url, options) => {
    asked.push([url, options.cache]);
    return { ok: false, text: async () => "" };
  };
  const setInterval = (action, delayMs) => timers.push([action, delayMs]);
  new PageReload({ fetch, page: "/p?wall=1", own: OWN, works: () => true, reload: assert.fail, timers: { setInterval, setTimeout: assert.fail } }).start();
  assert.equal(timers[0][1], 60_000);
  timers[0][0]();
  assert.deepEqual(asked, [["/p?wall=1", "no-store"]]);
});
