/** Keys that work wherever the focus is, unless it is in a field; and the help that names them. */
import { parts } from "./elements.js";

const TYPING = "input:not([type=range], [type=checkbox]), textarea, select, [contenteditable]";
const PRESSED_BY_SPACE = "button, summary, a, input, select, textarea";

export class KeysView {
  constructor(root, { onPause, onLive, onSearch, onClose }) {
    const { help, helpDialog } = parts(root);
    const actions = new Map([
      ["?", () => helpDialog.showModal()],
      ["l", onLive],
      ["L", onLive],
      ["/", onSearch],
    ]);
    help.addEventListener("click", () => helpDialog.showModal());
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || helpDialog.open) return;
      if (event.key === " " && !event.target.matches(PRESSED_BY_SPACE)) {
        event.preventDefault();
        onPause();
      } else if (event.key === "Escape" && !keepsEscape(event.target)) onClose();
      else if (actions.has(event.key) && !event.target.matches(TYPING)) {
        event.preventDefault(); // or the slash is typed into the search that it leads to
        actions.get(event.key)();
      }
    });
  }
}

/** A search with words is cleared by it, a list that is open is closed. */
function keepsEscape(target) {
  return target.matches("select") || (target.matches("input[type=search]") && target.value !== "");
}
