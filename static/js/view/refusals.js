/**
 * The number of messages that the server refused, and of predictions that this page could not read.
 *
 * @import { Store } from "../store.js"
 */
import { parts, setText } from "./elements.js";
import { t } from "../texts.js";

export class RefusalsView {
  /** @param {ParentNode} root */
  constructor(root) {
    this.parts = parts(root);
  }

  /** @param {Store} store */
  render({ stats, unreadable }) {
    const refused = stats?.quarantined ?? 0;
    this.parts.quarantined.hidden = refused === 0;
    setText(this.parts.quarantinedText, t("refusals.messages", { count: refused }));
    this.parts.unreadable.hidden = unreadable === 0;
    setText(this.parts.unreadable, t("refusals.unreadable", { count: unreadable }));
  }
}
