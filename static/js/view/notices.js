/**
 * The number of new alerts in the page's title; and for those who ask for it, a notification and a sound for new alerts.
 *
 * Of several tabs the one that holds a lock notifies. It is loaded after the page.
 *
 * @import { Alerts } from "../alerts.js"
 * @import { Store } from "../store.js"
 * @import { Alert, Config } from "../types.d.ts"
 */
import { Notices } from "../notices.js";
import { grouped, t } from "../texts.js";
import { Chime } from "./chime.js";
import { parts, setAttribute, setText } from "./elements.js";
import { label, UNIT_LABELS } from "./format.js";
import { alertText } from "./wording.js";

const INTERVAL_MS = 1_000;
const MAX_NAMED = 3;
const ON = "on";

export class NoticesView {
  #isOn = false;
  #leads = false;
  #leave = new AbortController();
  /** @type {BroadcastChannel | null} to the other tabs */
  #channel = null;

  /**
   * @param {Document} root
   * @param {object} options
   * @param {Config} options.config
   * @param {Alerts} options.alerts
   * @param {Store} options.store
   * @param {string} options.key of the storage, and of the lock
   * @param {(id: string) => void} options.onSelect
   */
  constructor(root, { config, alerts, store, key, onSelect }) {
    this.parts = parts(root);
    this.store = store;
    this.key = key;
    this.unit = UNIT_LABELS[config.speed_unit];
    this.onSelect = onSelect;
    this.chime = new Chime();
    const { title } = root;
    this.notices = new Notices({
      alerts,
      store,
      onCount: (count) => (root.title = count > 0 ? `(${grouped(count)}) ${title}` : title),
      onReady: () => (this.parts.notify.hidden = false),
      onNews: (news) => this.#notify(news),
    });
    store.subscribe(() => this.notices.changed());
    setInterval(() => this.notices.changed(), INTERVAL_MS);
    const { notify } = this.parts;
    notify.addEventListener("click", () => void (this.#isOn ? this.#turnOff() : this.#turnOn()));
    globalThis.addEventListener("storage", (event) => {
      if (event.key === key) this.#set(event.newValue === ON);
    });
    globalThis.addEventListener("pagehide", () => this.#stop());
    globalThis.addEventListener("pageshow", ({ persisted }) => persisted && this.#isOn && this.#start());
    this.#set(this.#stored() === ON);
  }

  async #turnOn() {
    this.chime.allow();
    this.#set(true);
    this.#store(ON);
    const isAllowed = (await ask()) === "granted";
    setText(this.parts.notifyNote, isAllowed ? "" : t("notices.sound_only"));
    if (isAllowed) setText(this.parts.alertsSpoken, t("notices.on"));
    this.chime.play();
  }

  #turnOff() {
    this.#set(false);
    this.#store(null);
    setText(this.parts.notifyNote, "");
    setText(this.parts.alertsSpoken, t("notices.off"));
  }

  /** @param {boolean} isOn */
  #set(isOn) {
    if (isOn && !this.#isOn) {
      this.#start();
      this.chime.allowAtNextPress(document);
    }
    if (!isOn) this.#stop();
    this.#isOn = isOn;
    setAttribute(this.parts.notify, "aria-pressed", String(isOn));
  }

  /** Notify from now on, or as soon as the tab that does is gone. Without TLS there are no locks, and the first tab does. */
  #start() {
    this.#channel = channelOf(this.key);
    this.#channel?.addEventListener("message", ({ data }) => this.notices.reported(data));
    this.#leave = new AbortController();
    const { signal } = this.#leave;
    if (!navigator.locks) {
      this.#leads = true;
      return;
    }
    const held = () => {
      if (signal.aborted) return null;
      this.#leads = true;
      return new Promise((resolve) => signal.addEventListener("abort", resolve));
    };
    navigator.locks.request(this.key, { signal }, held).catch(() => {
      if (!signal.aborted) this.#leads = true; // locks are forbidden with the storage; each tab is by itself then
    });
  }

  #stop() {
    this.#leads = false;
    this.#leave.abort();
    this.#channel?.close();
    this.#channel = null;
  }

  /** @param {Alert[]} news */
  #notify(news) {
    if (!this.#isOn || !this.#leads) return;
    this.#channel?.postMessage(news.map(({ id, kind }) => [id, kind]));
    this.chime.play();
    if (!("Notification" in globalThis) || Notification.permission !== "granted") return;
    const now = this.store.clock();
    const given = { unit: this.unit, freshness: "fresh", ageSeconds: 0, isCurrent: true, now };
    const lines = news.slice(0, MAX_NAMED).map((alert) => `${label(alert.road ?? alert.id)}: ${alertText(alert, given)}`);
    if (news.length > MAX_NAMED) lines.push(t("more", { count: news.length - MAX_NAMED }));
    this.#show(t("alerts.announced", { count: news.length }), lines.join("\n"), news[0].id);
  }

  /**
   * @param {string} title
   * @param {string} body
   * @param {string} id
   */
  #show(title, body, id) {
    try {
      // The next one takes its place, so that they don't pile up.
      const options = /** @type {NotificationOptions} */ ({ body, tag: this.key, renotify: true });
      const shown = new Notification(title, options);
      shown.addEventListener("click", () => {
        window.focus();
        this.onSelect(id);
        shown.close();
      });
    } catch {
      // Some phones allow no notifications of pages.
    }
  }

  #stored() {
    try {
      return localStorage.getItem(this.key);
    } catch {
      return null; // storage may be forbidden
    }
  }

  /** @param {string | null} value */
  #store(value) {
    try {
      if (value === null) localStorage.removeItem(this.key);
      else localStorage.setItem(this.key, value);
    } catch {
      // Storage may be forbidden: the choice lasts as long as the page.
    }
  }
}

/**
 * Return a channel to the other tabs; null where the browser forbids it with the storage.
 *
 * @param {string} name
 */
function channelOf(name) {
  try {
    return new BroadcastChannel(name);
  } catch {
    return null;
  }
}

/** Ask for the permission, unless the user has decided before. */
async function ask() {
  if (!("Notification" in globalThis)) return "denied";
  return Notification.permission === "default" ? Notification.requestPermission() : Notification.permission;
}
