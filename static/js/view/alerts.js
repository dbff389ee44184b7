/** The list of alerts, and a polite word when new ones begin. */
import { FRESH } from "../freshness.js";
import { age, change, exactly, label, plural, since, speed, UNIT_LABELS } from "./format.js";
import { fromTemplate, parts, setAttribute, setText, shape } from "./elements.js";

const MOST_SHOWN = 50;
const SPEAK_AFTER_MS = 2_000;
const MOST_NAMED = 3;
const SILENCES = { stale: "stale, no news", silent: "no data" };

export class AlertsView {
  #items = new Map();
  #shown = [];
  #known = new Set();
  #unspoken = [];
  #timer = null;

  constructor(root, { config, onSelect, onAcknowledge, onAcknowledgeAll }) {
    this.parts = parts(root);
    this.unit = UNIT_LABELS[config.speed_unit];
    Object.assign(this, { onSelect, onAcknowledge });
    this.parts.acknowledgeAll.addEventListener("click", () => {
      onAcknowledgeAll();
      this.parts.alertsTitle.focus();
    });
  }

  /** Show alerts; `store` tells which of them are of segments that are silent now. */
  render(alerts, store) {
    const open = alerts.filter(({ acknowledged }) => !acknowledged).length;
    setText(this.parts.alertCount, counted(open, alerts.length));
    this.parts.acknowledgeAll.hidden = open === 0;
    this.#place(this.#inPlace(alerts).slice(0, MOST_SHOWN), store);
    setText(this.parts.alertsMore, alerts.length > MOST_SHOWN ? `and ${alerts.length - MOST_SHOWN} more` : "");
    this.#announce(alerts);
  }

  /** While somebody is about to press one of them they don't change places: what is new comes last then. */
  #inPlace(alerts) {
    if (!this.parts.alerts.matches(":hover, :focus-within")) return alerts;
    const wanted = new Set(alerts);
    const kept = this.#shown.filter((alert) => wanted.has(alert));
    const known = new Set(kept);
    return [...kept, ...alerts.filter((alert) => !known.has(alert))];
  }

  #place(alerts, store) {
    const { alerts: list } = this.parts;
    this.#shown = alerts;
    const wanted = new Set(alerts);
    for (const [alert, item] of this.#items) {
      if (wanted.has(alert)) continue;
      item.element.remove();
      this.#items.delete(alert);
    }
    alerts.forEach((alert, index) => {
      const item = this.#items.get(alert) ?? this.#make(alert);
      this.#renderItem(item, alert, store);
      const there = list.children[index];
      if (there !== item.element) list.insertBefore(item.element, there ?? null);
    });
  }

  #make(alert) {
    const element = fromTemplate("alert-template");
    const item = { element, ...parts(element) };
    item.alertMark.append(shape(alert.kind === "severe" ? "severe_congestion" : "heavy_traffic"));
    element.dataset.category = alert.kind === "severe" ? "severe_congestion" : "heavy_traffic";
    setText(item.alertName, label(alert.road ?? alert.id));
    item.alertName.addEventListener("click", () => this.onSelect(alert.id));
    item.alertDone.addEventListener("click", () => {
      this.#focusBeyond(alert);
      this.onAcknowledge(alert.id);
    });
    this.#items.set(alert, item);
    return item;
  }

  /** The button that was pressed goes away: the next one takes the focus, or the title when there is none. */
  #focusBeyond(alert) {
    const place = this.#shown.indexOf(alert);
    const others = [...this.#shown.slice(place + 1), ...this.#shown.slice(0, place)];
    const next = others.find(({ acknowledged }) => !acknowledged);
    (next ? this.#items.get(next).alertDone : this.parts.alertsTitle).focus();
  }

  #renderItem(item, alert, store) {
    setAttribute(item.element, "data-acknowledged", String(alert.acknowledged));
    item.alertDone.hidden = alert.acknowledged;
    const freshness = store.freshness(alert);
    setAttribute(item.element, "data-freshness", freshness);
    const what = alert.kind === "severe" ? "severe" : `a drop of ${change(alert.change)} ${this.unit} predicted`;
    const value = `${speed(alert.value)} ${this.unit} predicted`;
    const now = store.heldAt === null && freshness === FRESH ? `now ${value}` : `last ${value}`;
    const silence = SILENCES[freshness] ? `; ${SILENCES[freshness]} for ${age(store.ageSeconds(alert))}` : "";
    setText(item.alertText, `${what} since ${since(alert.since, store.clock())}, ${now}${silence}`);
    setAttribute(item.alertText, "title", `since ${exactly(alert.since)}`);
  }

  /** New ones are gathered for a moment, so that many at once are one sentence. */
  #announce(alerts) {
    const news = alerts.filter((alert) => !this.#known.has(alert) && !alert.acknowledged);
    this.#known = new Set(alerts);
    if (news.length === 0) return;
    this.#unspoken.push(...news);
    this.#timer ??= setTimeout(() => {
      const names = this.#unspoken.slice(0, MOST_NAMED).map(({ road, id }) => label(road ?? id));
      setText(this.parts.alertsSpoken, `${plural(this.#unspoken.length, "new alert", "new alerts")}: ${names.join(", ")}`);
      this.#unspoken = [];
      this.#timer = null;
    }, SPEAK_AFTER_MS);
  }
}

function counted(open, all) {
  if (all === 0) return "none";
  return open === all ? `${all.toLocaleString("en")} new` : `${open.toLocaleString("en")} new, ${all.toLocaleString("en")} in all`;
}
