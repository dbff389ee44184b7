/** How many messages nobody could read: the server, which keeps the last of them, and this page. */
import { plural } from "./format.js";
import { parts, setText } from "./elements.js";

export class UnreadView {
  constructor(root) {
    this.parts = parts(root);
  }

  render({ stats, unreadable }) {
    const refused = stats?.quarantined ?? 0;
    this.parts.quarantined.hidden = refused === 0;
    setText(this.parts.quarantinedText, `${plural(refused, "message", "messages")} could not be read`);
    this.parts.unreadable.hidden = unreadable === 0;
    setText(this.parts.unreadable, `${plural(unreadable, "prediction", "predictions")} could not be read by this page`);
  }
}
