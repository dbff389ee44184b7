/**
 * Requests to the server besides the live connection. It knows no DOM.
 *
 * @import { Band, Fetch, Geometry, Network, Observation, Prediction, ScoreReport, SharedAcknowledgement } from "./types.d.ts"
 */

/** What the server says that was wrong. */
export class ServerError extends Error {}

export class Api {
  /** @param {{ root: string, fetch?: Fetch }} options */
  constructor({ root, fetch = globalThis.fetch }) {
    this.root = root;
    this.fetch = fetch;
  }

  /**
   * Return one segment; null if the server doesn't know it.
   *
   * @param {string} id
   * @param {AbortSignal} [signal]
   * @returns {Promise<{ latest: Prediction[], history: Prediction[], observations: Observation[] } | null>}
   */
  async segment(id, signal) {
    const answer = await this.#get(`/api/predictions/${encodeURIComponent(id)}?include=observations`, signal);
    return answer.status === 404 ? null : dataOf(answer);
  }

  /**
   * Return how long the server has received no record, in seconds; null if it doesn't know.
   *
   * @returns {Promise<number | null>}
   */
  async silenceSeconds() {
    const { data } = await succeeded(await this.#get("/api/health")).json();
    const seconds = data.consumer?.last_record_age_seconds;
    return Number.isFinite(seconds) ? seconds : null;
  }

  /**
   * Return the network of the segments, as GeoJSON.
   *
   * @returns {Promise<Network>}
   */
  async network() {
    return succeeded(await this.#get("/api/network")).json();
  }

  /**
   * Return borders and coasts as one GeoJSON geometry of lines.
   *
   * @param {string} url a file of the server
   * @returns {Promise<Geometry>}
   */
  async outlines(url) {
    const { fetch } = this;
    return succeeded(await fetch(url)).json();
  }

  /**
   * Yield the pages of the history, in the order of the log; `gap` says why it is not complete, and observations need
   * "&include=observations".
   *
   * @param {AbortSignal} [signal]
   * @param {string} filter more of the query, such as "&since=0"
   * @param {number} maxPages
   * @returns {AsyncGenerator<{ predictions: Prediction[], observations?: Observation[], more: boolean, gap?: { reason: string } }>}
   */
  async *historyPages(signal, filter = "", maxPages = Infinity) {
    let query = `?limit=1000${filter}`;
    for (let page = 0; page < maxPages; page += 1) {
      const data = await dataOf(await this.#get(`/api/predictions/history${query}`, signal));
      yield data;
      if (!data.more) return;
      query = `?limit=1000${filter}&after=${encodeURIComponent(data.cursor)}`;
    }
  }

  /**
   * Return the newest predictions in the server's memory, oldest first.
   *
   * @param {number} count of each segment and horizon
   * @param {string} filter more of the query, such as "&segment=A"
   * @returns {Promise<Prediction[]>}
   */
  async newest(count, filter) {
    return (await dataOf(await this.#get(`/api/predictions/history?last=${count}${filter}`))).predictions;
  }

  /**
   * Return the newest prediction of each segment.
   *
   * @returns {Promise<Prediction[]>}
   */
  async view() {
    return (await dataOf(await this.#get("/api/predictions"))).predictions;
  }

  /**
   * Return the usual speeds at a time by segment.
   *
   * @param {number} atMs
   * @returns {Promise<Map<string | number, Band>>}
   */
  async usualAt(atMs) {
    const { segments } = await dataOf(await this.#get(`/api/usual?at=${atMs}`));
    return new Map(Object.entries(segments));
  }

  /**
   * Return the usual speeds of a segment on the day of a time, by quarter-hour from 0 to 95. A segment that the server
   * doesn't know has none.
   *
   * @param {string} id
   * @param {number} atMs
   * @returns {Promise<Map<string | number, Band>>}
   */
  async usualDay(id, atMs) {
    const answer = await this.#get(`/api/usual?segment_id=${encodeURIComponent(id)}&at=${atMs}`);
    if (answer.status === 404) return new Map();
    /** @type {{ quarters: (Band | null)[] }} */
    const { quarters } = await dataOf(answer);
    return new Map(quarters.flatMap((band, time) => (band === null ? [] : [[time, band]])));
  }

  /**
   * Return how good past predictions were in detail.
   *
   * @returns {Promise<ScoreReport>}
   */
  async scores() {
    return dataOf(await this.#get("/api/scores"));
  }

  /**
   * Return the acknowledgements that all who watch share, and the tag of the answer. Throws a ServerError.
   *
   * @returns {Promise<{ tag: string | null, found: SharedAcknowledgement[] }>}
   */
  async acknowledgements() {
    const answer = await this.#get("/api/acknowledgements");
    const { acknowledgements } = await dataOrError(answer);
    return { tag: answer.headers.get("ETag"), found: acknowledgements };
  }

  /**
   * Change acknowledgements, and return all of them. Throws a ServerError.
   *
   * @param {object} change
   * @returns {Promise<SharedAcknowledgement[]>}
   */
  async changeAcknowledgements(change) {
    const { fetch } = this;
    const headers = { Accept: "application/json", "Content-Type": "application/json" };
    const answer = await fetch(`${this.root}/api/acknowledgements`, { method: "POST", headers, body: JSON.stringify(change) });
    return (await dataOrError(answer)).acknowledgements;
  }

  /**
   * @param {string} path
   * @param {AbortSignal} [signal]
   */
  #get(path, signal) {
    const { fetch } = this; // called without a receiver: window.fetch throws as a method of another object
    return fetch(this.root + path, { headers: { Accept: "application/json" }, signal });
  }
}

/** @param {Response} answer */
function succeeded(answer) {
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  return answer;
}

/** @param {Response} answer */
async function dataOf(answer) {
  return (await succeeded(answer).json()).data;
}

/** @param {Response} answer */
async function dataOrError(answer) {
  if (answer.ok) return (await answer.json()).data;
  const body = await answer.json().catch(() => ({}));
  throw new ServerError(body.error ?? `the server answered ${answer.status}`);
}
