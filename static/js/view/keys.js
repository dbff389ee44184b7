/** Keyboard shortcuts, which work unless the focus is in a field, and the help that lists them. */
import { parts } from "./elements.js";

const TYPING = "input:not([type=range], [type=checkbox], [type=radio]), textarea, select, [contenteditable]";
const PRESSED_BY_SPACE = "button, summary, a, input, select, textarea";

export class KeysView {
  /**
   * @param {ParentNode} root
   * @param {{ onPause(): void, onLive(): void, onSearch(): void, onClose(): void }} options
   */
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
      const { target, key } = event;
      if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") || !(target instanceof Element)) return;
      if (key === " " && !target.matches(PRESSED_BY_SPACE)) {
        event.preventDefault();
        onPause();
      } else if (key === "Escape" && !usesEscape(target)) onClose();
      else if (actions.has(key) && !target.matches(TYPING)) {
        event.preventDefault(); // or the slash would be typed into the search
        actions.get(key)?.();
      }
    });
  }
}

/**
 * Tell whether a field uses the Escape key: to clear a search, or to close a list.
 *
 * @param {Element} target
 */
function usesEscape(target) {
  return target.matches("select") || (target instanceof HTMLInputElement && target.type === "search" && target.value !== "");
}
