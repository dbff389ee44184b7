/**
 * The drawer: the facts and the history of one segment. It is updated in place.
 *
 * @import { Store } from "../store.js"
 * @import { ChosenTime, Config, Observation, Prediction } from "../types.d.ts"
 */
import { coverageOf, difference, horizonOf, scoreOf, seriesOf, spread, withUsual } from "../series.js";
import { t } from "../texts.js";
import { Chart } from "./chart.js";
import { parts, setAttribute, setText } from "./elements.js";
import { label, UNIT_LABELS } from "./format.js";
import { PopupContent } from "./popup.js";
import { accuracyText, chartText } from "./wording.js";

const MAX_HISTORY = 2_000;

export class DrawerView {
  /** @type {string | null} */
  #id = null;
  /** @type {Prediction[]} */
  #history = [];
  /** @type {Observation[]} */
  #observations = [];
  #isChanged = false;
  /** @type {WeakSet<Prediction | Observation>} */
  #seen = new WeakSet();
  /** @type {ChosenTime} */
  #time = null;
  #usualVersion = -1;
  /** @type {Element | null} */
  #opener = null;

  /**
   * @param {ParentNode} root
   * @param {{ config: Config, onClose(): void }} options
   */
  constructor(root, { config, onClose }) {
    this.parts = parts(root);
    this.unit = UNIT_LABELS[config.speed_unit];
    this.chart = new Chart({ element: this.parts.chart, unit: config.speed_unit, files: config.charts, intervalSeconds: config.expected_interval_seconds });
    this.facts = new PopupContent({ unit: config.speed_unit });
    this.parts.drawerFacts.replaceChildren(this.facts.element);
    this.parts.drawerClose.addEventListener("click", onClose);
  }

  get isOpen() {
    return !this.parts.drawer.hidden;
  }

  /**
   * Open for a segment. Its history follows by setHistory().
   *
   * @param {string} id
   * @param {boolean} takesFocus
   */
  open(id, takesFocus) {
    this.#id = id;
    this.#history = [];
    this.#observations = [];
    this.#seen = new WeakSet();
    this.#isChanged = true;
    if (!this.parts.drawer.contains(document.activeElement)) this.#opener = document.activeElement;
    this.parts.drawer.hidden = false;
    this.parts.panel.hidden = true;
    setText(this.parts.chartNote, t("past.loading"));
    setAttribute(this.parts.drawer, "aria-label", t("drawer.segment", { id: label(id) }));
    if (takesFocus) this.parts.drawerClose.focus();
    this.chart.load();
  }

  close() {
    if (!this.isOpen) return;
    const hadFocus = this.parts.drawer.contains(document.activeElement);
    const id = this.#id;
    this.#id = null;
    this.parts.drawer.hidden = true;
    this.parts.panel.hidden = false;
    if (hadFocus) this.#returnFocus(id);
  }

  /**
   * Take in a segment's history.
   *
   * @param {string} id
   * @param {Prediction[] | null} history oldest first; null if it could not be loaded
   * @param {Observation[]} observations oldest first
   */
  setHistory(id, history, observations = []) {
    if (id !== this.#id) return;
    this.#isChanged = true;
    if (history === null) setText(this.parts.chartNote, t("drawer.failed"));
    else this.#history = [...history, ...this.#history];
    this.#observations = [...observations, ...this.#observations];
  }

  /** @param {Store} store */
  render(store) {
    if (!this.isOpen || this.#id === null) return;
    this.facts.render(store, this.#id);
    for (const each of store.forecasts.of(this.#id)) this.#append(this.#history, each);
    const observation = store.forecasts.observationOf(this.#id);
    if (observation) this.#append(this.#observations, observation);
    if (store.time !== this.#time) this.#isChanged = true;
    this.#time = store.time;
    if ((store.usual?.version ?? -1) !== this.#usualVersion) this.#isChanged = true;
    this.#usualVersion = store.usual?.version ?? -1;
    if (this.#isChanged && this.chart.isLoaded) this.#draw(this.#id, store);
  }

  /** Use the colours of the current theme. */
  recolour() {
    this.chart.reset();
    this.#isChanged = true;
  }

  /**
   * Focus what opened the drawer. If a row shows another segment by now, or a popup is closed, focus the table.
   *
   * @param {string | null} id
   */
  #returnFocus(id) {
    const opener = this.#opener;
    const row = opener?.closest("tr");
    const isVisible = opener instanceof HTMLElement && opener !== document.body && opener.getClientRects().length > 0;
    const isSame = !row || row.dataset.segment === label(id);
    (isVisible && isSame ? opener : this.parts.scroller).focus();
  }

  /**
   * @template {Prediction | Observation} Item
   * @param {Item[]} items
   * @param {Item} item
   */
  #append(items, item) {
    if (this.#seen.has(item)) return;
    this.#seen.add(item);
    items.push(item);
    if (items.length > MAX_HISTORY) items.shift();
    this.#isChanged = true;
  }

  /**
   * @param {string} id
   * @param {Store} store
   */
  #draw(id, { usual }) {
    this.#isChanged = false;
    const horizon = typeof this.#time === "number" ? this.#time : horizonOf(this.#history);
    const series = seriesOf(this.#history, horizon, this.#observations);
    const { x: times, actual, error, noChange } = series;
    const { x, place, low, median, high } = withUsual(times, (atMs) => usual?.onDay(id, atMs) ?? null);
    /** @param {(number | null)[]} values */
    const on = (values) => (x.length === times.length ? values : spread(values, place, x.length));
    const lines = { low, median, high, lower: on(series.lower), upper: on(series.upper), measured: on(actual), predicted: on(series.predicted), error: on(error) };
    this.chart.draw(x, lines);
    const usualErrors = series.judge.map((actual, at) => difference(median[place[at]], actual ?? undefined));
    const given = { horizon, score: scoreOf(error), noChange: scoreOf(noChange), usual: scoreOf(usualErrors), coverage: coverageOf(series), unit: this.unit };
    const accuracy = this.#history.length === 0 ? t("drawer.no_predictions") : accuracyText(given);
    setText(this.parts.chartNote, accuracy);
    setAttribute(this.parts.chart, "data-points", String(times.length));
    setAttribute(this.parts.chart, "aria-label", chartText({ lines, accuracy, unit: this.unit }));
  }
}
