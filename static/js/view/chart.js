/**
 * The chart of a segment's history: measured and predicted speeds, and errors. It survives updates of its data.
 *
 * uPlot (static/vendor) is loaded for the first chart, since most visits show none.
 *
 * @import { Config, SpeedUnit } from "../types.d.ts"
 */
import { fromMph } from "../speeds.js";
import { change, fullScale, speed, UNIT_LABELS } from "./format.js";

const HEIGHT = 200;
/** In a low window the chart is lower, so that it is seen whole beside the map. */
const LOW_HEIGHT = 150;
const LOW_WINDOW = "(max-height: 860px)";
const LEAST_ERROR_MPH = 20;
const MIN_WIDTH = 200;
const HOURS = [60, "{HH}:{mm}", null, null, null, null, null, null, 1];
const SECONDS = [1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1];

export class Chart {
  /** @type {any} uPlot has no types */
  #plot = null;

  /** @param {{ element: HTMLElement, unit: SpeedUnit, files: Config["charts"] }} options */
  constructor({ element, unit, files }) {
    this.element = element;
    this.unit = unit;
    this.files = files;
    new ResizeObserver(() => this.#resize()).observe(element);
  }

  /** Load the library, unless it has been requested before. */
  load() {
    if (document.querySelector("[data-charts]")) return;
    const { script, style } = this.files;
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: style });
    const code = Object.assign(document.createElement("script"), { src: script });
    code.dataset.charts = "";
    document.head.append(link, code);
  }

  get isLoaded() {
    return Boolean(globalThis.uPlot);
  }

  /** @param {(number | null)[][]} data times, measured, predicted, errors */
  draw(data) {
    this.#plot ??= new globalThis.uPlot(this.#options(), [[], [], [], []], this.element);
    this.#plot.setData(data);
  }

  /** Remove the chart; the next draw() makes it with the colours of the current theme. */
  reset() {
    this.#plot?.destroy();
    this.#plot = null;
  }

  #options() {
    const style = getComputedStyle(document.documentElement);
    /** @param {string} name */
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const axis = { stroke: colour("ink-soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line") } };
    /** @param {(value: number | null) => string} format */
    const line = (format) => ({
      spanGaps: true,
      points: { size: 5 },
      value: (/** @type {unknown} */ _, /** @type {number | null} */ value) => format(value),
    });
    const full = fullScale(this.unit);
    const leastError = fromMph(LEAST_ERROR_MPH, this.unit);
    const changes = (/** @type {unknown} */ _, /** @type {number[]} */ ticks) => ticks.map(change);
    return {
      ...this.#size(),
      series: [
        { value: "{HH}:{mm}" },
        { label: "Measured", stroke: colour("ink"), width: 2, ...line(speed) },
        { label: "Predicted", stroke: colour("accent"), width: 2, dash: [6, 4], ...line(speed) },
        { label: "Error", stroke: colour("bad"), width: 1, scale: "error", ...line(change) },
      ],
      axes: [
        { ...axis, values: [HOURS, SECONDS] },
        { ...axis, size: 42, label: UNIT_LABELS[this.unit], labelSize: 18 },
        { ...axis, scale: "error", side: 1, size: 52, grid: { show: false }, values: changes },
      ],
      // The same scales for every segment, so that a small change doesn't look large.
      scales: {
        y: { range: (/** @type {unknown} */ _, /** @type {number | null} */ low, /** @type {number | null} */ high) => [Math.min(0, low ?? 0), Math.max(full, high ?? 0)] },
        error: { range: (/** @type {unknown} */ _, /** @type {number | null} */ low, /** @type {number | null} */ high) => around(leastError, low, high) },
      },
      hooks: { setScale: [(/** @type {any} */ plot, /** @type {string} */ key) => key === "y" && this.#noteScale(plot.scales.y)] },
      legend: { live: true },
    };
  }

  /** @param {{ min: number, max: number }} scale */
  #noteScale({ min, max }) {
    this.element.dataset.scale = `${min} to ${max}`;
  }

  #size() {
    return { width: Math.max(MIN_WIDTH, this.element.clientWidth), height: matchMedia(LOW_WINDOW).matches ? LOW_HEIGHT : HEIGHT };
  }

  #resize() {
    if (this.#plot && this.element.clientWidth) this.#plot.setSize(this.#size());
  }
}

/**
 * Return a range around 0 that holds the values.
 *
 * @param {number} least
 * @param {number | null} low
 * @param {number | null} high
 * @returns {[number, number]}
 */
function around(least, low, high) {
  const most = Math.max(least, Math.abs(low ?? 0), Math.abs(high ?? 0));
  return [-most, most];
}
