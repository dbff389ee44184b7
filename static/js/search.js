/**
 * Finds segments by words. Pure.
 *
 * "I-10" means that road, and not I-105, so the closest kind of match that any segment has is the only one that counts:
 *
 *   0  the words in their order: "i-10 w" in "I-10 W at Downtown"
 *   1  the same, of which the text may go on: "i-1"
 *   2  each word somewhere: "405 sunset"
 *   3  the beginning of each word somewhere
 *   4  each word as a part of the text: "unset"
 *
 * Letters and digits are words of their own, so that "i405", "I-405" and "I405_N" are the same.
 *
 * @import { Shown } from "./types.d.ts"
 */

const MAX_TEXT = 300;
const NO_MATCH = 5;

/**
 * Return a text as words between single spaces: " i 405 n ".
 *
 * @param {string} text
 */
function wordsOf(text) {
  const parted = text.replace(/(\p{L})(?=\p{N})|(\p{N})(?=\p{L})/gu, "$& ").toLowerCase();
  return ` ${parted.replace(/[^\p{L}\p{N}]+/gu, " ").trim()} `;
}

export class Search {
  /** @type {Map<string, { words: string, text: string }>} */
  #texts = new Map();

  get size() {
    return this.#texts.size;
  }

  clear() {
    this.#texts.clear();
  }

  /**
   * Return the segments that match; null for no words, which all segments match.
   *
   * @param {Iterable<Shown>} segments
   * @param {string} given
   * @returns {Set<string> | null}
   */
  find(segments, given) {
    const raw = given.trim().toLowerCase().split(/\s+/).filter(Boolean);
    if (raw.length === 0) return null;
    const phrase = wordsOf(given);
    /** @type {Set<string>} */
    let found = new Set();
    let best = NO_MATCH;
    for (const { segment_id: id, road_name: road } of segments) {
      const kind = kindOf(this.#textOf(id, road ?? ""), phrase, raw);
      if (kind > best || kind === NO_MATCH) continue;
      if (kind < best) found = new Set();
      best = kind;
      found.add(id);
    }
    return found;
  }

  /**
   * @param {string} id
   * @param {string} road
   */
  #textOf(id, road) {
    const text = `${id.slice(0, MAX_TEXT)} | ${road.slice(0, MAX_TEXT)}`;
    const known = this.#texts.get(text) ?? { words: `${wordsOf(id.slice(0, MAX_TEXT))}|${wordsOf(road.slice(0, MAX_TEXT))}`, text: text.toLowerCase() };
    this.#texts.set(text, known);
    return known;
  }
}

/**
 * @param {{ words: string, text: string }} segment
 * @param {string} phrase
 * @param {string[]} raw
 */
function kindOf({ words, text }, phrase, raw) {
  const each = phrase.trim().split(" ").filter(Boolean);
  if (each.length > 0) {
    if (words.includes(phrase)) return 0;
    if (words.includes(phrase.trimEnd())) return 1;
    if (each.every((word) => words.includes(` ${word} `))) return 2;
    if (each.every((word) => words.includes(` ${word}`))) return 3;
  }
  return raw.every((word) => text.includes(word)) ? 4 : NO_MATCH;
}
