/**
 * The dialog for who acknowledges, and a note. The name is asked for once, and kept in the browser.
 */
import { parts, setText } from "./elements.js";

export class WordsView {
  /** @type {((words: { name: string, note: string | null } | null) => void) | null} */
  #answer = null;

  /**
   * @param {ParentNode} root
   * @param {{ user: string, key: string, storage?: () => Storage }} options `user` is empty unless a token says who it is
   */
  constructor(root, { user, key, storage = () => globalThis.localStorage }) {
    this.parts = parts(root);
    this.user = user;
    this.key = key;
    this.storage = storage;
    this.name = user ? "" : this.#stored();
    const { wordsDialog, wordsForm, wordsCancel, wordsName } = this.parts;
    wordsForm.addEventListener("submit", () => this.#finish(true));
    wordsCancel.addEventListener("click", () => wordsDialog.close());
    wordsDialog.addEventListener("close", () => this.#finish(false));
    wordsName.required = !user;
  }

  /**
   * Return who acknowledges, with a note if one is asked for; null if the user cancels.
   *
   * @param {string | null} note the note so far; null asks for none
   * @param {string} title
   * @returns {Promise<{ name: string, note: string | null } | null>}
   */
  ask(note, title) {
    if (note === null && (this.user || this.name)) return Promise.resolve({ name: this.name, note });
    const { wordsDialog, wordsTitle, wordsNameField, wordsName, wordsNote } = this.parts;
    setText(wordsTitle, title);
    wordsNameField.hidden = this.user !== "";
    wordsName.value = this.name;
    wordsNote.value = note ?? "";
    wordsDialog.showModal();
    (this.user || this.name ? wordsNote : wordsName).focus();
    return new Promise((resolve) => (this.#answer = resolve));
  }

  /** @param {boolean} isGiven */
  #finish(isGiven) {
    const answer = this.#answer;
    this.#answer = null;
    if (!isGiven) return answer?.(null);
    const { wordsName, wordsNote } = this.parts;
    if (!this.user) this.#store(wordsName.value.trim());
    return answer?.({ name: this.name, note: wordsNote.value.trim() });
  }

  #stored() {
    try {
      return this.storage().getItem(this.key) ?? "";
    } catch {
      return ""; // storage may be forbidden
    }
  }

  /** @param {string} name */
  #store(name) {
    this.name = name;
    try {
      this.storage().setItem(this.key, name);
    } catch {
      // Storage may be forbidden: the name lasts as long as the page.
    }
  }
}
