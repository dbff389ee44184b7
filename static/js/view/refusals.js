/**
 * The number of messages that the server refused, and of predictions that this page could not read.
 *
 * @import { Store } from "../store.js"
 */
import { parts, setText } from "./elements.js";
import { plural } from "./format.js";

export class RefusalsView {
  /** @param {ParentNode} root */
  constructor(root) {
    this.parts = parts(root);
  }

  /** @param {Store} store */
  render({ stats, unreadable }) {
    const refused = stats?.quarantined ?? 0;
    this.parts.quarantined.hidden = refused === 0;
    setText(this.parts.quarantinedText, `${plural(refused, "message", "messages")} refused`);
    this.parts.unreadable.hidden = unreadable === 0;
    setText(this.parts.unreadable, `${plural(unreadable, "prediction", "predictions")} could not be read by this page`);
  }
}
