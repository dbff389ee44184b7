/**
 * Acknowledges alerts: for all who watch where the server shares acknowledgements, else in this browser alone.
 *
 * @import { AcknowledgementStorage } from "./acknowledgement-storage.js"
 * @import { Alerts } from "./alerts.js"
 * @import { SharedAcknowledgements } from "./shared-acknowledgements.js"
 * @typedef {{ name: string, note: string | null }} Words
 */
import { t } from "./texts.js";

export class Acknowledging {
  /**
   * @param {object} options
   * @param {Alerts} options.alerts
   * @param {SharedAcknowledgements} options.shared
   * @param {AcknowledgementStorage} options.stored
   * @param {boolean} options.isShared
   * @param {(note: string | null, title: string) => Promise<Words | null>} options.ask returns who acknowledges, with a note
   *   if one is asked for; null if the user cancels
   * @param {() => void} options.onChange
   */
  constructor({ alerts, shared, stored, isShared, ask, onChange }) {
    this.alerts = alerts;
    this.shared = shared;
    this.stored = stored;
    this.isShared = isShared;
    this.ask = ask;
    this.onChange = onChange;
  }

  /** Take over what was acknowledged before, and keep up with it until stop(). */
  start() {
    if (this.isShared) this.shared.start();
    else this.stored.start();
  }

  /** The page is left. */
  stop() {
    if (this.isShared) this.shared.stop();
    else this.stored.stop();
  }

  /** @param {string[]} ids */
  async acknowledge(ids) {
    if (this.isShared) return this.note(ids, null, t("alert.acknowledge"));
    ids.forEach((id) => this.alerts.acknowledge(id));
    this.stored.write();
    return this.onChange();
  }

  async acknowledgeAll() {
    await this.acknowledge(this.alerts.list().flatMap(({ id, acknowledged }) => (acknowledged ? [] : id)));
  }

  /**
   * Acknowledge alerts for all who watch.
   *
   * @param {string[]} ids
   * @param {string | null} note the note so far; null asks for none
   * @param {string} title of the dialog
   */
  async note(ids, note, title) {
    const given = await this.ask(note, title);
    if (given !== null) await this.shared.acknowledge(ids, given);
  }

  /**
   * Take over what another tab has stored.
   *
   * @param {string | null} key of the storage; null if all of it was cleared
   */
  follow(key) {
    if (this.isShared || key !== this.stored.key) return;
    this.stored.read();
    this.onChange();
  }
}
