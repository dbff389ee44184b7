/**
 * The totals, and the category chips: legend, counts and filter in one.
 *
 * @import { Store } from "../store.js"
 * @import { Config, Query } from "../types.d.ts"
 * @typedef {{ root: HTMLElement, count: HTMLElement, percent: HTMLElement, other: HTMLElement }} Chip
 */
import { GROUPS, NOT_CURRENT } from "../categories.js";
import { NOW } from "../forecasts.js";
import { grouped, t } from "../texts.js";
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
    const texts = { ...ranges(config.thresholds_mph, config.speed_unit), [NOT_CURRENT]: t("summary.or_no_data") };
    for (const group of GROUPS) {
      this.#chips.set(group, this.#makeChip(group, texts[group], onToggle));
      this.#shares.set(group, makeShare(group));
    }
    this.parts.chips.replaceChildren(...[...this.#chips.values()].map(({ root: chip }) => chip));
    this.parts.shares.replaceChildren(...this.#shares.values());
    setAttribute(this.parts.chips, "data-speeds", config.speed_unit);
    this.parts.legend?.replaceChildren(...GROUPS.map((group) => this.#makeLegend(group, texts[group])));
  }

  /**
   * @param {Store} store
   * @param {Query} query
   */
  render(store, query) {
    const { total, reporting, keptSince, counts, others, meanNow, meanPredicted, meanChange } = totalsOf(store);
    setText(this.parts.reporting, total ? grouped(reporting) : NONE);
    setText(this.parts.total, total ? totalText(total, keptSince) : t("summary.none"));
    const isNow = store.time === NOW;
    const { isMeasuredOnly } = store.forecasts;
    const isMeanNow = isNow || isMeasuredOnly;
    setText(this.parts.meanTitle, t(isMeanNow ? "summary.mean_now" : "summary.mean_predicted"));
    const shownMean = isMeanNow ? meanNow : meanPredicted;
    setText(this.parts.meanPredicted, shownMean === null ? NONE : `${speed(shownMean)} ${this.unit}`);
    setText(this.parts.meanChange, meanChange === null ? NONE : `${change(meanChange)} ${this.unit}`);
    const { perMinute } = store;
    const { seconds } = store.arrivals;
    const rate = seconds < 60 ? t("summary.in_seconds", { seconds }) : "/ min";
    setText(this.parts.perMinute, perMinute === null ? NONE : `${grouped(perMinute)} ${rate}`);
    setAttribute(this.parts.perMinute, "data-received", String(store.arrivals.count));
    for (const group of GROUPS) {
      const hasOther = group !== NOT_CURRENT && !isMeasuredOnly;
      const other = !hasOther ? "" : t(isNow ? "summary.next" : "summary.now", { count: others[group] });
      this.#renderGroup(group, { count: counts[group], total, other, pressed: query.groups.includes(group) });
    }
  }

  /**
   * @param {string} group
   * @param {string} range
   * @param {(group: string) => void} onToggle
   * @returns {Chip}
   */
  #makeChip(group, range, onToggle) {
    const root = fromTemplate("chip-template");
    const { name, text, unit, mark, count, percent, other } = parts(root);
    root.dataset.group = group;
    setText(name, LABELS[group]);
    setText(text, range);
    setText(unit, group === NOT_CURRENT ? "" : this.unit);
    mark.append(shape(group));
    root.addEventListener("click", () => onToggle(group));
    return { root, count, percent, other };
  }

  /**
   * The embedded page has no chips.
   *
   * @param {string} group
   * @param {string} range
   */
  #makeLegend(group, range) {
    const item = document.createElement("li");
    item.dataset.group = group;
    item.append(shape(group), `${LABELS[group]} ${range} ${group === NOT_CURRENT ? "" : this.unit}`.trim());
    return item;
  }

  /**
   * @param {string} group
   * @param {{ count: number, total: number, other: string, pressed: boolean }} given `other` is the count at the other time
   */
  #renderGroup(group, { count, total, other, pressed }) {
    const chip = this.#chips.get(group);
    const share = this.#shares.get(group);
    if (!chip || !share) return;
    setText(chip.count, grouped(count));
    const percent = total ? `${Math.round((100 * count) / total)} %` : "";
    setText(chip.percent, percent);
    setAttribute(chip.root, "title", percent && `${[t("summary.share", { percent }), other && `(${other})`].filter(Boolean).join(" ")}`);
    setText(chip.other, other);
    setAttribute(chip.root, "aria-pressed", String(pressed));
    // A style set by script is not inline style for the Content-Security-Policy.
    share.style.flexGrow = String(count);
  }
}

/**
 * @param {number} total
 * @param {number | null} keptSince
 */
function totalText(total, keptSince) {
  return keptSince === null ? t("summary.total", { total }) : t("summary.total_at", { total, time: clock(keptSince) });
}

/** @param {string} group */
function makeShare(group) {
  const share = document.createElement("span");
  share.dataset.group = group;
  return share;
}
