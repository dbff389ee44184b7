/**
 * The page of one road: makes its views, and renders them from the state.
 *
 * @import { RoadPast } from "../road-past.js"
 * @import { Row } from "../road-rows.js"
 * @import { Store } from "../store.js"
 * @import { Config, Shown } from "../types.d.ts"
 * @import { UsualSpeeds } from "../usual.js"
 */
import { Crossings, saysNoPlace } from "../crossings.js";
import { columnsOf, predictedFor, speedAt, targetsOf } from "../diagram.js";
import { Jams, LEAST_MPH } from "../jams.js";
import { RoadRows } from "../road-rows.js";
import { fromMph } from "../speeds.js";
import { t } from "../texts.js";
import { travelTime } from "../travel-time.js";
import { BannerView } from "./banner.js";
import { DiagramView } from "./diagram.js";
import { withDisplay } from "./display.js";
import { parts, setAttribute, setText } from "./elements.js";
import { brief, clock, distance, DISTANCE_LABELS, fixed, horizonText, label, ranges, UNIT_LABELS, zoneOf } from "./format.js";
import { placeIn } from "./jam-wording.js";
import { JamsView } from "./jams.js";
import { PillView } from "./pill.js";
import { RoadFiguresView } from "./road-figures.js";
import { cellText, diagramText, differenceText, missingText, pastText } from "./road-wording.js";
import { ThemeView } from "./theme.js";

/** The diagram changes with each minute of the past: more often than once a second can't be seen. */
const DRAW_MS = 1_000;
const MAX_COLUMNS = 6;

export class RoadPageView {
  #drawnAt = -Infinity;
  #crossings = new Crossings();
  /** @type {ReadonlyMap<string, Shown>} the segments of all roads, for names of places */
  #everywhere = new Map();
  /** Whether there was a usual speed: the column stays while those of the next quarter-hour are requested. */
  #hasUsual = false;

  /**
   * @param {Document} root
   * @param {{ config: Config, store: Store, road: string, past: RoadPast, usual: UsualSpeeds, prefix: string, actions: { render(): void, retry(): void, onHours(hours: number): void } }} given
   */
  constructor(root, { config, store, road, past, usual, prefix, actions }) {
    this.config = config;
    this.store = store;
    this.road = road;
    this.past = past;
    this.usual = usual;
    this.parts = parts(root);
    this.unit = UNIT_LABELS[config.speed_unit];
    this.rows = new RoadRows(road);
    this.jams = new Jams();
    this.pill = new PillView(root, { onRetry: actions.retry });
    this.banner = new BannerView(root);
    this.jamsView = new JamsView(root, { config, jams: this.jams, onChoose: () => this.parts.diagram.focus() });
    const { scale } = store;
    this.diagram = new DiagramView(root, { scale, onResize: actions.render });
    const linkOf = (/** @type {string} */ id) => withDisplay(`${prefix}/predictions?segment=${encodeURIComponent(id)}&details=1`);
    this.figures = new RoadFiguresView(root, { scale, unit: this.unit, linkOf });
    this.theme = new ThemeView(/** @type {HTMLElement} */ (root.getElementById("theme")), () => this.diagram.recolour());
    const hours = /** @type {HTMLSelectElement} */ (/** @type {unknown} */ (this.parts.hours));
    hours.value = String(past.hours);
    hours.addEventListener("change", () => actions.onHours(Number(hours.value)));
    const texts = ranges(config.thresholds_mph, config.speed_unit);
    for (const [category, text] of Object.entries(texts)) setText(this.parts[`range-${category}`], `${text} ${this.unit}`);
    const least = `${brief(fromMph(LEAST_MPH, config.speed_unit))} ${this.unit}`;
    setText(this.parts.leastSpeed, t("road.least", { speed: least }));
  }

  /** @param {Map<string, number>} lengths kilometres by segment */
  setLengths(lengths) {
    this.rows.setLengths(lengths);
    this.jams.setLengths(lengths);
  }

  /** @param {Shown[]} segments those of all roads */
  setEverywhere(segments) {
    this.#everywhere = new Map(segments.map((each) => [each.segment_id, each]));
  }

  /** The newest time that is shown: by the server's clock, or of the replay. */
  get now() {
    return this.store.ages.replayMs ?? this.store.ages.serverNow;
  }

  /**
   * Render in steps, one per frame.
   *
   * @param {boolean} inFull the diagram, too
   * @returns {Generator<void, void>}
   */
  *render(inFull) {
    const { store } = this;
    const wall = Date.now();
    this.pill.render(store, wall, {});
    this.banner.render(store, wall);
    this.banner.renderReplay(store.ages.replayMs, store.ages.staleReplaySeconds);
    document.body.toggleAttribute("data-kept", store.keptSince !== null);
    const startedAt = performance.now();
    if (!inFull && startedAt - this.#drawnAt < DRAW_MS) return;
    this.#drawnAt = startedAt;
    const { rows, more, isOrdered } = this.rows.of(store.segments);
    this.#renderState(rows, more);
    yield;
    this.#renderTimes(rows);
    this.#renderTable(rows);
    yield;
    this.#renderDiagram(rows, isOrdered);
    yield;
    this.jamsView.render(store);
    void this.usual.load(); // what was shown without it
  }

  /**
   * @param {Row[]} rows
   * @param {number} more
   */
  #renderState(rows, more) {
    const { store, past } = this;
    const isEmpty = store.hasView && rows.length === 0;
    this.parts.empty.hidden = !isEmpty;
    this.parts.content.hidden = rows.length === 0;
    this.parts.waiting.hidden = store.hasView || rows.length > 0;
    setText(this.parts.more, more > 0 ? t("road.more", { shown: rows.length, count: more }) : "");
    setText(this.parts.zone, zoneOf(this.now));
    const { state, gap, measurements } = past;
    setText(this.parts.pastNote, pastText({ state, gap, firstMs: measurements.firstMs, wantedMs: this.now - past.keepMs + measurements.binMs }));
    setAttribute(this.parts.content, "data-past", state);
  }

  /** @param {Row[]} rows */
  #renderTimes(rows) {
    const { store } = this;
    const { scale } = store;
    const times = (/** @type {(row: Row) => number | null} */ speedOf) => travelTime(rows, speedOf, scale);
    const now = times(({ shown }) => store.currentSpeeds(shown).now);
    const usual = times(({ id }) => this.#usualOf(id));
    const hasUsual = usual.minutes !== null;
    const delay = now.delay === null ? "" : now.delay < 0.05 ? t("road.no_delay") : t("road.delay", { minutes: fixed(now.delay, 1) });
    // Segments of unknown length are the same ones at all times: the first figure says it.
    const covered = (/** @type {string} */ text, /** @type {typeof now} */ time, kind = "predicted") =>
      [text, missingText(time === now ? time : { ...time, unknown: 0 }, rows.length, kind)].filter(Boolean).join(". ");
    const figures = [{ name: t("road.now"), time: now, note: covered([delay, hasUsual && differenceText(now, usual, "usual")].filter(Boolean).join(", "), now, "measured") }];
    const targets = targetsOf(rows, store);
    for (const horizon of this.#horizons()) {
      const time = times(({ id }) => predictedFor(id, horizon, store));
      const name = horizon === null ? t("predicted") : `${horizonText(horizon)} · ${clock(targets.get(horizon) ?? this.now + 60_000 * horizon)}`;
      figures.push({ name, time, note: covered(differenceText(time, now, "now"), time) });
    }
    if (hasUsual) figures.push({ name: t("road.usual"), time: usual, note: covered(t("road.usual_note"), usual, "usual") });
    this.figures.renderTimes(figures);
    const km = rows.reduce((sum, row) => sum + (row.km ?? 0), 0);
    const length = km > 0 ? `${this.#distance(km)} · ` : "";
    setText(this.parts.extent, `${length}${t("segments", { count: rows.length })}`);
  }

  /** @param {Row[]} rows */
  #renderTable(rows) {
    const { store } = this;
    const columns = [{ title: t("road.now"), speedOf: (/** @type {Row} */ { shown }) => store.currentSpeeds(shown).now }];
    for (const horizon of this.#horizons()) {
      const title = horizon === null ? t("predicted") : horizonText(horizon);
      columns.push({ title, speedOf: ({ id }) => predictedFor(id, horizon, store) });
    }
    this.#hasUsual ||= rows.some(({ id }) => this.#usualOf(id) !== null);
    if (this.#hasUsual) columns.push({ title: t("usual"), speedOf: ({ id }) => this.#usualOf(id) });
    const distanceTitle = t("road.from_start", { unit: DISTANCE_LABELS[this.config.speed_unit] });
    const distanceOf = (/** @type {Row} */ { from, km }) => (km === null ? "–" : distance(from, this.config.speed_unit));
    this.figures.renderTable(rows, columns, { nameOf: (row) => this.#nameOf(row), distanceOf, distanceTitle });
  }

  /**
   * @param {Row[]} rows
   * @param {boolean} isOrdered
   */
  #renderDiagram(rows, isOrdered) {
    const { store, now } = this;
    const { measurements, keepMs } = this.past;
    const columns = columnsOf({ now, pastMs: keepMs, measurements, horizons: store.forecasts.horizons, targets: targetsOf(rows, store) });
    const given = { measurements, store };
    const speeds = rows.flatMap((row) => {
      const { now: speed } = store.currentSpeeds(row.shown);
      return speed === null ? [] : [{ place: this.#nameOf(row), speed }];
    });
    const slowest = speeds.length ? speeds.reduce((least, each) => (each.speed < least.speed ? each : least)) : null;
    const [from, to] = [columns[0]?.from ?? now, columns.at(-1)?.to ?? now];
    this.diagram.render({
      rows,
      columns,
      now,
      isOrdered,
      speedOf: (row, column) => speedAt(row, column, given),
      nameOf: (row) => this.#nameOf(row),
      textOf: (row, column) => cellText({ place: this.#nameOf(row), distance: row.km === null ? "" : this.#distance(row.from), column, speed: speedAt(row, column, given), unit: this.unit }),
      summary: diagramText({ road: label(this.road), from, to, slowest, unit: this.unit }),
    });
    setText(this.parts.summary, diagramText({ road: label(this.road), from, to, slowest, unit: this.unit }));
  }

  /** The horizons in the future that figures and table have room for. */
  #horizons() {
    const all = this.store.forecasts.horizons;
    const stated = all.filter((each) => each !== null && each > 0);
    return (stated.length ? stated : all.filter((each) => each === null)).slice(0, MAX_COLUMNS);
  }

  /** @param {string} id */
  #usualOf(id) {
    return this.usual.at(id, this.now)?.median ?? null;
  }

  /** @param {number} km */
  #distance(km) {
    return `${distance(km, this.config.speed_unit)} ${DISTANCE_LABELS[this.config.speed_unit]}`;
  }

  /**
   * The place in the road name, or the nearest other road, or the segment.
   *
   * @param {Row} row
   */
  #nameOf({ id, shown }) {
    const place = placeIn(shown.road_name);
    if (place !== "") return place;
    const crossing = saysNoPlace(shown.road_name) ? this.#crossings.near(this.#everywhere, id) : null;
    return crossing === null ? label(id) : t("near", { place: label(crossing) });
  }
}
