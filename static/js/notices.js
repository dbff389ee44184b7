/**
 * Counts new alerts, and finds those that are news: a notice has all of a moment, the worst first. Pure.
 *
 * No news are alerts that there were when the page opened or when another horizon was chosen, those of replayed or old
 * data, those that a server reads while it catches up, and those that are acknowledged. A drop that becomes severe is
 * news again.
 *
 * @import { Alerts } from "./alerts.js"
 * @import { Store } from "./store.js"
 * @import { Alert, Timers } from "./types.d.ts"
 */
import { REPLAY } from "./ages.js";
import { FRESH } from "./freshness.js";

const CHECK_MS = 1_000;
const BURST_MS = 2_000;

export class Notices {
  /** @type {Map<string, Alert["kind"]>} the worst kind of each segment's alert */
  #known = new Map();
  /** @type {number | null | undefined} of the alerts that are known */
  #horizon;
  /** @type {Set<string>} segments */
  #waiting = new Set();
  /** @type {number | null} */
  #check = null;
  /** @type {number | null} */
  #burst = null;

  /**
   * @param {object} options
   * @param {Alerts} options.alerts
   * @param {Pick<Store, "ages" | "clock" | "hasView" | "loading" | "keptSince" | "status">} options.store
   * @param {(count: number) => void} options.onCount called with the number of alerts that are not acknowledged
   * @param {() => void} options.onReady called when it knows the alerts that there are, so that others are news
   * @param {(news: Alert[]) => void} options.onNews
   * @param {Timers} [options.timers]
   */
  constructor({ alerts, store, onCount, onReady, onNews, timers = globalThis.window }) {
    this.alerts = alerts;
    this.store = store;
    this.onCount = onCount;
    this.onReady = onReady;
    this.onNews = onNews;
    this.timers = timers;
  }

  /** Look at the alerts soon. Hidden tabs have no frames, so this does not wait for one. */
  changed() {
    if (this.#check !== null) return;
    this.#check = this.timers.setTimeout(() => {
      this.#check = null;
      this.#look();
    }, CHECK_MS);
  }

  /**
   * Take over what another tab has reported.
   *
   * @param {[string, Alert["kind"]][]} news segments, with the kind of their alert
   */
  reported(news) {
    for (const [id, kind] of news) {
      this.#waiting.delete(id);
      this.#known.set(id, kind);
    }
  }

  #look() {
    const { alerts, store } = this;
    const found = this.#list();
    this.onCount(found.filter(({ acknowledged }) => !acknowledged).length);
    if (!store.hasView || store.loading !== null || store.keptSince !== null || alerts.learning > 0) return;
    if (store.status.isCatchingUp) return;
    if (alerts.horizon === this.#horizon) this.#compare(found);
    else this.#learn(found);
    if (this.#waiting.size > 0 && this.#burst === null) this.#burst = this.timers.setTimeout(() => this.#report(), BURST_MS);
  }

  /** @param {Alert[]} found */
  #learn(found) {
    const isFirst = this.#horizon === undefined;
    this.#horizon = this.alerts.horizon;
    this.#known = new Map(found.map(({ id, kind }) => [id, kind]));
    if (isFirst) this.onReady();
  }

  /** @param {Alert[]} found */
  #compare(found) {
    const before = this.#known;
    this.#known = new Map();
    for (const alert of found) {
      const { id, kind, acknowledged } = alert;
      const known = before.get(id);
      const isNews = !acknowledged && (known === undefined || (known === "drop" && kind === "severe"));
      if (isNews && this.#isCurrent(alert)) this.#waiting.add(id);
      // An old one becomes news when new data confirms it.
      if (!isNews || this.#isCurrent(alert)) this.#known.set(id, known === "severe" ? known : kind);
      else if (known) this.#known.set(id, known);
    }
  }

  #report() {
    this.#burst = null;
    const news = this.#list().filter((alert) => this.#waiting.has(alert.id) && !alert.acknowledged && this.#isCurrent(alert));
    this.#waiting.clear();
    if (news.length > 0) this.onNews(news);
  }

  #list() {
    return this.alerts.list((alert) => this.store.ages.freshness(alert) === FRESH);
  }

  /** @param {Alert} alert */
  #isCurrent(alert) {
    const { ages, clock } = this.store;
    return alert.source !== REPLAY && ages.freshness(alert, clock()) === FRESH; // ages stand still in a pause
  }
}
