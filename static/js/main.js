/** Joins store, connection and views. Whatever happens between two frames is shown by one rendering. */
import { Alerts } from "./alerts.js";
import { Api } from "./api.js";
import { Connection } from "./connection.js";
import { Store } from "./store.js";
import { Rows } from "./rows.js";
import { drawn } from "./network.js";
import { narrows, readQuery, sortBy, toggleGroup, writeQuery } from "./query.js";
import { Tabs } from "./tabs.js";
import { TimeTravel } from "./time-travel.js";
import { pollingTransport } from "./transports/polling.js";
import { sseTransport } from "./transports/sse.js";
import { webSocketTransport } from "./transports/websocket.js";
import { AlertsView } from "./view/alerts.js";
import { BannerView } from "./view/banner.js";
import { DrawerView } from "./view/drawer.js";
import { FinderView } from "./view/finder.js";
import { kafkaIsAway } from "./view/format.js";
import { MapView } from "./view/map.js";
import { KeysView } from "./view/keys.js";
import { PillView } from "./view/pill.js";
import { ScoresView } from "./view/scores.js";
import { SummaryView } from "./view/summary.js";
import { TableView } from "./view/table.js";
import { TimelineView } from "./view/timeline.js";
import { ThemeView } from "./view/theme.js";

const TICK_MS = 200;
const KEEP_TIME_MS = 500;
const RETRY_MS = 10_000;

const config = JSON.parse(document.getElementById("config").textContent);
const base = document.body.dataset.root;

const store = new Store({ intervalSeconds: config.expected_interval_seconds });
const alerts = new Alerts({ unit: config.speed_unit });
const transports = [
  sseTransport({ url: `${base}/predictions/stream`, heartbeatSeconds: config.heartbeat_seconds }),
  webSocketTransport({
    url: `${location.origin}${base}/predictions/ws`,
    heartbeatSeconds: config.heartbeat_seconds,
  }),
  pollingTransport({
    url: `${base}/api/predictions`,
    healthUrl: `${base}/api/health`,
    everySeconds: config.poll_seconds,
  }),
];

function connect({ cursor, ...listeners }) {
  const made = new Connection({ transports, ...listeners });
  made.cursor = cursor;
  return made;
}

const listeners = {
  onMessage: (message) => {
    alerts.apply(message);
    store.apply(message);
  },
  onState: (state) => store.connect(state),
};
const connection = globalThis.BroadcastChannel
  ? new Tabs({
      channel: new BroadcastChannel(`greenwave ${base}`),
      connect,
      snapshot: () => store.messages(),
      ...listeners,
    })
  : connect({ cursor: null, ...listeners });
store.connect(connection.state);

let query = readQuery(location.search);
let frame = 0;

function ask(next) {
  query = next;
  history.replaceState(null, "", location.pathname + writeQuery(query, location.search) + location.hash);
  renderSoon();
}

/** Select a segment on map and table, null for none; `inFull` opens the drawer. */
function select(id, inFull = drawerView.isOpen) {
  if (id !== null && inFull && !embedded) openDrawer(id);
  else if (id === null) drawerView.close();
  ask({ ...query, segment: id });
}

async function openDrawer(id) {
  asked?.abort();
  asked = new AbortController();
  drawerView.open(id);
  try {
    drawerView.tell(id, (await api.segment(id, asked.signal))?.history ?? []);
  } catch (error) {
    if (error.name !== "AbortError") drawerView.tell(id, null);
  }
  renderSoon();
}

function togglePause() {
  if (past.state === "there") return;
  if (store.paused) store.goOn();
  else store.pause();
}

/** A network that can't be had leaves the roads that the segments make. */
async function drawNetwork() {
  try {
    mapView.setNetwork(drawn(await api.network()));
  } catch {
    setTimeout(drawNetwork, RETRY_MS);
  }
}

async function travelTo(time) {
  await past.begin(store);
  past.seek(time);
}

function backToNow() {
  past.end();
  if (store.paused) store.goOn();
}

const api = new Api({ root: base });
const embedded = "embed" in document.body.dataset;
let asked = null;
const past = new TimeTravel({ api, intervalSeconds: config.expected_interval_seconds, onChange: renderSoon });
const timelineView = new TimelineView(document, {
  onPause: togglePause,
  onTravel: () => past.begin(store),
  onSeek: (time) => past.seek(time),
  onPlay: () => past.play(() => timelineView.speed),
  onLive: backToNow,
});
const alertsView = new AlertsView(document, {
  config,
  onSelect: (id) => select(id, true),
  onAcknowledge: (id) => alerts.acknowledge(id) ?? renderSoon(),
  onAcknowledgeAll: () => alerts.acknowledgeAll() ?? renderSoon(),
});
if (!embedded) new KeysView(document, { onPause: togglePause, onLive: backToNow });
const drawerView = new DrawerView(document, { config, onClose: () => select(null) });
const mapView = new MapView(document, {
  config,
  view: query.view,
  onSelect: select,
  onView: (view) => ask({ ...query, view }),
});
const pillView = new PillView(document, { onRetry: () => connection.retryNow() });
const bannerView = new BannerView(document);
const summaryView = new SummaryView(document, { config, onToggle: (group) => ask(toggleGroup(query, group)) });
const scoresView = new ScoresView(document, { config });
const rows = new Rows(store);
const finderView = new FinderView(document, {
  rows,
  onWords: (words) => ask({ ...query, words }),
  onRoad: (road) => ask({ ...query, road }),
  onClear: () => ask({ ...query, words: "", road: null, groups: [] }),
});
const tableView = new TableView(document, {
  rows,
  config,
  onSort: (column) => ask(sortBy(query, column)),
  onSelect: (id) => select(id, true),
  onNeed: renderSoon,
});
new ThemeView(document.getElementById("theme"), () => {
  mapView.recolour();
  drawerView.recolour();
  renderSoon();
});

let before = store;
let keptAt = 0;

/** Keep the moment of the past in the URL, though not at every step: browsers refuse to change it so often. */
function keepTime(now) {
  const at = past.state === "there" ? past.time : null;
  if (past.state === "reading" || past.playing || at === query.at || now - keptAt < KEEP_TIME_MS) return;
  keptAt = now;
  ask({ ...query, at });
}

function render() {
  frame = 0;
  const now = Date.now();
  const isPast = past.state === "there";
  const shown = isPast ? past.store : store;
  const changes = shown.takeChanges();
  if (shown !== before) changes.replaced = true;
  before = shown;
  pillView.render(store, now, isPast ? { time: past.time } : { paused: store.paused, waiting: store.waiting });
  timelineView.render({ paused: store.paused, past });
  bannerView.render(store, now);
  alertsView.render(alerts.list());
  summaryView.render(shown, query);
  scoresView.render(store);
  const listed = tableView.render(shown, query, changes.replaced);
  finderView.render(shown, query, listed.length);
  mapView.render(shown, query, changes, narrows(query) ? new Set(listed) : null, now);
  mapView.select(query.segment, drawerView.isOpen);
  drawerView.render(shown);
  const isHeld = store.connection.lostAt !== null || kafkaIsAway(store.consumer);
  document.body.toggleAttribute("data-held", isHeld && !isPast);
  document.body.toggleAttribute("data-past", isPast);
  keepTime(now);
}

function renderSoon() {
  if (frame === 0) frame = requestAnimationFrame(render);
}

store.subscribe(renderSoon);
setInterval(renderSoon, TICK_MS);
matchMedia("print").addEventListener("change", ({ matches }) => {
  tableView.print(matches);
  render();
});
window.addEventListener("online", () => connection.retryNow());
window.addEventListener("offline", renderSoon);
window.addEventListener("pagehide", () => connection.stop());
// Back from the browser's cache of pages.
window.addEventListener("pageshow", ({ persisted }) => persisted && connection.start());
if (config.has_network) drawNetwork();
if (query.at !== null) travelTo(query.at);
window.addEventListener("popstate", () => {
  query = readQuery(location.search);
  renderSoon();
});
connection.start();
