/**
 * The drawer: one segment with its facts and a chart. It is written in place, so that it survives every update.
 *
 * uPlot (static/vendor) is loaded when the first drawer opens: who only watches the map needs no charts.
 */
import { horizonOf, scoreOf, seriesOf } from "../series.js";
import { change, judged, label, speed, UNIT_LABELS } from "./format.js";
import { parts, setAttribute, setText } from "./elements.js";
import { PopupContent } from "./popup.js";

const CHART_HEIGHT = 200;
const MOST_HISTORY = 2_000;

export class DrawerView {
  #id = null;
  #history = [];
  #chart = null;
  #isDirty = false;
  #newest = null;
  #opener = null;

  constructor(root, { config, onClose }) {
    this.parts = parts(root);
    this.config = config;
    this.unit = UNIT_LABELS[config.speed_unit];
    this.facts = new PopupContent({ unit: config.speed_unit, onDetails: () => {} });
    this.facts.parts.popupDetails.hidden = true;
    this.parts.drawerFacts.replaceChildren(this.facts.element);
    this.parts.drawerClose.addEventListener("click", onClose);
    new ResizeObserver(() => this.#resize()).observe(this.parts.chart);
  }

  get isOpen() {
    return !this.parts.drawer.hidden;
  }

  /** Open for a segment; its history comes later, by `tell`. */
  open(id, takesFocus) {
    this.#id = id;
    this.#history = [];
    this.#newest = null;
    this.#isDirty = true;
    if (!this.parts.drawer.contains(document.activeElement)) this.#opener = document.activeElement;
    this.parts.drawer.hidden = false;
    this.parts.panel.hidden = true;
    setText(this.parts.chartNote, "Reading the history …");
    setAttribute(this.parts.drawer, "aria-label", `Segment ${label(id)}`);
    if (takesFocus) this.parts.drawerClose.focus();
    loadCharts(this.config.charts);
  }

  close() {
    if (!this.isOpen) return;
    const hadFocus = this.parts.drawer.contains(document.activeElement);
    const id = this.#id;
    this.#id = null;
    this.parts.drawer.hidden = true;
    this.parts.panel.hidden = false;
    if (hadFocus) this.#giveFocusBack(id);
  }

  /** To what opened it; a row may have become another segment's since, and a popup be gone: then to the table. */
  #giveFocusBack(id) {
    const opener = this.#opener;
    const row = opener?.closest("tr");
    const isThere = opener?.getClientRects().length > 0 && opener !== document.body && (!row || row.segment === id);
    (isThere ? opener : this.parts.scroller).focus();
  }

  /** Take in a segment's history, oldest first; null when it could not be had. */
  tell(id, history) {
    if (id !== this.#id) return;
    this.#isDirty = true;
    if (history === null) setText(this.parts.chartNote, "The history could not be read; new values appear here.");
    else this.#history = [...history, ...this.#history];
  }

  render(store) {
    if (!this.isOpen) return;
    const prediction = store.segments.get(this.#id);
    this.facts.render(store, this.#id);
    if (prediction && prediction !== this.#newest) this.#append(prediction);
    if (this.#isDirty && globalThis.uPlot) this.#draw();
  }

  /** Take up the colours of another theme. */
  recolour() {
    this.#chart?.destroy();
    this.#chart = null;
    this.#isDirty = true;
  }

  #append(prediction) {
    this.#newest = prediction;
    this.#history.push(prediction);
    if (this.#history.length > MOST_HISTORY) this.#history.shift();
    this.#isDirty = true;
  }

  #draw() {
    this.#isDirty = false;
    const horizon = horizonOf(this.#history);
    const { x, actual, predicted, error, still } = seriesOf(this.#history, horizon);
    this.#chart ??= this.#makeChart();
    this.#chart.setData([x, actual, predicted, error]);
    const verdict = judged({ horizon, score: scoreOf(error), persistence: scoreOf(still), unit: this.unit });
    setText(this.parts.chartNote, verdict);
    setAttribute(this.parts.chart, "data-points", String(x.length));
    setAttribute(this.parts.chart, "aria-label", this.#inWords(actual, predicted, verdict));
  }

  #inWords(actual, predicted, verdict) {
    const last = (values) => speed(values.findLast((each) => each !== null));
    return `Chart: measured ${last(actual)}, predicted ${last(predicted)} ${this.unit}; ${verdict}`;
  }

  #makeChart() {
    const { uPlot } = globalThis;
    const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    const axis = { stroke: colour("ink-soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line") } };
    const joined = { spanGaps: true, points: { size: 5 }, value: (_, value) => speed(value) };
    const options = {
      ...this.#size(),
      series: [
        { value: "{HH}:{mm}" },
        { label: "Measured", stroke: colour("ink"), width: 2, ...joined },
        { label: "Predicted", stroke: colour("accent"), width: 2, dash: [6, 4], ...joined },
        { label: "Error", stroke: colour("bad"), width: 1, scale: "error", ...joined, value: (_, value) => change(value) },
      ],
      axes: [
        { ...axis, values: [[60, "{HH}:{mm}", null, null, null, null, null, null, 1], [1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1]] },
        { ...axis, size: 42, label: this.unit, labelSize: 18 },
        { ...axis, scale: "error", side: 1, size: 42, grid: { show: false }, values: (_, ticks) => ticks.map(change) },
      ],
      legend: { live: true },
    };
    return new uPlot(options, [[], [], [], []], this.parts.chart);
  }

  #size() {
    return { width: Math.max(200, this.parts.chart.clientWidth), height: CHART_HEIGHT };
  }

  #resize() {
    if (this.#chart && this.parts.chart.clientWidth) this.#chart.setSize(this.#size());
  }
}

function loadCharts({ script, style }) {
  if (document.querySelector("[data-charts]")) return;
  const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: style });
  const code = Object.assign(document.createElement("script"), { src: script });
  code.dataset.charts = "";
  document.head.append(link, code);
}
