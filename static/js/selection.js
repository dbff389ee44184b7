/**
 * The selected segment, and the history that the drawer shows of it. The address holds which one it is.
 *
 * @import { Address } from "./address.js"
 * @import { Api } from "./api.js"
 * @import { DrawerView } from "./view/drawer.js"
 */

export class Selection {
  /** @type {AbortController | null} */
  #request = null;

  /** @param {{ address: Address, api: Api, drawer: DrawerView, hasDetails: boolean, onChange(): void }} options */
  constructor({ address, api, drawer, hasDetails, onChange }) {
    this.address = address;
    this.api = api;
    this.drawer = drawer;
    this.hasDetails = hasDetails;
    this.onChange = onChange;
  }

  /**
   * Select a segment, and open the drawer for it if `withDetails`.
   *
   * @param {string | null} id null for none
   */
  select(id, withDetails = this.drawer.isOpen) {
    if (id === null) this.drawer.close();
    else if (withDetails) this.#open(id, true);
    this.address.change({ segment: id, details: this.drawer.isOpen });
  }

  /** Open or close the drawer as the address says. */
  follow() {
    const { segment, details } = this.address.query;
    if (details && segment !== null) this.#open(segment, false);
    else this.drawer.close();
  }

  /**
   * @param {string} id
   * @param {boolean} takesFocus
   */
  async #open(id, takesFocus) {
    if (!this.hasDetails) return;
    this.#request?.abort();
    const request = new AbortController();
    this.#request = request;
    this.drawer.open(id, takesFocus);
    try {
      const segment = await this.api.segment(id, request.signal);
      this.drawer.setHistory(id, segment?.history ?? [], segment?.observations);
    } catch {
      if (!request.signal.aborted) this.drawer.setHistory(id, null);
    }
    this.onChange();
  }
}
