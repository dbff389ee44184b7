/**
 * The table: sortable, and virtual, so that 20,000 segments cost as much as the visible ones.
 *
 * Values change as they arrive. The order changes at most twice a second, and not while the mouse is over the rows, so that
 * they don't jump while they are read or clicked. A row element stays with its segment while that is visible, and is reused
 * afterwards.
 *
 * @import { Rows } from "../rows.js"
 * @import { Store } from "../store.js"
 * @import { Config, Query, Shown } from "../types.d.ts"
 */
import { parts, setAttribute, setText } from "./elements.js";
import { UNIT_LABELS } from "./format.js";
import { Row } from "./row.js";

const ORDER_MS = 500;
const ROWS_BEYOND = 4;
const MAX_PRINTED = 5_000;
/** @type {(keyof Query)[]} */
const LIST_FIELDS = ["words", "road", "groups", "column", "descending"];

export class TableView {
  /** @type {Map<string, Row>} */
  #shown = new Map();
  /** @type {Row[]} */
  #spare = [];
  /** @type {string[]} */
  #ids = [];
  #orderedAt = -Infinity;
  #isUnderMouse = false;
  /** @type {Query | null} */
  #query = null;
  #rowHeight = 0;
  #room = { height: 0, head: 0, top: 0 };
  /** @type {string | null} */
  #revealed = null;
  #onPaper = false;

  /**
   * @param {ParentNode} root
   * @param {object} options
   * @param {Rows} options.rows
   * @param {Config} options.config
   * @param {(column: string) => void} options.onSort
   * @param {(id: string) => void} options.onSelect
   * @param {() => void} options.onResize called when other rows have to be shown
   */
  constructor(root, { rows, config, onSort, onSelect, onResize }) {
    this.parts = parts(root);
    this.rows = rows;
    this.unit = config.speed_unit;
    /** @type {HTMLElement[]} */
    this.headers = [...root.querySelectorAll("th")].filter(({ dataset }) => dataset.column);
    for (const header of this.headers) {
      header.querySelector("button")?.addEventListener("click", () => onSort(header.dataset.column ?? ""));
    }
    for (const unit of root.querySelectorAll("[data-unit]")) setText(unit, UNIT_LABELS[this.unit]);
    this.parts.body.addEventListener("click", ({ target }) => {
      const element = target instanceof Element ? target.closest("tr") : null;
      const row = [...this.#shown.values()].find((each) => each.element === element);
      if (row?.segment) onSelect(row.segment);
    });
    this.parts.body.addEventListener("pointerenter", ({ pointerType }) => (this.#isUnderMouse = pointerType === "mouse"));
    this.parts.body.addEventListener("pointerleave", () => (this.#isUnderMouse = false));
    this.#observe(onResize);
  }

  /** The matching segments, in the order shown. */
  get ids() {
    return this.#ids;
  }

  /** The segments of the rows in the document. */
  get visible() {
    return [...this.#shown.keys()];
  }

  /**
   * On paper all rows are shown, since nothing scrolls.
   *
   * @param {boolean} onPaper
   */
  print(onPaper) {
    this.#onPaper = onPaper;
  }

  /**
   * Show what `query` asks for. Return the matching segments in its order.
   *
   * @param {Store} store
   * @param {Query} query
   * @param {boolean} replaced
   */
  render(store, query, replaced) {
    this.#reorder(store, query, replaced);
    this.#renderHeaders(query);
    const { first, last } = this.#window();
    const visible = this.#ids.slice(first, last);
    this.#release(new Set(visible));
    this.#place(store, visible, first, query.segment);
    this.#pad(first, this.#ids.length - last);
    setAttribute(this.parts.table, "aria-rowcount", String(this.#ids.length + 1));
    if (query.segment !== this.#revealed) this.#reveal(query.segment);
    return this.#ids;
  }

  /**
   * Measure when the browser has just laid out: during a rendering a measurement would force another layout.
   *
   * @param {() => void} onResize
   */
  #observe(onResize) {
    const { scroller, head } = this.parts;
    const onScroll = () => {
      this.#room.top = scroller.scrollTop;
      onResize();
    };
    scroller.addEventListener("scroll", onScroll, { passive: true });
    const observer = new ResizeObserver(() => {
      this.#rowHeight = 0;
      this.#room = { height: scroller.clientHeight, head: head.offsetHeight, top: scroller.scrollTop };
      onResize();
    });
    for (const each of [scroller, head]) observer.observe(each);
  }

  /**
   * @param {Store} store
   * @param {Query} query
   * @param {boolean} replaced
   */
  #reorder(store, query, replaced) {
    const now = performance.now();
    if (!replaced && query === this.#query && now - this.#orderedAt < ORDER_MS) return;
    const before = this.#query;
    const listed = this.rows.list(query, store).map(({ segment_id }) => segment_id);
    setAttribute(this.parts.table, "data-empty", this.rows.emptyColumns().join(" "));
    const isOtherList = before === null || LIST_FIELDS.some((name) => before[name] !== query[name]);
    const holds = this.#isUnderMouse && !isOtherList && before.time === query.time;
    this.#ids = holds ? inOrderOf(this.#ids, listed) : listed;
    this.#query = query;
    if (before !== null && isOtherList) this.#scrollTo(0);
    this.#orderedAt = now;
  }

  /**
   * Scroll a segment's row into view; later, if there is no such row yet.
   *
   * @param {string | null} id
   */
  #reveal(id) {
    const index = id === null ? -1 : this.#ids.indexOf(id);
    const { height, head, top } = this.#room;
    if (id !== null && (index < 0 || head === 0)) return;
    this.#revealed = id;
    if (id === null) return;
    const rowTop = index * this.#measure();
    const room = height - head - this.#measure();
    if (rowTop < top) this.#scrollTo(rowTop);
    else if (rowTop > top + room) this.#scrollTo(rowTop - room);
  }

  /** @param {number} top */
  #scrollTo(top) {
    this.parts.scroller.scrollTop = top;
    this.#room.top = top;
  }

  /** @param {Query} query */
  #renderHeaders({ column, descending }) {
    for (const header of this.headers) {
      const order = header.dataset.column === column ? (descending ? "descending" : "ascending") : null;
      setAttribute(header, "aria-sort", order);
    }
  }

  /** Return the range of the list that is visible, and a few rows beyond. */
  #window() {
    const { length } = this.#ids;
    if (this.#onPaper) return { first: 0, last: Math.min(length, MAX_PRINTED) };
    const row = this.#measure();
    const { height, head, top } = this.#room;
    const first = Math.max(0, Math.floor(Math.max(0, top - head) / row) - ROWS_BEYOND);
    const count = Math.ceil(height / row) + 2 * ROWS_BEYOND;
    return { first: Math.min(first, length), last: Math.min(length, first + count) };
  }

  #measure() {
    if (this.#rowHeight === 0) {
      const value = getComputedStyle(this.parts.table).getPropertyValue("--row-height");
      this.#rowHeight = parseFloat(value);
    }
    return this.#rowHeight;
  }

  /** @param {Set<string>} visible */
  #release(visible) {
    for (const [id, row] of this.#shown) {
      if (visible.has(id)) continue;
      this.#shown.delete(id);
      row.element.remove(); // first, so that no other row has to move, which would take its focus
      this.#spare.push(row);
    }
  }

  /**
   * @param {Store} store
   * @param {string[]} visible
   * @param {number} first
   * @param {string | null} selected
   */
  #place(store, visible, first, selected) {
    const { body } = this.parts;
    const focused = body.contains(document.activeElement) ? document.activeElement : null;
    for (const [at, id] of visible.entries()) {
      const row = this.#row(id);
      const prediction = store.segments.get(id);
      if (prediction) {
        row.render(prediction, { index: first + at + 2, trail: store.trail(id), ...lookOf(prediction, store) });
      }
      setAttribute(row.element, "aria-current", id === selected ? "true" : null);
      const current = body.children[at];
      if (current !== row.element) body.insertBefore(row.element, current ?? null);
    }
    if (focused instanceof HTMLElement && focused.isConnected && focused !== document.activeElement) {
      focused.focus({ preventScroll: true });
    }
  }

  /** @param {string} id */
  #row(id) {
    const shown = this.#shown.get(id);
    if (shown) return shown;
    const row = this.#spare.pop() ?? new Row(this.unit);
    row.reset();
    this.#shown.set(id, row);
    return row;
  }

  /**
   * @param {number} before
   * @param {number} after
   */
  #pad(before, after) {
    this.parts.before.style.height = `${before * this.#rowHeight}px`;
    this.parts.after.style.height = `${after * this.#rowHeight}px`;
  }
}

/**
 * Return a list in the order of another one; what that lacks comes last.
 *
 * @param {string[]} before
 * @param {string[]} listed
 */
function inOrderOf(before, listed) {
  const present = new Set(listed);
  const kept = new Set(before.filter((id) => present.has(id)));
  return [...kept, ...listed.filter((id) => !kept.has(id))];
}

/**
 * @param {Shown} shown
 * @param {Store} store
 */
function lookOf(shown, store) {
  const { ages, scale } = store;
  return {
    ageSeconds: ages.seconds(shown),
    freshness: ages.freshness(shown),
    category: store.category(shown),
    categoryNow: scale.category(shown.current_speed),
    course: scale.course(shown.current_speed, shown.predicted_speed),
    usual: store.versusUsual(shown),
  };
}
