/**
 * Keeps views in the browser's storage: search parts of the page's address, each under a name.
 *
 * Tabs share them, so they are read again before each change. Any script of this origin may have written what is stored.
 *
 * @typedef {object} SavedView
 * @property {string} name
 * @property {string} search empty, or "?" and parameters
 */

export const MAX_VIEWS = 20;
export const MAX_NAME = 60;
/** The server refuses longer request lines. */
const MAX_SEARCH = 3_500;

export class SavedViews {
  /** @param {{ key: string, storage?: () => Storage }} options `storage()` may throw, too */
  constructor({ key, storage = () => globalThis.localStorage }) {
    this.key = key;
    this.storage = storage;
  }

  /** Whether this page may read its storage. */
  get isAllowed() {
    try {
      this.storage().getItem(this.key);
      return true;
    } catch {
      return false;
    }
  }

  /** @returns {SavedView[]} in the order in which they were saved */
  list() {
    try {
      const stored = JSON.parse(this.storage().getItem(this.key) ?? "[]");
      const views = new Map(stored.filter(isView).map((/** @type {[string, string]} */ [name, search]) => [cleaned(name), search]));
      return [...views].slice(0, MAX_VIEWS).map(([name, search]) => ({ name, search }));
    } catch {
      return []; // the storage is forbidden, or holds something else
    }
  }

  /**
   * Save a view; one of the same name is replaced.
   *
   * @param {string} name
   * @param {string} search
   * @returns {"saved" | "replaced" | "unnamed" | "full" | "long" | "failed"}
   */
  save(name, search) {
    const views = this.list();
    const view = { name: cleaned(name), search: withoutDisplay(search) };
    if (view.name === "") return "unnamed";
    if (view.search.length > MAX_SEARCH) return "long";
    const at = views.findIndex((each) => each.name === view.name);
    if (at >= 0) return this.#write(views.with(at, view), "replaced");
    return views.length < MAX_VIEWS ? this.#write([...views, view], "saved") : "full";
  }

  /**
   * @param {string} name
   * @param {string} other
   * @returns {"renamed" | "unnamed" | "taken" | "failed"}
   */
  rename(name, other) {
    const views = this.list();
    const wanted = cleaned(other);
    if (wanted === "") return "unnamed";
    if (wanted !== name && views.some((each) => each.name === wanted)) return "taken";
    return this.#write(views.map((each) => (each.name === name ? { ...each, name: wanted } : each)), "renamed");
  }

  /**
   * @param {string} name
   * @returns {"removed" | "failed"}
   */
  remove(name) {
    return this.#write(this.list().filter((each) => each.name !== name), "removed");
  }

  /**
   * @template {string} Done
   * @param {SavedView[]} views
   * @param {Done} done
   * @returns {Done | "failed"}
   */
  #write(views, done) {
    try {
      this.storage().setItem(this.key, JSON.stringify(views.map(({ name, search }) => [name, search])));
      return done;
    } catch {
      return "failed"; // the storage is full, or read-only
    }
  }
}

/**
 * Return a name on one line, cut to MAX_NAME characters.
 *
 * @param {string} name
 */
export function cleaned(name) {
  return [...name.replace(/[\s\p{Cc}]+/gu, " ").trim()].slice(0, MAX_NAME).join("").trim();
}

/**
 * Return a search part without unit, zone and language. They are no part of a view: it would undo a later choice of them.
 *
 * @param {string} search
 */
function withoutDisplay(search) {
  const kept = search.slice(1).split("&").filter((each) => !/^(unit|zone|lang)=/.test(each));
  return kept.join("&") && `?${kept.join("&")}`;
}

/** @param {unknown} entry */
function isView(entry) {
  const [name, search, ...more] = Array.isArray(entry) ? entry : [];
  if (typeof name !== "string" || typeof search !== "string" || more.length > 0) return false;
  // What does not begin with "?" could lead to another page.
  return cleaned(name) !== "" && search.length <= MAX_SEARCH && (search === "" || search.startsWith("?"));
}
