/**
 * Loads the page of an unattended display again: if the server has another version of it or of its settings, if it could
 * not start, or if the server has refused the connection. Pure.
 *
 * Without an answer, or with another page such as the form to sign in, the old page stays: it says how old its data are.
 */

const CHECK_MS = 60_000;
/** What only a page of this kind has. */
const SIGN = 'id="config"';

export class PageReload {
  #isDone = false;

  /**
   * @param {object} options
   * @param {(url: string, options: RequestInit) => Promise<Pick<Response, "ok" | "text">>} options.fetch
   * @param {string} options.page its address
   * @param {string} options.own what the page that is shown has, and another version has not
   * @param {() => boolean} options.works tells whether the page has started, and its connection was not refused
   * @param {() => void} options.reload
   * @param {{ setInterval(action: () => void, delayMs: number): unknown }} [options.timers]
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
    const text = await this.#served().catch(() => "");
    if (this.#isDone || !text.includes(SIGN)) return;
    if (text.includes(this.own) && this.works()) return;
    this.#isDone = true;
    this.reload();
  }

  async #served() {
    const { fetch } = this; // called without a receiver: window.fetch throws as a method of another object
    const answer = await fetch(this.page, { cache: "no-store", headers: { Accept: "text/html" } });
    return answer.ok ? answer.text() : "";
  }
}
