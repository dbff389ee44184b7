/** The list of alerts, and a polite word when new ones begin. */
import { change, clock, label, plural, speed, UNIT_LABELS } from "./format.js";
import { fromTemplate, parts, setAttribute, setText, shape } from "./elements.js";

const MOST_SHOWN = 50;
const SPEAK_AFTER_MS = 2_000;
const MOST_NAMED = 3;

export class AlertsView {
  #items = new Map();
  #known = new Set();
  #unspoken = [];
  #timer = null;

  constructor(root, { config, onSelect, onAcknowledge, onAcknowledgeAll }) {
    this.parts = parts(root);
    this.unit = UNIT_LABELS[config.speed_unit];
    Object.assign(this, { onSelect, onAcknowledge });
    this.parts.acknowledgeAll.addEventListener("click", onAcknowledgeAll);
  }

  render(alerts) {
    const open = alerts.filter(({ acknowledged }) => !acknowledged).length;
    setText(this.parts.alertCount, alerts.length ? `${open.toLocaleString("en")} new, ${alerts.length.toLocaleString("en")} in all` : "none");
    this.parts.acknowledgeAll.hidden = open === 0;
    this.#place(alerts.slice(0, MOST_SHOWN));
    setText(this.parts.alertsMore, alerts.length > MOST_SHOWN ? `and ${alerts.length - MOST_SHOWN} more` : "");
    this.#announce(alerts);
  }

  #place(alerts) {
    const { alerts: list } = this.parts;
    const wanted = new Set(alerts);
    for (const [alert, item] of this.#items) {
      if (wanted.has(alert)) continue;
      item.element.remove();
      this.#items.delete(alert);
    }
    alerts.forEach((alert, index) => {
      const item = this.#items.get(alert) ?? this.#make(alert);
      this.#renderItem(item, alert);
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
    item.alertDone.addEventListener("click", () => this.onAcknowledge(alert.id));
    this.#items.set(alert, item);
    return item;
  }

  #renderItem(item, alert) {
    setAttribute(item.element, "data-acknowledged", String(alert.acknowledged));
    item.alertDone.hidden = alert.acknowledged;
    const what = alert.kind === "severe" ? "severe" : `a drop of ${change(alert.change)} ${this.unit} predicted`;
    setText(item.alertText, `${what} since ${clock(alert.since)}, now ${speed(alert.value)} ${this.unit} predicted`);
  }

  /** New ones are gathered for a moment, so that many at once are one sentence. */
  #announce(alerts) {
    const news = alerts.filter((alert) => !this.#known.has(alert));
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
