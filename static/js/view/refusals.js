/**
 * The numbers of messages that could not be read: by the server, which keeps the last of them, and by this page.
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
    setText(this.parts.quarantinedText, `${plural(refused, "message", "messages")} could not be read`);
    this.parts.unreadable.hidden = unreadable === 0;
    setText(this.parts.unreadable, `${plural(unreadable, "prediction", "predictions")} could not be read by this page`);
  }
}
