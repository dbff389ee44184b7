/**
 * Which segments the table lists, in which order. Pure.
 *
 * Comparing names the way people count (I-5 before I-10) is slow, so names are ranked once and the ranks are kept
 * until a name comes that wasn't there.
 */
import { CATEGORIES } from "./store.js";
import { corridorOf } from "./network.js";

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** Ranks of texts in the order of people; adding a known text costs nothing. */
export class Ranks {
  #known = new Set();
  #ranks = null;

  add(text) {
    if (this.#known.has(text)) return;
    this.#known.add(text);
    this.#ranks = null;
  }

  of(text) {
    this.#ranks ??= new Map([...this.#known].sort(collator.compare).map((each, rank) => [each, rank]));
    return this.#ranks.get(text);
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
  #corridors = new Map();

  constructor(store) {
    this.store = store;
  }

  /** Return the predictions of a store that match a query, in its order. */
  list(query, store = this.store) {
    this.store = store;
    this.#learn();
    const found = [];
    const words = query.words.trim().toLowerCase().split(/\s+/).filter(Boolean);
    for (const prediction of this.store.segments.values()) {
      if (this.#matches(prediction, words, query)) found.push(prediction);
    }
    return found.sort(this.#order(query));
  }

  /** Return the corridors of the roads that there are, in the order of people. */
  corridors() {
    const found = new Set();
    for (const { road_name: road } of this.store.segments.values()) found.add(this.#corridor(road));
    found.delete(null);
    return [...found].sort(collator.compare);
  }

  #corridor(road) {
    if (!this.#corridors.has(road)) this.#corridors.set(road, corridorOf(road));
    return this.#corridors.get(road);
  }

  #learn() {
    const { segments } = this.store;
    // Names that have left are forgotten when they are many, so that the ranks stay bounded.
    if (this.#names.size > 2 * segments.size + 100) this.#names.clear();
    if (this.#roads.size > 2 * segments.size + 100) this.#roads.clear();
    if (this.#corridors.size > 2 * segments.size + 100) this.#corridors.clear();
    for (const prediction of segments.values()) {
      this.#names.add(prediction.segment_id);
      this.#roads.add(prediction.road_name ?? "");
    }
  }

  #matches(prediction, words, { groups, road }) {
    if (road !== null && this.#corridor(prediction.road_name) !== road) return false;
    if (groups.length && !groups.includes(this.store.group(prediction))) return false;
    if (!words.length) return true;
    const text = `${prediction.segment_id} ${prediction.road_name ?? ""}`.toLowerCase();
    return words.every((word) => text.includes(word));
  }

  #order({ column, descending }) {
    const value = this.#values()[column];
    const sign = descending ? -1 : 1;
    return (one, other) => {
      const first = value(one) ?? null;
      const second = value(other) ?? null;
      // What isn't known comes last in both directions.
      if (first === null || second === null) {
        if (first !== second) return first === null ? 1 : -1;
      } else if (first !== second) return sign * (first - second);
      return this.#names.of(one.segment_id) - this.#names.of(other.segment_id);
    };
  }

  #values() {
    return {
      segment: (each) => this.#names.of(each.segment_id),
      road: (each) => (each.road_name ? this.#roads.of(each.road_name) : null),
      now: (each) => each.current_speed,
      predicted: (each) => each.predicted_speed,
      change: (each) => each.speed_diff,
      category: (each) => CATEGORIES.indexOf(each.category),
      age: (each) => -each.timestamp,
    };
  }
}
