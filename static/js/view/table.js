/**
 * The table: sortable, and virtual, so that 20,000 segments cost what fits on the screen.
 *
 * Values change as they come; the order is made anew twice a second at most, so that rows don't jump about under the
 * reader's eyes. A row element stays with its segment while the segment is on the screen, and is used again after.
 */
import { Row } from "./row.js";
import { UNIT_LABELS } from "./format.js";
import { parts, setAttribute, setText } from "./elements.js";

const ORDER_MS = 500;
const ROWS_BEYOND = 4;
const MOST_PRINTED = 5_000;

export class TableView {
  #shown = new Map();
  #spare = [];
  #ids = [];
  #orderedAt = -Infinity;
  #query = null;
  #rowHeight = 0;
  #room = { height: 0, head: 0, top: 0 };
  #revealed = null;
  #onPaper = false;

  constructor(root, { rows, config, onSort, onSelect, onNeed }) {
    this.parts = parts(root);
    this.rows = rows;
    this.unit = config.speed_unit;
    this.headers = [...root.querySelectorAll("th[data-column]")];
    for (const header of this.headers) {
      header.querySelector("button").addEventListener("click", () => onSort(header.dataset.column));
    }
    for (const unit of root.querySelectorAll("[data-unit]")) setText(unit, UNIT_LABELS[this.unit]);
    this.parts.body.addEventListener("click", ({ target }) => {
      const row = target.closest("tr");
      if (row?.segment !== undefined) onSelect(row.segment);
    });
    // Sizes are asked for when the browser has just found them: in a rendering it would have to find them anew.
    const { scroller, head } = this.parts;
    const scrolled = () => {
      this.#room.top = scroller.scrollTop;
      onNeed();
    };
    scroller.addEventListener("scroll", scrolled, { passive: true });
    const observer = new ResizeObserver(() => {
      this.#rowHeight = 0;
      this.#room = { height: scroller.clientHeight, head: head.offsetHeight, top: scroller.scrollTop };
      onNeed();
    });
    for (const each of [scroller, head]) observer.observe(each);
  }

  /** On paper nothing scrolls: all rows are there. */
  print(onPaper) {
    this.#onPaper = onPaper;
  }

  /** Show what `query` asks for; returns the segments that match, in its order. */
  render(store, query, replaced) {
    this.#reorder(store, query, replaced);
    this.#renderHeaders(query);
    const { first, last } = this.#window();
    const wanted = this.#ids.slice(first, last);
    this.#release(new Set(wanted));
    this.#place(store, wanted, first, query.segment);
    this.#pad(first, this.#ids.length - last);
    setAttribute(this.parts.table, "aria-rowcount", String(this.#ids.length + 1));
    if (query.segment !== this.#revealed) this.#reveal(query.segment);
    return this.#ids;
  }

  #reorder(store, query, replaced) {
    const now = performance.now();
    if (!replaced && query === this.#query && now - this.#orderedAt < ORDER_MS) return;
    const before = this.#query;
    this.#ids = this.rows.list(query, store).map(({ segment_id }) => segment_id);
    this.#query = query;
    if (before !== null && !sameList(before, query)) this.#scrollTo(0);
    this.#orderedAt = now;
  }

  /** Scroll as far as it takes to see a segment's row. */
  #reveal(id) {
    const place = this.#ids.indexOf(id);
    const { height, head, top } = this.#room;
    if (id !== null && (place < 0 || head === 0)) return; // it may come yet
    this.#revealed = id;
    if (id === null) return;
    const wanted = place * this.#measure();
    const room = height - head - this.#measure();
    if (wanted < top) this.#scrollTo(wanted);
    else if (wanted > top + room) this.#scrollTo(wanted - room);
  }

  #scrollTo(top) {
    this.parts.scroller.scrollTop = top;
    this.#room.top = top;
  }

  #renderHeaders({ column, descending }) {
    for (const header of this.headers) {
      const order = header.dataset.column === column ? (descending ? "descending" : "ascending") : null;
      setAttribute(header, "aria-sort", order);
    }
  }

  /** Which places of the list are on the screen, and a few beyond. */
  #window() {
    const { length } = this.#ids;
    if (this.#onPaper) return { first: 0, last: Math.min(length, MOST_PRINTED) };
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

  #release(wanted) {
    for (const [id, row] of this.#shown) {
      if (wanted.has(id)) continue;
      this.#shown.delete(id);
      row.element.remove(); // first, so that the rows that stay need not be moved, which would take their focus
      this.#spare.push(row);
    }
  }

  #place(store, wanted, first, selected) {
    const { body } = this.parts;
    const focused = body.contains(document.activeElement) ? document.activeElement : null;
    wanted.forEach((id, index) => {
      const row = this.#row(id);
      const prediction = store.segments.get(id);
      if (prediction) {
        const [ageSeconds, freshness] = [store.ageSeconds(prediction), store.freshness(prediction)];
        row.render(prediction, first + index + 2, ageSeconds, freshness, store.trail(id));
      }
      setAttribute(row.element, "aria-current", id === selected ? "true" : null);
      const there = body.children[index];
      if (there !== row.element) body.insertBefore(row.element, there ?? null);
    });
    if (focused?.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
  }

  #row(id) {
    const kept = this.#shown.get(id);
    if (kept) return kept;
    const row = this.#spare.pop() ?? new Row(this.unit);
    row.reset();
    this.#shown.set(id, row);
    return row;
  }

  #pad(before, after) {
    this.parts.before.style.height = `${before * this.#rowHeight}px`;
    this.parts.after.style.height = `${after * this.#rowHeight}px`;
  }
}

function sameList(one, other) {
  return ["words", "road", "groups", "column", "descending"].every((name) => one[name] === other[name]);
}
