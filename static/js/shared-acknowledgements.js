/**
 * Acknowledgements that all who watch share: asks the server for them every few seconds, and tells it of changes.
 *
 * A press shows when the server has kept it, so what a page shows is what the others see.
 *
 * @import { Alerts } from "./alerts.js"
 * @import { Api } from "./api.js"
 * @import { AlertSpan, SharedAcknowledgement, Timers } from "./types.d.ts"
 */
import { ServerError } from "./api.js";
import { t } from "./texts.js";

const POLL_MS = 5_000;
/** The server takes so many alerts in one request. */
const MAX_ALERTS = 500;

export class SharedAcknowledgements {
  /** @type {string | null} */
  #tag = null;
  #changes = 0;
  #isRunning = false;
  /** @type {number | undefined} */
  #timer;

  /** @type {string | null} */
  #changeError = null;
  /** @type {string | null} */
  #pollError = null;

  /** @param {{ alerts: Alerts, api: Api, onChange(): void, timers?: Timers }} options */
  constructor({ alerts, api, onChange, timers = globalThis.window }) {
    this.alerts = alerts;
    this.api = api;
    this.onChange = onChange;
    this.timers = timers;
  }

  /** Why the last change was not kept, or the list may be old; null while all is well. */
  get error() {
    return this.#changeError ?? this.#pollError;
  }

  start() {
    if (this.#isRunning) return;
    this.#isRunning = true;
    void this.#poll();
  }

  stop() {
    this.#isRunning = false;
    this.timers.clearTimeout(this.#timer);
  }

  /**
   * Acknowledge alerts, or say something of acknowledged ones.
   *
   * @param {string[]} ids
   * @param {{ name: string, note: string | null }} words a name only where no token says it
   */
  async acknowledge(ids, { name, note }) {
    const more = { ...(name && { name }), ...(note !== null && { note }) };
    await this.#change("acknowledge", this.alerts.spansOf(ids), more);
  }

  /** @param {string[]} ids */
  async undo(ids) {
    await this.#change("undo", this.alerts.spansOf(ids));
  }

  async #poll() {
    try {
      await this.#read();
      const lasting = this.alerts.toRenew().slice(0, MAX_ALERTS);
      if (lasting.length > 0) await this.#send("renew", lasting);
      this.#say(this.#changeError, null);
    } catch (error) {
      // That the server can't be reached is said elsewhere.
      if (error instanceof ServerError) this.#say(this.#changeError, t("acknowledge.old", { reason: error.message }));
    }
    this.timers.clearTimeout(this.#timer); // that of a poll from before the page was left and came back
    if (this.#isRunning) this.#timer = this.timers.setTimeout(() => void this.#poll(), POLL_MS);
  }

  async #read() {
    const changes = this.#changes;
    const { tag, found } = await this.api.acknowledgements();
    if (changes !== this.#changes) return; // it may be older than a change of this page
    if (tag !== null && tag === this.#tag) return;
    this.#tag = tag;
    this.#share(found);
  }

  /**
   * @param {string} action
   * @param {AlertSpan[]} spans
   * @param {object} more
   */
  async #change(action, spans, more = {}) {
    try {
      for (let first = 0; first < spans.length; first += MAX_ALERTS) {
        await this.#send(action, spans.slice(first, first + MAX_ALERTS), more);
      }
      this.#say(null, this.#pollError);
    } catch (error) {
      const reason = error instanceof ServerError ? error.message : t("acknowledge.unreachable");
      this.#say(t("acknowledge.not_kept", { reason }), this.#pollError);
    }
  }

  /**
   * @param {string} action
   * @param {AlertSpan[]} alerts
   * @param {object} more
   */
  async #send(action, alerts, more = {}) {
    const found = await this.api.changeAcknowledgements({ action, alerts, ...more });
    this.#changes += 1;
    this.#tag = null;
    this.#share(found);
  }

  /** @param {SharedAcknowledgement[]} found */
  #share(found) {
    this.alerts.share(found);
    this.onChange();
  }

  /**
   * @param {string | null} changeError
   * @param {string | null} pollError
   */
  #say(changeError, pollError) {
    const before = this.error;
    this.#changeError = changeError;
    this.#pollError = pollError;
    if (this.error !== before) this.onChange();
  }
}
