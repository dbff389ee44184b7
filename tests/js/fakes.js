/** Fakes for the tests of the page's modules: a clock that moves only by advance(), a network, transports. */

import assert from "node:assert/strict";

/** Timers and a clock that move only by advance(). */
export class FakeTime {
  #timers = new Map();
  #next = 1;
  now = 1_000_000;
  clock = () => this.now;

  setTimeout = (action, delayMs) => {
    const isTooLong = delayMs >= 2 ** 31; // a real timer is due at once then
    this.#timers.set(this.#next, { action, at: this.now + (isTooLong ? 1 : delayMs) });
    return this.#next++;
  };

  clearTimeout = (id) => this.#timers.delete(id);

  setInterval = () => assert.fail("there are no intervals");
  clearInterval = () => assert.fail("there are no intervals");

  /** Move on by so many milliseconds, letting everything that is due happen in its order. */
  async advance(milliseconds) {
    const end = this.now + milliseconds;
    for (;;) {
      await settle();
      const due = [...this.#timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      this.#timers.delete(due[0]);
      this.now = Math.max(this.now, due[1].at);
      due[1].action();
    }
    this.now = end;
    await settle();
  }

  get pending() {
    return this.#timers.size;
  }
}

/** Let everything that was promised happen. */
export async function settle() {
  for (let turn = 0; turn < 30; turn += 1) await Promise.resolve();
  await new Promise((resolve) => setImmediate(resolve));
}

/** A transport that a test opens, feeds and ends by hand. */
export class FakeTransport {
  opened = [];

  constructor(name, pushes) {
    this.name = name;
    this.pushes = pushes;
    this.everySeconds = pushes ? undefined : 5;
  }

  open(options) {
    const attempt = { ...options, closed: false };
    this.opened.push(attempt);
    return () => (attempt.closed = true);
  }

  get last() {
    return this.opened.at(-1);
  }

  get openNow() {
    return this.opened.filter((each) => !each.closed && !each.ended).length;
  }

  succeed() {
    this.last.onState({ state: "open" });
  }

  end(reason, retryMs = null) {
    this.last.ended = true;
    this.last.onState({ state: "closed", reason, retryMs });
  }
}

/** A response whose body a test writes piece by piece. */
export function streamingResponse({ status = 200, type = "text/event-stream" } = {}) {
  let controller;
  const body = new ReadableStream({ start: (given) => (controller = given) });
  const encoder = new TextEncoder();
  return {
    response: new Response(body, { status, headers: { "content-type": type } }),
    write: async (text) => {
      controller.enqueue(encoder.encode(text));
      await settle();
    },
    finish: async () => {
      controller.close();
      await settle();
    },
  };
}

export function jsonResponse(body, status = 200) {
  return new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } });
}

/**
 * A prediction with these fields, wrong ones among them.
 *
 * @returns {import("../../static/js/types.js").Prediction}
 */
export function prediction(segment_id, fields = {}) {
  return {
    segment_id,
    timestamp: 1_000_000,
    horizon_minutes: null,
    current_speed: 50,
    predicted_speed: 50,
    speed_diff: 0,
    category: "moderate_traffic",
    ...fields,
  };
}
