/** The line of figures, and the chips: legend, counts and filter in one. */
import { GROUPS } from "../store.js";
import { LABELS, UNIT_LABELS, change, clock, ranges, speed } from "./format.js";
import { fromTemplate, parts, setAttribute, setText, shape } from "./elements.js";

export class SummaryView {
  constructor(root, { config, onToggle }) {
    this.parts = parts(root);
    this.unit = UNIT_LABELS[config.speed_unit];
    const texts = { ...ranges(config.thresholds_mph, config.speed_unit), not_current: "or no data" };
    this.chips = new Map(GROUPS.map((group) => [group, this.#makeChip(group, texts[group], onToggle)]));
    this.parts.chips.replaceChildren(...[...this.chips.values()].map(({ root: chip }) => chip));
    this.shares = new Map(GROUPS.map((group) => [group, makeShare(group)]));
    this.parts.shares.replaceChildren(...this.shares.values());
  }

  render(store, query) {
    const { total, reporting, heldAt, counts, meanPredicted, meanChange } = store.summary();
    setText(this.parts.reporting, total ? reporting.toLocaleString("en") : "–");
    const at = heldAt === null ? "" : ` at ${clock(heldAt)}`;
    setText(this.parts.total, total ? `of ${total.toLocaleString("en")} reporting${at}` : "no segments yet");
    setText(this.parts.meanPredicted, meanPredicted === null ? "–" : `${speed(meanPredicted)} ${this.unit}`);
    setText(this.parts.meanChange, meanChange === null ? "–" : `${change(meanChange)} ${this.unit}`);
    const { perMinute } = store;
    setText(this.parts.perMinute, perMinute === null ? "–" : `${perMinute.toLocaleString("en")} / min`);
    setAttribute(this.parts.perMinute, "data-received", String(store.received));
    for (const group of GROUPS) this.#renderGroup(group, counts[group], total, query.groups.includes(group));
  }

  #makeChip(group, range, onToggle) {
    const root = fromTemplate("chip-template");
    const { name, text, unit, mark, count, percent } = parts(root);
    root.dataset.group = group;
    setText(name, LABELS[group]);
    setText(text, range);
    setText(unit, group === "not_current" ? "" : this.unit);
    mark.append(shape(group));
    root.addEventListener("click", () => onToggle(group));
    return { root, count, percent };
  }

  #renderGroup(group, count, total, pressed) {
    const chip = this.chips.get(group);
    setText(chip.count, count.toLocaleString("en"));
    setText(chip.percent, total ? `${Math.round((100 * count) / total)} %` : "");
    setAttribute(chip.root, "aria-pressed", String(pressed));
    // Setting a property of a style is not inline style in the sense of the Content-Security-Policy.
    this.shares.get(group).style.flexGrow = String(count);
  }
}

function makeShare(group) {
  const share = document.createElement("span");
  share.dataset.group = group;
  return share;
}
