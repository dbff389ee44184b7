/** Keys that work wherever the focus is, unless it is in a field; and the help that names them. */
import { parts } from "./elements.js";

const TYPING = "input, textarea, select, [contenteditable]";
const PRESSED_BY_SPACE = "button, summary, a, input, select, textarea";

export class KeysView {
  constructor(root, { onPause, onLive }) {
    const { help, helpDialog } = parts(root);
    const actions = new Map([
      ["?", () => helpDialog.showModal()],
      ["l", onLive],
      ["L", onLive],
    ]);
    help.addEventListener("click", () => helpDialog.showModal());
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || helpDialog.open) return;
      if (event.key === " " && !event.target.matches(PRESSED_BY_SPACE)) {
        event.preventDefault();
        onPause();
      } else if (!event.target.matches(TYPING)) actions.get(event.key)?.();
    });
  }
}
