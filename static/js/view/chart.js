/**
 * The chart of a segment's history: measured and predicted speeds with their intervals, errors, and the usual speed as a
 * band behind them. Lines are interrupted where nothing is known for long. It survives updates of its data.
 *
 * uPlot (static/vendor) is loaded for the first chart, since most visits show none.
 *
 * @import { Config, SpeedUnit } from "../types.d.ts"
 * @typedef {"low" | "median" | "high" | "lower" | "upper" | "measured" | "predicted" | "error"} Line
 */
import { STALE_INTERVALS } from "../freshness.js";
import { silencesOf } from "../series.js";
import { fromMph } from "../speeds.js";
import { t } from "../texts.js";
import { themeColour } from "./colours.js";
import { change, chosenZone, converted, fullScale, range, signed, speed, UNIT_LABELS } from "./format.js";

const HEIGHT = 200;
/** In a low window the chart is lower, so that it is seen whole beside the map. */
const LOW_HEIGHT = 150;
const LOW_WINDOW = "(max-height: 860px)";
const LEAST_ERROR_MPH = 20;
const MIN_WIDTH = 200;
const HOURS = [60, "{HH}:{mm}", null, null, null, null, null, null, 1];
const SECONDS = [1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1];
/** @type {Line[]} in the order in which they are drawn; the time comes first in uPlot's lists */
const LINES = ["low", "high", "median", "lower", "upper", "measured", "predicted", "error"];
/** The edges of the bands, which are shown and hidden with another line, and have no entry in the legend. */
/** @type {Record<string, Line[]>} */
const EDGES = { median: ["low", "high"], predicted: ["lower", "upper"] };

export class Chart {
  /** @type {any} uPlot has no types */
  #plot = null;
  #hasUsual = false;
  /** @type {Record<Line, (number | null)[]>} in the unit of the server, as the legend converts them */
  #lines = { low: [], median: [], high: [], lower: [], upper: [], measured: [], predicted: [], error: [] };

  /** @param {{ element: HTMLElement, unit: SpeedUnit, files: Config["charts"], intervalSeconds: number }} options */
  constructor({ element, unit, files, intervalSeconds }) {
    this.element = element;
    this.silenceSeconds = STALE_INTERVALS * intervalSeconds;
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

  /**
   * @param {number[]} times epoch seconds
   * @param {Record<Line, (number | null)[]>} lines
   */
  draw(times, lines) {
    const hasUsual = lines.median.some((each) => each !== null);
    if (hasUsual !== this.#hasUsual) this.reset(); // the legend has another entry
    this.#hasUsual = hasUsual;
    this.#plot ??= new globalThis.uPlot(this.#options(), [[], ...LINES.map(() => [])], this.element);
    this.#lines = lines;
    this.#plot.setData([times, ...LINES.map((name) => lines[name].map(converted))]);
    this.element.dataset.lines = LINES.filter((name) => lines[name].some((each) => each !== null)).join(" ");
  }

  /** Remove the chart; the next draw() makes it with the colours of the current theme. */
  reset() {
    this.#plot?.destroy();
    this.#plot = null;
  }

  #options() {
    const colour = themeColour();
    const axis = { stroke: colour("ink-soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line") } };
    // The lines have their values at different times: only silences are gaps.
    const gaps = (/** @type {any} */ plot, /** @type {number} */ series) =>
      silencesOf(plot.data[0], plot.data[series], this.silenceSeconds).map((ends) => ends.map((at) => plot.valToPos(at, "x", true)));
    /** @param {(value: number | null) => string} format */
    const line = (format) => ({
      gaps,
      points: { size: 5 },
      value: (/** @type {unknown} */ _, /** @type {unknown} */ __, /** @type {number} */ series, /** @type {number | null} */ at) => format(this.#valueOf(series, at)),
    });
    /** @param {string} stroke */
    const edge = (stroke) => ({ label: t("chart.value"), class: "edge", stroke: colour(stroke), width: 1, points: { show: false } });
    const stepped = { paths: globalThis.uPlot.paths.stepped({ align: 1 }), points: { show: false } };
    const [low, high, lower, upper] = ["low", "high", "lower", "upper"].map(placeOf);
    /** @type {(below: number, above: number) => (plot: unknown, value: unknown, series: number, at: number | null) => string} */
    const ranged = (below, above) => (_, __, series, at) => {
      const [own, least, most] = [series, below, above].map((each) => this.#valueOf(each, at));
      return least !== null && most !== null ? `${speed(own)} (${range(least, most)})` : speed(own);
    };
    const full = fullScale(this.unit);
    const leastError = fromMph(LEAST_ERROR_MPH, this.unit);
    const changes = (/** @type {unknown} */ _, /** @type {number[]} */ ticks) => ticks.map(signed);
    const timeZone = chosenZone();
    return {
      ...this.#size(),
      ...(timeZone && { tzDate: (/** @type {number} */ seconds) => globalThis.uPlot.tzDate(new Date(1000 * seconds), timeZone) }),
      series: [
        { label: t("time"), value: "{HH}:{mm}" },
        { ...edge("usual-edge"), ...stepped },
        { ...edge("usual-edge"), ...stepped },
        { label: t("usual"), class: this.#hasUsual ? "usual" : "edge", stroke: colour("usual-edge"), width: 2, dash: [2, 3], ...stepped, value: ranged(low, high) },
        { ...edge("accent"), dash: [1, 3], gaps },
        { ...edge("accent"), dash: [1, 3], gaps },
        { label: t("measured"), stroke: colour("ink"), width: 2, ...line(speed) },
        { label: t("predicted"), stroke: colour("accent"), width: 2, dash: [6, 4], ...line(speed), value: ranged(lower, upper) },
        { label: t("chart.error"), stroke: colour("bad"), width: 1, scale: "error", ...line(change) },
      ],
      bands: [
        { series: [high, low], fill: colour("usual") },
        { series: [upper, lower], fill: colour("interval") },
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
      hooks: { setSeries: [hideEdges], setScale: [(/** @type {any} */ plot, /** @type {string} */ key) => key === "y" && this.#noteScale(plot.scales.y)] },
      legend: { live: true },
    };
  }

  /**
   * @param {number} series its place in uPlot's lists
   * @param {number | null} at
   */
  #valueOf(series, at) {
    return at === null ? null : (this.#lines[LINES[series - 1]][at] ?? null);
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

/** @param {Line | string} name */
function placeOf(name) {
  return 1 + LINES.indexOf(/** @type {Line} */ (name));
}

/**
 * Show or hide the edges of a band with its line.
 *
 * @param {any} plot
 * @param {number | null} place
 * @param {{ show?: boolean }} options
 */
function hideEdges(plot, place, { show }) {
  if (place === null || show === undefined) return;
  for (const name of EDGES[LINES[place - 1]] ?? []) plot.setSeries(placeOf(name), { show });
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
