/**
 * The totals, and the category chips: legend, counts and filter in one.
 *
 * @import { Store } from "../store.js"
 * @import { Config, Query } from "../types.d.ts"
 * @typedef {{ root: HTMLElement, count: HTMLElement, percent: HTMLElement }} Chip
 */
import { GROUPS, NOT_CURRENT } from "../categories.js";
import { totalsOf } from "../totals.js";
import { fromTemplate, parts, setAttribute, setText, shape } from "./elements.js";
import { change, clock, LABELS, NONE, ranges, speed, UNIT_LABELS } from "./format.js";

export class SummaryView {
  /** @type {Map<string, Chip>} */
  #chips = new Map();
  /** @type {Map<string, HTMLElement>} */
  #shares = new Map();

  /**
   * @param {ParentNode} root
   * @param {{ config: Config, onToggle(group: string): void }} options
   */
  constructor(root, { config, onToggle }) {
    this.parts = parts(root);
    this.unit = UNIT_LABELS[config.speed_unit];
    /** @type {Record<string, string>} */
    const texts = { ...ranges(config.thresholds_mph, config.speed_unit), [NOT_CURRENT]: "or no data" };
    for (const group of GROUPS) {
      this.#chips.set(group, this.#makeChip(group, texts[group], onToggle));
      this.#shares.set(group, makeShare(group));
    }
    this.parts.chips.replaceChildren(...[...this.#chips.values()].map(({ root: chip }) => chip));
    this.parts.shares.replaceChildren(...this.#shares.values());
  }

  /**
   * @param {Store} store
   * @param {Query} query
   */
  render(store, query) {
    const { total, reporting, keptSince, counts, meanPredicted, meanChange } = totalsOf(store);
    setText(this.parts.reporting, total ? reporting.toLocaleString("en") : NONE);
    const at = keptSince === null ? "" : ` at ${clock(keptSince)}`;
    setText(this.parts.total, total ? `of ${total.toLocaleString("en")} reporting${at}` : "no segments yet");
    setText(this.parts.meanPredicted, meanPredicted === null ? NONE : `${speed(meanPredicted)} ${this.unit}`);
    setText(this.parts.meanChange, meanChange === null ? NONE : `${change(meanChange)} ${this.unit}`);
    const { perMinute } = store;
    setText(this.parts.perMinute, perMinute === null ? NONE : `${perMinute.toLocaleString("en")} / min`);
    setAttribute(this.parts.perMinute, "data-received", String(store.arrivals.count));
    for (const group of GROUPS) this.#renderGroup(group, counts[group], total, query.groups.includes(group));
  }

  /**
   * @param {string} group
   * @param {string} range
   * @param {(group: string) => void} onToggle
   * @returns {Chip}
   */
  #makeChip(group, range, onToggle) {
    const root = fromTemplate("chip-template");
    const { name, text, unit, mark, count, percent } = parts(root);
    root.dataset.group = group;
    setText(name, LABELS[group]);
    setText(text, range);
    setText(unit, group === NOT_CURRENT ? "" : this.unit);
    mark.append(shape(group));
    root.addEventListener("click", () => onToggle(group));
    return { root, count, percent };
  }

  /**
   * @param {string} group
   * @param {number} count
   * @param {number} total
   * @param {boolean} pressed
   */
  #renderGroup(group, count, total, pressed) {
    const chip = this.#chips.get(group);
    const share = this.#shares.get(group);
    if (!chip || !share) return;
    setText(chip.count, count.toLocaleString("en"));
    setText(chip.percent, total ? `${Math.round((100 * count) / total)} %` : "");
    setAttribute(chip.root, "aria-pressed", String(pressed));
    // A style set by script is not inline style for the Content-Security-Policy.
    share.style.flexGrow = String(count);
  }
}

/** @param {string} group */
function makeShare(group) {
  const share = document.createElement("span");
  share.dataset.group = group;
  return share;
}
