/**
 * Filters and sorts the segments of the table. Pure.
 *
 * Comparing names in natural order (I-5 before I-10) is slow, so names are ranked once, and the ranks are kept until a
 * new name appears.
 *
 * @import { Store } from "./store.js"
 * @import { Query, Shown } from "./types.d.ts"
 */
import { CATEGORIES } from "./categories.js";
import { corridorOf } from "./network.js";
import { Search } from "./search.js";

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** The columns that a topic may have no values for: of measurements alone there are no predictions. */
const OPTIONAL_FIELDS = /** @type {const} */ ({
  road: "road_name",
  now: "current_speed",
  predicted: "predicted_speed",
  change: "speed_diff",
});
const OPTIONAL = /** @type {(keyof typeof OPTIONAL_FIELDS)[]} */ (Object.keys(OPTIONAL_FIELDS));

/** Ranks of texts in natural order. Adding a known text is cheap. */
export class Ranks {
  /** @type {Set<string>} */
  #known = new Set();
  /** @type {Map<string, number> | null} */
  #ranks = null;

  /** @param {string} text */
  add(text) {
    if (this.#known.has(text)) return;
    this.#known.add(text);
    this.#ranks = null;
  }

  /** @param {string} text */
  of(text) {
    this.#ranks ??= new Map([...this.#known].sort(collator.compare).map((each, rank) => [each, rank]));
    return this.#ranks.get(text) ?? 0;
  }

  get size() {
    return this.#known.size;
  }

  clear() {
    this.#known.clear();
    this.#ranks = null;
  }
}

export class Rows {
  #names = new Ranks();
  #roads = new Ranks();
  #search = new Search();
  /** @type {Map<string | null | undefined, string | null>} */
  #corridors = new Map();

  /** @param {Store} store */
  constructor(store) {
    this.store = store;
  }

  /**
   * Return the predictions of a store that match a query, in its order.
   *
   * @param {Query} query
   */
  list(query, store = this.store) {
    this.store = store;
    this.#rank();
    const found = [];
    const { segments } = this.store;
    const matching = this.#search.find(segments.values(), query.words);
    for (const prediction of segments.values()) {
      const isFound = matching === null || matching.has(prediction.segment_id);
      if (isFound && this.#matches(prediction, query)) found.push(prediction);
    }
    return found.sort(this.#order(query));
  }

  /** Return the columns of values that no segment has; none while there are no segments. */
  emptyColumns() {
    const empty = new Set(OPTIONAL);
    let hasUsual = false;
    for (const shown of this.store.segments.values()) {
      for (const column of empty) if (hasValue(shown[OPTIONAL_FIELDS[column]])) empty.delete(column);
      hasUsual ||= this.store.versusUsual(shown) !== null;
      if (empty.size === 0 && (hasUsual || !this.store.usual?.isOn)) break;
    }
    if (hasUsual) return [...empty];
    return this.store.segments.size === 0 ? ["usual"] : [...empty, "usual"];
  }

  /** Return the corridors of all segments, in natural order. */
  corridors() {
    /** @type {Set<string>} */
    const found = new Set();
    for (const { road_name: road } of this.store.segments.values()) {
      const corridor = this.#corridor(road);
      if (corridor !== null) found.add(corridor);
    }
    return [...found].sort(collator.compare);
  }

  /** @param {string | null | undefined} road */
  #corridor(road) {
    let corridor = this.#corridors.get(road);
    if (corridor === undefined) {
      corridor = corridorOf(road);
      this.#corridors.set(road, corridor);
    }
    return corridor;
  }

  #rank() {
    const { segments } = this.store;
    // Names of removed segments are dropped in bulk, so that the ranks stay bounded.
    for (const each of [this.#names, this.#roads, this.#corridors, this.#search]) if (each.size > 2 * segments.size + 100) each.clear();
    for (const prediction of segments.values()) {
      this.#names.add(prediction.segment_id);
      this.#roads.add(prediction.road_name ?? "");
    }
  }

  /**
   * @param {Shown} prediction
   * @param {Query} query
   */
  #matches(prediction, { groups, road }) {
    if (road !== null && this.#corridor(prediction.road_name) !== road) return false;
    return groups.length === 0 || groups.includes(this.store.group(prediction));
  }

  /**
   * Return the comparison of a query's order. Unknown values come last in both directions.
   *
   * @param {Query} query
   * @returns {(one: Shown, other: Shown) => number}
   */
  #order({ column, descending }) {
    const value = remembered(this.#values()[column]);
    const sign = descending ? -1 : 1;
    return (one, other) => {
      const first = value(one) ?? null;
      const second = value(other) ?? null;
      if (first === null || second === null) {
        if (first !== second) return first === null ? 1 : -1;
      } else if (first !== second) return sign * (first - second);
      return this.#names.of(one.segment_id) - this.#names.of(other.segment_id);
    };
  }

  /**
   * Return the lower one of the current measured and predicted speed of a segment; null if it has none.
   *
   * @param {Shown} shown
   */
  #worst(shown) {
    const { now, next } = this.store.currentSpeeds(shown);
    return now === null || next === null ? (now ?? next) : Math.min(now, next);
  }

  /** @returns {Record<string, (prediction: Shown) => number | null | undefined>} */
  #values() {
    return {
      worst: (each) => this.#worst(each),
      segment: (each) => this.#names.of(each.segment_id),
      road: (each) => (each.road_name ? this.#roads.of(each.road_name) : null),
      now: (each) => each.current_speed,
      predicted: (each) => each.predicted_speed,
      change: (each) => each.speed_diff,
      usual: (each) => this.store.versusUsual(each)?.difference,
      category: (each) => CATEGORIES.indexOf(this.store.category(each) ?? ""),
      age: (each) => -each.timestamp,
    };
  }
}

/** @param {unknown} value */
const hasValue = (value) => value !== null && value !== undefined && value !== "";

/**
 * Return a function that computes each value once: a sort compares each row about ten times.
 *
 * @param {(shown: Shown) => number | null | undefined} value
 */
function remembered(value) {
  /** @type {Map<Shown, number | null | undefined>} */
  const known = new Map();
  return (/** @type {Shown} */ shown) => {
    if (!known.has(shown)) known.set(shown, value(shown));
    return known.get(shown);
  };
}
