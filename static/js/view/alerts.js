/**
 * The list of alerts by road, and the announcement of new ones to screen readers.
 *
 * @import { AlertGroup } from "../alert-groups.js"
 * @import { Store } from "../store.js"
 * @import { Alert, Config, Parts, Seen } from "../types.d.ts"
 * @typedef {Alert | AlertGroup} Entry
 * @typedef {{ element: HTMLElement, parts: Parts, entry: Entry, members: Map<Alert, Item> | null }} Item
 */
import { grouped, summaryOf } from "../alert-groups.js";
import { Crossings, saysNoPlace } from "../crossings.js";
import { t } from "../texts.js";
import { fromTemplate, parts, setAttribute, setName, setText, shape } from "./elements.js";
import { exactly, label, UNIT_LABELS } from "./format.js";
import { alertText, groupText, seenText } from "./wording.js";

const MAX_SHOWN = 500;
const MAX_NAMED = 3;
const ANNOUNCE_AFTER_MS = 2_000;
const CATEGORY_OF = { severe: "severe_congestion", drop: "heavy_traffic" };

export class AlertsView {
  /** @type {Map<string | Alert, Item>} by road, or for an alert by itself */
  #items = new Map();
  /** @type {(string | Alert)[]} */
  #shown = [];
  /** @type {Set<Alert>} */
  #known = new Set();
  /** @type {Alert[]} */
  #unannounced = [];
  /** @type {number | null} */
  #timer = null;
  #crossings = new Crossings();

  /**
   * @param {ParentNode} root
   * @param {object} options
   * @param {Config} options.config
   * @param {(id: string) => void} options.onSelect
   * @param {(ids: string[]) => void} options.onAcknowledge
   * @param {() => void} options.onAcknowledgeAll
   * @param {(ids: string[], note: string, name: string) => void} options.onNote with the note so far, and of what
   * @param {(ids: string[]) => void} options.onUndo
   */
  constructor(root, { config, onSelect, onAcknowledge, onAcknowledgeAll, onNote, onUndo }) {
    this.parts = parts(root);
    this.unit = UNIT_LABELS[config.speed_unit];
    this.onSelect = onSelect;
    this.onAcknowledge = onAcknowledge;
    this.onNote = onNote;
    this.onUndo = onUndo;
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
   * @param {string | null} error what is wrong with their acknowledgements
   * @param {boolean} isLearning whether earlier steps are on their way, which may tell of more alerts
   */
  render(alerts, store, error, isLearning) {
    setText(this.parts.acknowledgeError, error ?? "");
    const open = alerts.filter(({ acknowledged }) => !acknowledged).length;
    const none = t(isLearning ? "loading" : "alerts.none");
    setText(this.parts.alertCount, alerts.length === 0 ? none : countText(open, alerts.length));
    this.parts.acknowledgeAll.hidden = open === 0;
    const entries = this.#inStableOrder(grouped(alerts)).slice(0, MAX_SHOWN);
    this.#shown = entries.map(keyOf);
    this.#place(this.parts.alerts, this.#items, entries, store);
    const shown = entries.reduce((sum, entry) => sum + alertsOf(entry).length, 0);
    setText(this.parts.alertsMore, alerts.length > shown ? t("more", { count: alerts.length - shown }) : "");
    this.#announce(alerts);
  }

  /**
   * While the pointer or the focus is in the list, entries keep their places and new ones come last.
   *
   * @param {Entry[]} entries
   */
  #inStableOrder(entries) {
    if (!this.parts.alerts.matches(":hover, :focus-within")) return entries;
    const byKey = new Map(entries.map((entry) => [keyOf(entry), entry]));
    const kept = this.#shown.flatMap((key) => byKey.get(key) ?? []);
    const known = new Set(kept);
    return [...kept, ...entries.filter((entry) => !known.has(entry))];
  }

  /**
   * @param {HTMLElement} list
   * @param {Map<any, Item>} items
   * @param {Entry[]} entries
   * @param {Store} store
   */
  #place(list, items, entries, store) {
    const present = new Set(entries.map(keyOf));
    for (const [key, { element }] of items) {
      if (present.has(key)) continue;
      element.remove();
      items.delete(key);
    }
    for (const [index, entry] of entries.entries()) {
      const item = items.get(keyOf(entry)) ?? this.#make(entry, store);
      items.set(keyOf(entry), item);
      item.entry = entry;
      if ("alerts" in entry) this.#renderGroup(item, entry, store);
      else this.#renderAlert(item, entry, store);
      const current = list.children[index];
      if (current !== item.element) list.insertBefore(item.element, current ?? null);
    }
  }

  /**
   * @param {Entry} entry
   * @param {Store} store
   * @returns {Item}
   */
  #make(entry, store) {
    const isGroup = "alerts" in entry;
    const element = fromTemplate(isGroup ? "alert-group-template" : "alert-template");
    /** @type {Item} */
    const item = { element, parts: parts(element), entry, members: isGroup ? new Map() : null };
    const { alertName, alertDone, alertNote, alertUndo, members } = item.parts;
    const name = isGroup ? label(entry.road) : this.#nameOf(entry, store);
    setName(alertName, name);
    setAttribute(alertName, "title", name);
    setAttribute(alertDone, "aria-label", t(isGroup ? "alert.acknowledge_all_of" : "alert.acknowledge_one", { name }));
    setAttribute(alertNote, "aria-label", t("alert.note_on", { name }));
    setAttribute(alertUndo, "aria-label", t("alert.undo_one", { name }));
    const seen = () => alertsOf(item.entry).filter((alert) => alert.seen !== null);
    alertNote.addEventListener("click", () => this.onNote(idsOf(seen()), lastOf(seen())?.note ?? "", name));
    alertUndo.addEventListener("click", () => {
      this.parts.alertsTitle.focus();
      this.onUndo(idsOf(seen()));
    });
    alertName.addEventListener("click", () => {
      if (!("alerts" in item.entry)) return this.onSelect(item.entry.id);
      members.hidden = !members.hidden;
      return setAttribute(alertName, "aria-expanded", String(!members.hidden));
    });
    alertDone.addEventListener("click", () => {
      this.#moveFocus(alertDone);
      this.onAcknowledge(idsOf(alertsOf(item.entry).filter(({ acknowledged }) => !acknowledged)));
    });
    return item;
  }

  /**
   * Return the road and place of an alert: "I-405 N at Sunset", "US-101 N near I-405, 717447", or its segment.
   *
   * @param {Alert} alert
   * @param {Store} store
   */
  #nameOf(alert, store) {
    if (!alert.road) return label(alert.id);
    if (!saysNoPlace(alert.road)) return label(alert.road);
    return `${label(alert.road)} ${this.#near(alert, store)}, ${label(alert.id)}`.replace(" ,", ",");
  }

  /**
   * @param {Alert} alert
   * @param {Store} store
   */
  #near({ id }, store) {
    const road = this.#crossings.near(store.segments, id);
    return road === null ? "" : t("near", { place: label(road) });
  }

  /**
   * The pressed button disappears: focus the next one, or the title if there is none.
   *
   * @param {HTMLElement} pressed
   */
  #moveFocus(pressed) {
    const buttons = [.../** @type {NodeListOf<HTMLElement>} */ (this.parts.alerts.querySelectorAll("[data-part=alertDone]"))];
    const index = buttons.indexOf(pressed);
    const inside = pressed.closest("li");
    const others = [...buttons.slice(index + 1), ...buttons.slice(0, index)].filter((each) => !inside?.contains(each));
    const next = others.find((each) => !each.hidden && each.getClientRects().length > 0);
    (next ?? this.parts.alertsTitle).focus();
  }

  /**
   * @param {Item} item
   * @param {AlertGroup} group
   * @param {Store} store
   */
  #renderGroup({ element, parts: own, members }, group, store) {
    const near = this.#near(summaryOf(group).slowest, store);
    const { counts, text, open, kind, since } = groupText(group, this.unit, shownNow(store), near);
    this.#mark(element, own, kind);
    setAttribute(element, "data-acknowledged", String(open === 0));
    const isFresh = group.alerts.some((alert) => store.ages.freshness(alert) === "fresh");
    setAttribute(element, "data-freshness", isFresh ? "fresh" : "stale");
    own.alertDone.hidden = open === 0;
    setText(own.alertCounts, counts);
    setText(own.alertText, text);
    setAttribute(own.alertText, "title", `${text} (${exactly(since)})`);
    this.#renderSeen(own, group.alerts);
    if (members) this.#place(own.members, members, own.members.hidden ? [] : group.alerts, store);
  }

  /**
   * @param {Item} item
   * @param {Alert} alert
   * @param {Store} store
   */
  #renderAlert({ element, parts: own }, alert, store) {
    const freshness = store.ages.freshness(alert);
    this.#mark(element, own, alert.kind);
    setAttribute(element, "data-acknowledged", String(alert.acknowledged));
    setAttribute(element, "data-freshness", freshness);
    own.alertDone.hidden = alert.acknowledged;
    const isCurrent = store.keptSince === null && freshness === "fresh";
    const given = { unit: this.unit, freshness, ageSeconds: store.ages.seconds(alert), isCurrent, now: shownNow(store) };
    setText(own.alertText, alertText(alert, given));
    setAttribute(own.alertText, "title", t("alert.since", { time: exactly(alert.since) }));
    this.#renderSeen(own, [alert]);
  }

  /**
   * @param {Parts} own
   * @param {Alert[]} alerts
   */
  #renderSeen({ alertSeen, alertSeenText }, alerts) {
    const last = lastOf(alerts);
    alertSeen.hidden = last === null;
    if (last === null) return;
    setText(alertSeenText, seenText(last, Date.now()));
    setAttribute(alertSeenText, "title", exactly(last.at));
  }

  /**
   * @param {HTMLElement} element
   * @param {Parts} own
   * @param {Alert["kind"]} kind
   */
  #mark(element, { alertMark }, kind) {
    if (element.dataset.category === CATEGORY_OF[kind]) return;
    element.dataset.category = CATEGORY_OF[kind];
    alertMark.replaceChildren(shape(CATEGORY_OF[kind]));
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
      setText(this.parts.alertsSpoken, `${t("alerts.announced", { count: this.#unannounced.length })}: ${names.join(", ")}`);
      this.#unannounced = [];
      this.#timer = null;
    }, ANNOUNCE_AFTER_MS);
  }
}

/**
 * Return the time that is shown, that of a replay if there is one: times of its day need no date.
 *
 * @param {Store} store
 */
function shownNow(store) {
  return store.ages.replayMs ?? store.clock();
}

/** @param {Entry} entry */
function keyOf(entry) {
  return "alerts" in entry ? entry.road : entry;
}

/**
 * @param {Entry} entry
 * @returns {Alert[]}
 */
function alertsOf(entry) {
  return "alerts" in entry ? entry.alerts : [entry];
}

/** @param {Alert[]} alerts */
function idsOf(alerts) {
  return alerts.map(({ id }) => id);
}

/**
 * Return the last acknowledgement of alerts.
 *
 * @param {Alert[]} alerts
 */
function lastOf(alerts) {
  /** @type {Seen | null} */
  let last = null;
  for (const { seen } of alerts) if (seen !== null && seen.at > (last?.at ?? -Infinity)) last = seen;
  return last;
}

/**
 * @param {number} open
 * @param {number} total
 */
function countText(open, total) {
  const added = t("alerts.new", { count: open });
  return open === total ? added : `${added}, ${t("alerts.total", { count: total })}`;
}
