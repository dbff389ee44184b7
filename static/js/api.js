/** What is asked of the server now and then, beside the one connection that tells what is new. It knows no DOM. */

export class Api {
  constructor({ root, fetch = globalThis.fetch }) {
    Object.assign(this, { root, fetch });
  }

  /** Return one segment: `{ latest, history, … }`; null when the server doesn't know it. */
  async segment(id, signal) {
    const answer = await this.#get(`/api/predictions/${encodeURIComponent(id)}`, signal);
    return answer.status === 404 ? null : this.#data(answer);
  }

  /** Return the network of the segments, as GeoJSON. */
  async network() {
    return this.#succeeded(await this.#get("/api/network")).json();
  }

  /** Return what borders on what, as one GeoJSON geometry of lines; `url` is a file of the server. */
  async outlines(url) {
    const { fetch } = this;
    return this.#succeeded(await fetch(url)).json();
  }

  /**
   * Yield pages of the window's predictions, in the order of the log, so that the newest come last: whoever stops before
   * has a window that ends before now. `filter` is more of the query, "&segment=A".
   */
  async *history(signal, filter = "", mostPages = Infinity) {
    let query = `?limit=1000${filter}`;
    for (let page = 0; page < mostPages; page += 1) {
      const data = await this.#data(await this.#get(`/api/predictions/history${query}`, signal));
      yield data.predictions;
      if (!data.more) return;
      query = `?limit=1000${filter}&after=${encodeURIComponent(data.cursor)}`;
    }
  }

  #get(path, signal) {
    const { fetch } = this; // a bare call: window.fetch refuses to be a method of something else
    return fetch(this.root + path, { headers: { Accept: "application/json" }, signal });
  }

  #succeeded(answer) {
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    return answer;
  }

  async #data(answer) {
    return (await this.#succeeded(answer).json()).data;
  }
}
