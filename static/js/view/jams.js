/**
 * The list of jams, the worst first, and the announcement of those that begin or end.
 *
 * @import { Jams } from "../jams.js"
 * @import { Store } from "../store.js"
 * @import { Config, Jam, Parts } from "../types.d.ts"
 * @typedef {{ element: HTMLElement, parts: Parts, jam: Jam }} Item
 */
import { Crossings, saysNoPlace } from "../crossings.js";
import { roadPath } from "../network.js";
import { t } from "../texts.js";
import { withDisplay } from "./display.js";
import { fromTemplate, parts, setAttribute, setText, shape } from "./elements.js";
import { exactly, horizonText, label, UNIT_LABELS } from "./format.js";
import { announcement, delaySpoken, delayText, jamName, jamText, placeIn } from "./jam-wording.js";

const MAX_SHOWN = 40;
const ANNOUNCE_AFTER_MS = 2_000;
const LEAST_ANNOUNCED_MINUTES = 1;
/** Segments at the end of a jam that are tried for a crossing road. */
const MAX_TRIED = 6;
const COURSES = { growing: "worsening", easing: "recovering", steady: null };

export class JamsView {
  /** @type {Map<string, Item>} by key */
  #items = new Map();
  /** @type {string[]} */
  #shown = [];
  /** @type {{ begun: string[], ended: string[] }} names */
  #unannounced = { begun: [], ended: [] };
  /** @type {number | null} */
  #timer = null;
  #crossings = new Crossings();

  /**
   * @param {ParentNode} root
   * @param {{ config: Config, jams: Jams, root?: string | null, onChoose(ids: string[]): void }} options `root` is the path
   *   of the application, for links to the pages of roads; none without
   */
  constructor(root, { config, jams, root: prefix = null, onChoose }) {
    this.parts = parts(root);
    this.prefix = prefix;
    this.unit = config.speed_unit;
    this.jams = jams;
    this.onChoose = onChoose;
  }

  /** The segments of the jams that are shown. */
  get segments() {
    return [...this.#items.values()].flatMap(({ jam }) => jam.ids);
  }

  /**
   * @param {Store} store
   * @param {Jam[]} [all] those that were found, if that is done already
   * @param {Set<string> | null} [matching] the segments whose jams are shown; null for all
   */
  render(store, all = this.jams.update(store), matching = null) {
    const found = matching === null ? all : all.filter(({ ids }) => ids.some((id) => matching.has(id)));
    const horizon = typeof store.time === "number" ? store.time : (store.forecasts.horizons[0] ?? null);
    const listed = this.#inStableOrder(found).slice(0, MAX_SHOWN);
    this.#shown = listed.map(({ key }) => key);
    this.#place(listed, store, horizon);
    const time = horizon === null || store.forecasts.isMeasuredOnly ? "" : horizonText(horizon);
    setText(this.parts.jamsCount, found.length === 0 ? "" : time ? t("jams.now_or", { time }) : t("now"));
    setAttribute(this.parts.jams, "data-count", String(found.length));
    this.parts.noJams.hidden = found.length > 0 || !store.hasView;
    if (found.length === 0) setText(this.parts.noJams, all.length > 0 ? t("jams.none_match") : noJamsText(store, time));
    const more = found.length - listed.length;
    setText(this.parts.jamsMore, more > 0 ? t("jams.more", { count: more }) : "");
    this.#announce(store);
  }

  /**
   * While the pointer or the focus is in the list, jams keep their places and new ones come last.
   *
   * @param {Jam[]} found
   */
  #inStableOrder(found) {
    if (!this.parts.jams.matches(":hover, :focus-within")) return found;
    const byKey = new Map(found.map((jam) => [jam.key, jam]));
    const kept = this.#shown.flatMap((key) => byKey.get(key) ?? []);
    const known = new Set(kept);
    return [...kept, ...found.filter((jam) => !known.has(jam))];
  }

  /**
   * @param {Jam[]} listed
   * @param {Store} store
   * @param {number | null} horizon
   */
  #place(listed, store, horizon) {
    const { jams: list } = this.parts;
    const present = new Set(this.#shown);
    for (const [key, { element }] of this.#items) {
      if (present.has(key)) continue;
      element.remove();
      this.#items.delete(key);
    }
    for (const [index, jam] of listed.entries()) {
      const item = this.#items.get(jam.key) ?? this.#make(jam);
      this.#items.set(jam.key, item);
      item.jam = jam;
      this.#renderItem(item, store, horizon);
      const current = list.children[index];
      if (current !== item.element) list.insertBefore(item.element, current ?? null);
    }
  }

  /**
   * @param {Jam} jam
   * @returns {Item}
   */
  #make(jam) {
    const element = fromTemplate("jam-template");
    /** @type {Item} */
    const item = { element, parts: parts(element), jam };
    item.parts.jamName.addEventListener("click", () => this.onChoose(item.jam.ids));
    return item;
  }

  /**
   * @param {Item} item
   * @param {Store} store
   * @param {number | null} horizon
   */
  #renderItem({ element, parts: own, jam }, store, horizon) {
    const name = this.#nameOf(jam, store);
    const category = jam.isSevere ? "severe_congestion" : "heavy_traffic";
    if (element.dataset.category !== category) own.jamMark.replaceChildren(shape(category));
    setAttribute(element, "data-category", category);
    setAttribute(element, "data-jam", jam.key);
    setText(own.jamName, name);
    setAttribute(own.jamName, "title", t("jam.show", { name }));
    setText(own.jamDelay, delayText(jam));
    setAttribute(own.jamDelay, "title", delaySpoken(jam, horizon) || null);
    this.#renderLink(own.jamRoad, jam.road);
    const now = store.ages.replayMs ?? store.clock();
    const text = jamText(jam, { unit: this.unit, unitLabel: UNIT_LABELS[this.unit], horizon, now });
    setText(own.jamText, text);
    setAttribute(own.jamText, "title", jam.since === null ? text : `${text} (${exactly(jam.since)})`);
    const course = jam.course === null ? null : COURSES[jam.course];
    setAttribute(own.jamCourseMark, "data-course", course);
    setAttribute(own.jamCourse, "href", course && `#course-${course}`);
  }

  /**
   * @param {HTMLElement} link
   * @param {string | null} road
   */
  #renderLink(link, road) {
    link.hidden = road === null || this.prefix === null;
    if (road === null || this.prefix === null) return;
    setAttribute(link, "href", withDisplay(`${this.prefix}${roadPath(road)}`));
    setAttribute(link, "aria-label", t("jam.road_page", { road: label(road) }));
  }

  /**
   * @param {Jam} jam
   * @param {Store} store
   */
  #nameOf(jam, store) {
    const { first, last, ids } = jam;
    if (!saysNoPlace(first.road_name)) return jamName(jam, [placeIn(first.road_name), placeIn(last.road_name)]);
    return jamName(jam, [this.#crossingAt(ids, store), this.#crossingAt([...ids].reverse(), store)]);
  }

  /**
   * Return the first road that crosses near the segments; empty for none.
   *
   * @param {string[]} ids
   * @param {Store} store
   */
  #crossingAt(ids, store) {
    for (const id of ids.slice(0, MAX_TRIED)) {
      const crossing = this.#crossings.near(store.segments, id);
      if (crossing !== null) return label(crossing);
    }
    return "";
  }

  /**
   * Jams that begin or end are collected for a moment, so that many of them are one announcement.
   *
   * @param {Store} store
   */
  #announce(store) {
    const { begun, ended } = this.jams.takeEvents();
    const names = (/** @type {Jam[]} */ all) => all.filter(isAnnounced).map((jam) => this.#nameOf(jam, store));
    this.#unannounced.begun.push(...names(begun));
    this.#unannounced.ended.push(...names(ended));
    const text = announcement(this.#unannounced.begun, this.#unannounced.ended);
    if (text === "" || this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      setText(this.parts.jamsSpoken, announcement(this.#unannounced.begun, this.#unannounced.ended));
      this.#unannounced = { begun: [], ended: [] };
      this.#timer = null;
    }, ANNOUNCE_AFTER_MS);
  }
}

/**
 * @param {Store} store
 * @param {string} time the other time, empty for none
 */
function noJamsText(store, time) {
  if (store.segments.size === 0) return t("jams.no_segments");
  for (const shown of store.segments.values()) {
    const { now, next } = store.currentSpeeds(shown);
    if (now !== null || next !== null) return time ? t("jams.none_now_or", { time }) : t("jams.none_now");
  }
  return t("jams.no_data");
}

/**
 * Small jams begin and end too often to be announced.
 *
 * @param {Jam} jam
 */
function isAnnounced({ isSevere, delayNow, delayNext }) {
  const delay = Math.max(delayNow ?? -1, delayNext ?? -1);
  return isSevere && (delay < 0 || delay >= LEAST_ANNOUNCED_MINUTES);
}
