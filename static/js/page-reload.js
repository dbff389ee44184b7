/**
 * Loads the page of an unattended display again: if the server has another version of it or of its settings, if it could
 * not start, or if the server has refused the connection. Pure.
 *
 * Without an answer, or with another page such as the form to sign in, the old page stays: it says how old its data are.
 * It loads again only after two such answers in a row. While servers restart one after the other, the next answer may be an
 * error, from which a browser does not come back by itself.
 */

const CHECK_MS = 60_000;
const AGAIN_MS = 5_000;
/** What only a page of this kind has. */
const SIGN = 'id="config"';

export class PageReload {
  #isChecking = false;

  /**
   * @param {object} options
   * @param {(url: string, options: RequestInit) => Promise<Pick<Response, "ok" | "text">>} options.fetch
   * @param {string} options.page its address
   * @param {string} options.own what the page that is shown has, and another version has not
   * @param {() => boolean} options.works tells whether the page has started, and its connection was not refused
   * @param {() => void} options.reload
   * @param {Record<"setInterval" | "setTimeout", (action: () => void, delayMs: number) => unknown>} [options.timers]
   */
  constructor({ fetch, page, own, works, reload, timers = globalThis }) {
    this.fetch = fetch;
    this.page = page;
    this.own = own;
    this.works = works;
    this.reload = reload;
    this.timers = timers;
  }

  start() {
    this.timers.setInterval(() => void this.check(), CHECK_MS);
  }

  /** Ask for the page, and load it again if it is another one, or this one doesn't work. */
  async check() {
    if (this.#isChecking) return;
    this.#isChecking = true;
    const { timers } = this; // called as its methods: those of the browser throw for another receiver
    const isReady = (await this.#isDue()) && (await this.#wait(timers), await this.#isDue());
    if (isReady) this.reload();
    else this.#isChecking = false;
  }

  /** @param {{ setTimeout(action: () => void, delayMs: number): unknown }} timers */
  #wait(timers) {
    return new Promise((resolve) => timers.setTimeout(() => resolve(null), AGAIN_MS));
  }

  async #isDue() {
    const text = await this.#served().catch(() => "");
    return text.includes(SIGN) && !(text.includes(this.own) && this.works());
  }

  async #served() {
    const { fetch } = this; // called without a receiver: window.fetch throws as a method of another object
    const answer = await fetch(this.page, { cache: "no-store", headers: { Accept: "text/html" } });
    return answer.ok ? answer.text() : "";
  }
}
