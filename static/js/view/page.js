/**
 * The page: makes all views, and renders them from the state. Lists are rendered at most twice a second.
 *
 * @import { Accuracy } from "../accuracy.js"
 * @import { Address } from "../address.js"
 * @import { Alerts } from "../alerts.js"
 * @import { Jams } from "../jams.js"
 * @import { SharedAcknowledgements } from "../shared-acknowledgements.js"
 * @import { Store } from "../store.js"
 * @import { TimeLink } from "../time-link.js"
 * @import { TimeTravel } from "../time-travel.js"
 * @import { Config } from "../types.d.ts"
 * @typedef {object} Actions what the user can do
 * @property {(id: string | null, withDetails?: boolean) => void} select
 * @property {(ids: string[]) => void} acknowledge
 * @property {() => void} acknowledgeAll
 * @property {(ids: string[], note: string, name: string) => void} note
 * @property {(ids: string[]) => void} undo
 * @property {() => void} retry
 * @property {() => void} togglePause
 * @property {(hours: number | null) => void} travel to the history that the server has in memory, or of so many hours
 * @property {() => void} goLive
 * @property {() => void} render
 * @property {(ids: string[]) => void} completeTrails
 * @property {() => void} loadUsual
 */
import { FRESH } from "../freshness.js";
import { narrows, sortBy, toggleGroup, WORST } from "../query.js";
import { Rows } from "../rows.js";
import { t } from "../texts.js";
import { AlertsView } from "./alerts.js";
import { BannerView } from "./banner.js";
import { DrawerView } from "./drawer.js";
import { FinderView } from "./finder.js";
import { JamsView } from "./jams.js";
import { KeysView } from "./keys.js";
import { MapView } from "./map.js";
import { PaperView } from "./paper.js";
import { PillView } from "./pill.js";
import { RefusalsView } from "./refusals.js";
import { ScoresView } from "./scores.js";
import { SummaryView } from "./summary.js";
import { TableView } from "./table.js";
import { ThemeView } from "./theme.js";
import { TimelineView } from "./timeline.js";
import { WhenView } from "./when.js";

const LISTS_MS = 500;

export class PageView {
  /** @type {Store | null} the store that was rendered last */
  #shown = null;
  #listsAt = -Infinity;

  /**
   * @param {Document} root
   * @param {object} parts
   * @param {Config} parts.config
   * @param {Store} parts.store
   * @param {Alerts} parts.alerts
   * @param {Jams} parts.jams
   * @param {SharedAcknowledgements} parts.shared
   * @param {Accuracy} parts.accuracy
   * @param {TimeTravel} parts.past
   * @param {TimeLink} parts.timeLink
   * @param {Address} parts.address
   * @param {boolean} parts.isOperated whether it has a user: it has keys, and lists jams that the filter excludes
   * @param {Actions} parts.actions
   */
  constructor(root, { config, store, alerts, shared, jams, accuracy, past, timeLink, address, isOperated, actions }) {
    this.store = store;
    this.alerts = alerts;
    this.shared = shared;
    this.past = past;
    this.timeLink = timeLink;
    this.address = address;
    this.root = root;
    root.body.style.setProperty("--kept-text", JSON.stringify(` (${t("freshness.kept")})`)); // shown by table.css
    const { select, render } = actions;
    const rows = new Rows(store);
    this.pill = new PillView(root, { onRetry: actions.retry });
    this.banner = new BannerView(root);
    this.summary = new SummaryView(root, { config, onToggle: (group) => address.change(toggleGroup(address.query, group)) });
    this.completeTrails = actions.completeTrails;
    this.loadUsual = actions.loadUsual;
    this.when = new WhenView(root, { onChoose: (time) => address.change({ time }) });
    this.scores = new ScoresView(root, { config, accuracy, onOpen: render });
    this.refusals = new RefusalsView(root);
    this.paper = new PaperView(root);
    this.timeline = new TimelineView(root, {
      onPause: actions.togglePause,
      onTravel: actions.travel,
      onSeek: (time) => past.seek(time),
      onPlay: () => past.togglePlay(() => this.timeline.speed),
      onLive: actions.goLive,
    });
    this.alertList = new AlertsView(root, {
      config,
      onSelect: (id) => select(id, true),
      onAcknowledge: actions.acknowledge,
      onAcknowledgeAll: actions.acknowledgeAll,
      onNote: actions.note,
      onUndo: actions.undo,
    });
    this.drawer = new DrawerView(root, { config, onClose: () => select(null) });
    this.map = new MapView(root, {
      config,
      view: address.query.view,
      onSelect: select,
      onView: (view) => address.change({ view }),
      onPredictions: (predictions) => address.change({ predictions }),
    });
    this.jams = new JamsView(root, { config, jams, root: root.body.dataset.root ?? "", onChoose: (ids) => this.map.fitTo(ids) });
    this.finder = new FinderView(root, {
      rows,
      onWords: (words) => address.change({ words }),
      onRoad: (road) => address.change({ road }),
      onWorst: () => address.change({ column: WORST, descending: false }),
      onClear: () => address.change({ words: "", road: null, groups: [] }),
    });
    this.table = new TableView(root, {
      rows,
      config,
      onSort: (column) => address.change(sortBy(address.query, column)),
      onSelect: (id) => select(id, true),
      onResize: render,
    });
    this.theme = new ThemeView(/** @type {HTMLElement} */ (root.getElementById("theme")), () => {
      this.map.recolour();
      this.drawer.recolour();
      render();
    });
    this.isOperated = isOperated;
    if (isOperated) {
      new KeysView(root, {
        onPause: actions.togglePause,
        onLive: actions.goLive,
        onSearch: () => this.finder.focus(),
        onClose: () => select(null),
      });
    }
  }

  /**
   * Render in steps, one per frame.
   *
   * @param {boolean} inFull the lists, too
   * @returns {Generator<void, void>}
   */
  *render(inFull) {
    const now = Date.now();
    const startedAt = performance.now();
    const shown = this.past.isThere ? this.past.store : this.store;
    const { query } = this.address;
    const changes = shown.takeChanges();
    if (shown !== this.#shown) changes.replaced = true;
    this.#shown = shown;
    this.#renderState(shown, now);
    this.when.render(shown, query);
    const listed = this.table.render(shown, query, changes.replaced);
    this.finder.render(shown, query, listed.length);
    yield;
    const matching = narrows(query) ? new Set(listed) : null;
    yield* this.map.render(shown, query, changes, { matching, isShownElsewhere: this.drawer.isOpen, now });
    this.drawer.render(shown);
    yield; // to the map's canvas, which is drawn in the frame after
    yield;
    // With the totals, whose time it is.
    this.banner.renderReplay(shown.ages.replayMs, shown.isPast ? null : shown.ages.staleReplaySeconds);
    this.summary.render(shown, query);
    if (!inFull && startedAt - this.#listsAt < LISTS_MS) return;
    yield;
    this.#listsAt = startedAt;
    const jams = this.jams.jams.update(shown);
    yield; // to find jams takes as long as to show them
    this.jams.render(shown, jams, this.isOperated ? null : matching);
    yield;
    this.#renderLists(shown, listed.length, now);
  }

  /** What is shown now, to be saved. */
  get view() {
    const { store, past, table, address } = this;
    return {
      store: this.#shown ?? store,
      query: address.query,
      ids: table.ids,
      time: past.isThere ? past.time : null,
      paused: store.paused,
    };
  }

  /**
   * Print all rows in the light theme, or end that.
   *
   * @param {boolean} onPaper
   */
  print(onPaper) {
    this.theme.print(onPaper);
    this.table.print(onPaper);
  }

  /**
   * @param {Store} shown
   * @param {number} now
   */
  #renderState(shown, now) {
    const { store, past } = this;
    const isPast = shown !== store;
    this.pill.render(store, now, isPast ? { time: past.time } : { paused: store.paused, waiting: store.waiting });
    this.timeline.render({ paused: store.paused, past });
    this.banner.render(store, now);
    this.root.body.toggleAttribute("data-kept", shown.keptSince !== null);
    this.root.body.toggleAttribute("data-past", isPast);
  }

  /**
   * @param {Store} shown
   * @param {number} count
   * @param {number} now
   */
  #renderLists(shown, count, now) {
    const { store, past } = this;
    const alerts = this.alerts.list((alert) => store.ages.freshness(alert) === FRESH);
    this.alertList.render(alerts, store, this.shared.error, this.alerts.learning > 0);
    this.scores.render(store, this.address.query.time);
    this.refusals.render(store);
    const time = shown === store ? null : past.time;
    if (time === null) this.completeTrails([...this.jams.segments, ...this.table.visible]);
    this.paper.render({ query: this.address.query, time, paused: store.paused, count, now });
    this.timeLink.write(now);
    this.loadUsual(); // what was shown without it, so after the first paint
  }
}
