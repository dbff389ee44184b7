/**
 * How good past predictions were in detail: requested from the server while it is shown. It knows no DOM.
 *
 * @import { Api } from "./api.js"
 * @import { ScoreReport } from "./types.d.ts"
 */

const REFRESH_MS = 15_000;

export class Accuracy {
  #isLoading = false;
  #requestedAt = -Infinity;
  /** @type {ScoreReport | null} */
  report = null;
  /** Whether the last request failed; the report is an older one then, if there is one. */
  hasFailed = false;

  /** @param {{ api: Pick<Api, "scores">, onChange(): void, clock?: () => number }} options */
  constructor({ api, onChange, clock = Date.now }) {
    this.api = api;
    this.onChange = onChange;
    this.clock = clock;
  }

  /** Request the report, unless that was done a short time ago. */
  async load() {
    const now = this.clock();
    if (this.#isLoading || Math.abs(now - this.#requestedAt) < REFRESH_MS) return;
    this.#isLoading = true;
    this.#requestedAt = now;
    try {
      this.report = await this.api.scores();
      this.hasFailed = false;
    } catch {
      this.hasFailed = true;
    } finally {
      this.#isLoading = false;
    }
    this.onChange();
  }
}
