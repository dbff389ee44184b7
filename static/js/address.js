/**
 * Owns the query, and keeps it in the page's address.
 *
 * @import { Query } from "./types.d.ts"
 */
import { readQuery, writeQuery } from "./query.js";

export class Address {
  /** @type {Query} */
  #query;

  /** @param {{ onChange(): void, location?: Location, history?: History }} options */
  constructor({ onChange, location = globalThis.location, history = globalThis.history }) {
    this.onChange = onChange;
    this.location = location;
    this.history = history;
    this.#query = readQuery(location.search);
  }

  get query() {
    return this.#query;
  }

  /**
   * Change fields of the query, without an entry in the browser's history.
   *
   * @param {Partial<Query>} fields
   */
  change(fields) {
    this.#query = { ...this.#query, ...fields };
    const { pathname, search, hash } = this.location;
    this.history.replaceState(null, "", pathname + writeQuery(this.#query, search) + hash);
    this.onChange();
  }

  /** Read the query again, after the browser has changed the address. */
  reread() {
    this.#query = readQuery(this.location.search);
    this.onChange();
  }
}
