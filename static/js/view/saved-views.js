/**
 * The dialog of saved views. A view is a link, so it opens as every address of the page does. It is loaded after the page.
 *
 * @import { SavedView } from "../saved-views.js"
 * @import { TextName } from "../texts.js"
 */
import { readQuery } from "../query.js";
import { cleaned, MAX_VIEWS, SavedViews } from "../saved-views.js";
import { t } from "../texts.js";
import { fromTemplate, parts, setAttribute, setText } from "./elements.js";
import { queryText } from "./paper.js";

/** @type {Record<string, TextName>} */
const RESULTS = {
  saved: "views.saved",
  replaced: "views.replaced",
  renamed: "views.renamed",
  removed: "views.removed",
  copied: "views.copied",
  shown: "views.shown",
  unnamed: "views.unnamed",
  taken: "views.taken",
  full: "views.full",
  long: "views.long",
  failed: "views.failed",
};

export class SavedViewsView {
  /** @type {Map<string, HTMLElement>} items with an open form, by the name of the view */
  #renamed = new Map();

  /**
   * @param {ParentNode} root
   * @param {{ key: string, location?: Location, storage?: () => Storage, copy?: (text: string) => Promise<void> }} options
   */
  constructor(root, { key, location = globalThis.location, storage, copy = (text) => navigator.clipboard.writeText(text) }) {
    this.parts = parts(root);
    this.location = location;
    this.copy = copy;
    this.views = new SavedViews({ key, storage });
    if (!this.views.isAllowed) return;
    const { viewsOpen, viewsDialog, viewsForm, viewsName } = this.parts;
    viewsOpen.hidden = false;
    viewsOpen.addEventListener("click", () => this.#open());
    viewsForm.addEventListener("submit", (event) => {
      event.preventDefault();
      const result = this.views.save(viewsName.value, this.location.search);
      this.#say(result, viewsName.value);
      if (result === "saved" || result === "replaced") viewsName.value = "";
      this.#render();
    });
    globalThis.addEventListener("storage", (event) => {
      if (event.key === key && viewsDialog.open) this.#render();
    });
  }

  #open() {
    const { viewsDialog, viewsName, viewsStatus } = this.parts;
    setText(viewsStatus, "");
    viewsName.value = "";
    this.#renamed.clear();
    this.#render();
    viewsDialog.showModal();
    viewsName.focus();
  }

  /** Render the views that are stored now; a form stays as it is, with what was typed in it. */
  #render() {
    const { viewsList, viewsAddress } = this.parts;
    const focused = document.activeElement;
    viewsList.replaceChildren(...this.views.list().map((view) => this.#renamed.get(view.name) ?? this.#item(view)));
    viewsAddress.hidden = true;
    if (focused instanceof HTMLElement && viewsList.contains(focused)) focused.focus();
  }

  /** @param {SavedView} view */
  #item({ name, search }) {
    const element = fromTemplate("view-template");
    const own = parts(element);
    const link = /** @type {HTMLAnchorElement} */ (/** @type {unknown} */ (own.viewLink));
    setText(link, name);
    link.href = this.location.pathname + search;
    setText(own.viewText, queryText(readQuery(search)));
    setAttribute(own.viewCopy, "aria-label", t("views.copy_one", { name }));
    setAttribute(own.viewRename, "aria-label", t("views.rename_one", { name }));
    setAttribute(own.viewRemove, "aria-label", t("views.remove_one", { name }));
    own.viewCopy.addEventListener("click", () => void this.#copy(name, link.href));
    own.viewRemove.addEventListener("click", () => this.#remove(name));
    own.viewRename.addEventListener("click", () => this.#askFor(element, name));
    return element;
  }

  /** @param {string} name */
  #remove(name) {
    const links = this.#links();
    const at = links.findIndex(({ textContent }) => textContent === name);
    this.#say(this.views.remove(name), name);
    this.#render();
    const left = this.#links();
    (left[Math.min(at, left.length - 1)] ?? this.parts.viewsName).focus();
  }

  /**
   * @param {HTMLElement} item
   * @param {string} name
   */
  #askFor(item, name) {
    const form = fromTemplate("view-name-template");
    const { newName, newNameCancel } = parts(form);
    const input = /** @type {HTMLInputElement} */ (newName);
    input.value = name;
    setAttribute(input, "aria-label", t("views.new_name", { name }));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const result = this.views.rename(name, input.value);
      this.#say(result, input.value);
      if (result === "renamed") this.#finish(name, input.value);
    });
    newNameCancel.addEventListener("click", () => this.#finish(name, name));
    item.replaceChildren(form);
    this.#renamed.set(name, item);
    input.select();
  }

  /**
   * @param {string} name of the view whose form closes
   * @param {string} other its name now; its link gets the focus
   */
  #finish(name, other) {
    this.#renamed.delete(name);
    this.#render();
    this.#links().find(({ textContent }) => textContent === cleaned(other))?.focus();
  }

  /**
   * @param {string} name
   * @param {string} address
   */
  async #copy(name, address) {
    const { viewsAddress } = this.parts;
    const field = /** @type {HTMLInputElement} */ (viewsAddress);
    try {
      await this.copy(address);
      field.hidden = true;
      this.#say("copied", name);
    } catch {
      // Browsers have no clipboard for pages without TLS.
      field.hidden = false;
      field.value = address;
      field.select();
      this.#say("shown", name);
    }
  }

  /** @returns {HTMLElement[]} */
  #links() {
    return [.../** @type {NodeListOf<HTMLElement>} */ (this.parts.viewsList.querySelectorAll("[data-part=viewLink]"))];
  }

  /**
   * @param {string} result
   * @param {string} name
   */
  #say(result, name) {
    setText(this.parts.viewsStatus, t(RESULTS[result], { name: cleaned(name), most: MAX_VIEWS }));
  }
}
