/**
 * Decides when the page is rendered. An action of the user is shown completely in the next frame. Updates are shown at
 * most five times a second, since figures that change faster can't be read. Each of their steps has a frame of its own,
 * so that no frame is late.
 *
 * @import { Timers } from "../types.d.ts"
 */

const UPDATE_MS = 200;

export class Frames {
  #frame = 0;
  #isRequested = false;
  /** @type {Iterator<void> | null} the rest of a rendering that was started */
  #steps = null;
  /** @type {number | null} */
  #timer = null;
  #startedAt = -Infinity;

  /**
   * @param {object} options
   * @param {(inFull: boolean) => Iterator<void>} options.render returns the steps of a rendering
   * @param {(action: () => void) => number} [options.requestFrame]
   * @param {Timers} [options.timers]
   * @param {() => number} [options.clock]
   */
  constructor({
    render,
    requestFrame = (action) => requestAnimationFrame(action),
    timers = globalThis,
    clock = () => performance.now(),
  }) {
    this.render = render;
    this.requestFrame = requestFrame;
    this.timers = timers;
    this.clock = clock;
  }

  /** Render at least every UPDATE_MS, since ages change without an update. */
  start() {
    this.timers.setInterval(() => this.renderUpdates(), UPDATE_MS);
  }

  /** Render completely in the next frame. */
  renderSoon() {
    this.#isRequested = true;
    this.#requestFrame();
  }

  /** Render updates when they are due. */
  renderUpdates() {
    if (this.#timer !== null || this.#steps) return;
    const delayMs = Math.max(0, this.#startedAt + UPDATE_MS - this.clock());
    this.#timer = this.timers.setTimeout(() => {
      this.#timer = null;
      this.#steps ??= this.#start(false);
      this.#requestFrame();
    }, delayMs);
  }

  /** Render completely now. A rendering that was started is finished first: it holds changes that are not drawn yet. */
  renderNow() {
    this.#isRequested = false;
    if (this.#steps) finish(this.#steps);
    this.#steps = null;
    finish(this.#start(true));
  }

  /** @param {boolean} inFull */
  #start(inFull) {
    this.#startedAt = this.clock();
    return this.render(inFull);
  }

  #requestFrame() {
    if (this.#frame === 0) this.#frame = this.requestFrame(() => this.#onFrame());
  }

  #onFrame() {
    this.#frame = 0;
    if (this.#isRequested) this.renderNow();
    else if (this.#steps?.next().done) this.#steps = null;
    if (this.#steps) this.#requestFrame();
  }
}

/** @param {Iterator<void>} steps */
function finish(steps) {
  while (!steps.next().done);
}
