import assert from "node:assert/strict";
import { test } from "node:test";
import { StayAwake } from "../../static/js/stay-awake.js";

/** A browser's wake lock: grants it, or refuses it. */
function fakeWakeLock() {
  const fake = { requests: 0, isRefused: false, lock: { released: false } };
  return Object.assign(fake, {
    request: async () => {
      fake.requests += 1;
      if (fake.isRefused) throw new Error("NotAllowedError");
      fake.lock = { released: false };
      return fake.lock;
    },
  });
}

test("the lock is asked for once, and again when the browser has released it", async () => {
  let now = 0;
  const wakeLock = fakeWakeLock();
  const awake = new StayAwake({ wakeLock, clock: () => now });
  await awake.keep(false);
  assert.equal(wakeLock.requests, 0, "a hidden page gets none");
  for (now = 0; now < 300_000; now += 1_000) await awake.keep(true);
  assert.equal(wakeLock.requests, 1);
  wakeLock.lock.released = true;
  await awake.keep(true);
  assert.equal(wakeLock.requests, 2);
});

test("after a refusal the lock is asked for once a minute, and at once when the page is shown", async () => {
  let now = 0;
  const wakeLock = fakeWakeLock();
  wakeLock.isRefused = true;
  const awake = new StayAwake({ wakeLock, clock: () => now });
  for (; now < 180_000; now += 1_000) await awake.keep(true);
  assert.equal(wakeLock.requests, 3);
  now = 181_000;
  wakeLock.isRefused = false;
  await awake.keep(true);
  assert.equal(wakeLock.requests, 4);
});

test("a page that is shown again asks at once", async () => {
  const wakeLock = fakeWakeLock();
  wakeLock.isRefused = true;
  const awake = new StayAwake({ wakeLock, clock: () => 0 });
  await awake.keep(true);
  await awake.keep(true);
  assert.equal(wakeLock.requests, 1);
  awake.retryNow();
  await awake.keep(true);
  assert.equal(wakeLock.requests, 2);
});

test("a browser without wake locks is left alone", async () => {
  await new StayAwake({ wakeLock: undefined, clock: () => 0 }).keep(true);
});
