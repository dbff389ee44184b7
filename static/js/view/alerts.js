/**
 * The list of alerts, and the announcement of new ones to screen readers.
 *
 * @import { Store } from "../store.js"
 * @import { Alert, Config, Parts } from "../types.d.ts"
 * @typedef {{ element: HTMLElement, parts: Parts }} Item
 */
import { FRESH } from "../freshness.js";
import { fromTemplate, parts, setAttribute, setText, shape } from "./elements.js";
import { exactly, label, plural, UNIT_LABELS } from "./format.js";
import { alertText } from "./wording.js";

const MAX_SHOWN = 50;
const MAX_NAMED = 3;
const ANNOUNCE_AFTER_MS = 2_000;
const CATEGORY_OF = { severe: "severe_congestion", drop: "heavy_traffic" };

export class AlertsView {
  /** @type {Map<Alert, Item>} */
  #items = new Map();
  /** @type {Alert[]} */
  #shown = [];
  /** @type {Set<Alert>} */
  #known = new Set();
  /** @type {Alert[]} */
  #unannounced = [];
  /** @type {number | null} */
  #timer = null;

  /**
   * @param {ParentNode} root
   * @param {{ config: Config, onSelect(id: string): void, onAcknowledge(id: string): void, onAcknowledgeAll(): void }} options
   */
  constructor(root, { config, onSelect, onAcknowledge, onAcknowledgeAll }) {
    this.parts = parts(root);
    this.unit = UNIT_LABELS[config.speed_unit];
    this.onSelect = onSelect;
    this.onAcknowledge = onAcknowledge;
    this.parts.acknowledgeAll.addEventListener("click", () => {
      onAcknowledgeAll();
      this.parts.alertsTitle.focus();
    });
  }

  /**
   * Show alerts.
   *
   * @param {Alert[]} alerts
   * @param {Store} store knows the freshness of their segments
   */
  render(alerts, store) {
    const open = alerts.filter(({ acknowledged }) => !acknowledged).length;
    setText(this.parts.alertCount, countText(open, alerts.length));
    this.parts.acknowledgeAll.hidden = open === 0;
    this.#place(this.#inStableOrder(alerts).slice(0, MAX_SHOWN), store);
    setText(this.parts.alertsMore, alerts.length > MAX_SHOWN ? `and ${alerts.length - MAX_SHOWN} more` : "");
    this.#announce(alerts);
  }

  /**
   * While the pointer or the focus is in the list, alerts keep their places and new ones come last.
   *
   * @param {Alert[]} alerts
   */
  #inStableOrder(alerts) {
    if (!this.parts.alerts.matches(":hover, :focus-within")) return alerts;
    const present = new Set(alerts);
    const kept = this.#shown.filter((alert) => present.has(alert));
    const known = new Set(kept);
    return [...kept, ...alerts.filter((alert) => !known.has(alert))];
  }

  /**
   * @param {Alert[]} alerts
   * @param {Store} store
   */
  #place(alerts, store) {
    const { alerts: list } = this.parts;
    this.#shown = alerts;
    const present = new Set(alerts);
    for (const [alert, { element }] of this.#items) {
      if (present.has(alert)) continue;
      element.remove();
      this.#items.delete(alert);
    }
    for (const [index, alert] of alerts.entries()) {
      const item = this.#items.get(alert) ?? this.#make(alert);
      this.#renderItem(item, alert, store);
      const current = list.children[index];
      if (current !== item.element) list.insertBefore(item.element, current ?? null);
    }
  }

  /** @param {Alert} alert */
  #make(alert) {
    const element = fromTemplate("alert-template");
    const item = { element, parts: parts(element) };
    const { alertMark, alertName, alertDone } = item.parts;
    alertMark.append(shape(CATEGORY_OF[alert.kind]));
    element.dataset.category = CATEGORY_OF[alert.kind];
    setText(alertName, label(alert.road ?? alert.id));
    alertName.addEventListener("click", () => this.onSelect(alert.id));
    alertDone.addEventListener("click", () => {
      this.#moveFocus(alert);
      this.onAcknowledge(alert.id);
    });
    this.#items.set(alert, item);
    return item;
  }

  /**
   * The pressed button disappears: focus the next one, or the title if there is none.
   *
   * @param {Alert} alert
   */
  #moveFocus(alert) {
    const index = this.#shown.indexOf(alert);
    const others = [...this.#shown.slice(index + 1), ...this.#shown.slice(0, index)];
    const next = others.find(({ acknowledged }) => !acknowledged);
    const button = next && this.#items.get(next)?.parts.alertDone;
    (button ?? this.parts.alertsTitle).focus();
  }

  /**
   * @param {Item} item
   * @param {Alert} alert
   * @param {Store} store
   */
  #renderItem({ element, parts: { alertDone, alertText: text } }, alert, store) {
    const freshness = store.ages.freshness(alert);
    setAttribute(element, "data-acknowledged", String(alert.acknowledged));
    setAttribute(element, "data-freshness", freshness);
    alertDone.hidden = alert.acknowledged;
    const isCurrent = store.keptSince === null && freshness === FRESH;
    const given = { unit: this.unit, freshness, ageSeconds: store.ages.seconds(alert), isCurrent, now: store.clock() };
    setText(text, alertText(alert, given));
    setAttribute(text, "title", `Since ${exactly(alert.since)}`);
  }

  /**
   * New alerts are collected for a moment, so that many of them are one announcement.
   *
   * @param {Alert[]} alerts
   */
  #announce(alerts) {
    const added = alerts.filter((alert) => !this.#known.has(alert) && !alert.acknowledged);
    this.#known = new Set(alerts);
    if (added.length === 0) return;
    this.#unannounced.push(...added);
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      const names = this.#unannounced.slice(0, MAX_NAMED).map(({ road, id }) => label(road ?? id));
      setText(this.parts.alertsSpoken, `${plural(this.#unannounced.length, "new alert", "new alerts")}: ${names.join(", ")}`);
      this.#unannounced = [];
      this.#timer = null;
    }, ANNOUNCE_AFTER_MS);
  }
}

/**
 * @param {number} open
 * @param {number} total
 */
function countText(open, total) {
  if (total === 0) return "none";
  const added = `${open.toLocaleString("en")} new`;
  return open === total ? added : `${added}, ${total.toLocaleString("en")} total`;
}
