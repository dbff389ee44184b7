/**
 * The data of the page: the live store, the alerts and the past. Messages go to the first two, and what a view alone does not
 * tell is read from the server: the earlier steps of alerts, and how old a replay is. It knows no DOM.
 *
 * @import { Alerts } from "./alerts.js"
 * @import { Api } from "./api.js"
 * @import { Store } from "./store.js"
 * @import { TimeTravel } from "./time-travel.js"
 * @import { ChosenTime, Message } from "./types.d.ts"
 */
import { learnEarlierSteps } from "./alert-history.js";
import { ageReplay } from "./replay-silence.js";

const HOUR_MS = 3_600_000;

export class PageData {
  /**
   * @param {object} options
   * @param {Store} options.store
   * @param {Alerts} options.alerts
   * @param {TimeTravel} options.past
   * @param {Api} options.api
   * @param {boolean} options.showsAlerts else their earlier steps are not read
   * @param {() => void} options.onChange
   */
  constructor({ store, alerts, past, api, showsAlerts, onChange }) {
    this.store = store;
    this.alerts = alerts;
    this.past = past;
    this.api = api;
    this.showsAlerts = showsAlerts;
    this.onChange = onChange;
  }

  /** @param {Message} message */
  take(message) {
    this.alerts.apply(message);
    this.store.apply(message);
    if (message.type !== "initial") return;
    void this.#completeAlerts();
    void this.#completeAges();
  }

  /**
   * Show the predictions for a time.
   *
   * @param {ChosenTime} time
   */
  choose(time) {
    if (time === this.store.time) return;
    this.store.choose(time);
    this.past.store.choose(time);
    this.alerts.choose(time, [...this.store.forecasts.all()]);
    void this.#completeAlerts();
  }

  /** Pause the live view, or continue; no effect in the past. */
  togglePause() {
    if (this.past.isThere) return;
    if (this.store.paused) this.store.resume();
    else this.store.pause();
    this.onChange();
  }

  /**
   * Go to the past.
   *
   * @param {number | null} hours how far back to read it; Infinity for all, null for what the server has in memory
   */
  async travel(hours) {
    await this.past.begin(this.store, hours === null ? null : this.#ago(hours));
  }

  /** Leave the past, and end a pause. */
  goLive() {
    this.past.end();
    if (this.store.paused) this.store.resume();
  }

  /** @param {number} hours */
  #ago(hours) {
    const { ages } = this.store;
    return Number.isFinite(hours) ? (ages.replayMs ?? ages.serverNow) - hours * HOUR_MS : 0;
  }

  async #completeAges() {
    if (await ageReplay(this.store, this.api)) this.onChange();
  }

  async #completeAlerts() {
    if (this.showsAlerts && (await learnEarlierSteps(this.alerts, this.api))) this.onChange();
  }
}
