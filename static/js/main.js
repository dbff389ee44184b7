/**
 * Joins store, connection and views. What the user does is shown whole in the next frame. What comes is shown five times
 * a second, since nobody reads figures that change faster, a step in each frame, so that none is held up; lists twice a
 * second.
 */
import { Acknowledged } from "./acknowledged.js";
import { Alerts } from "./alerts.js";
import { Api } from "./api.js";
import { Connection } from "./connection.js";
import { FRESH } from "./freshness.js";
import { Store } from "./store.js";
import { Rows } from "./rows.js";
import { drawn, linesOf } from "./network.js";
import { narrows, readQuery, sortBy, toggleGroup, writeQuery, writeSegments } from "./query.js";
import { Tabs } from "./tabs.js";
import { TimeTravel } from "./time-travel.js";
import { pollingTransport } from "./transports/polling.js";
import { sseTransport } from "./transports/sse.js";
import { webSocketTransport } from "./transports/websocket.js";
import { AlertsView } from "./view/alerts.js";
import { BannerView } from "./view/banner.js";
import { DrawerView } from "./view/drawer.js";
import { FinderView } from "./view/finder.js";
import { MapView } from "./view/map.js";
import { KeysView } from "./view/keys.js";
import { PaperView } from "./view/paper.js";
import { PillView } from "./view/pill.js";
import { ScoresView } from "./view/scores.js";
import { SummaryView } from "./view/summary.js";
import { TableView } from "./view/table.js";
import { TimelineView } from "./view/timeline.js";
import { UnreadView } from "./view/unread.js";
import { ThemeView } from "./view/theme.js";

const NEWS_MS = 200;
const LISTS_MS = 500;
const KEEP_TIME_MS = 500;
const RETRY_MS = 10_000;
const KEEP_ALERTS_MS = 30_000;
const MOST_EARLIER_PAGES = 10;

const config = JSON.parse(document.getElementById("config").textContent);
const base = document.body.dataset.root;

const store = new Store({ intervalSeconds: config.expected_interval_seconds, maxAgeSeconds: config.max_age_seconds });
const alerts = new Alerts({
  unit: config.speed_unit,
  intervalSeconds: config.expected_interval_seconds,
  maxAgeSeconds: config.max_age_seconds,
});
const acknowledged = new Acknowledged({ alerts, key: `greenwave.acknowledged ${base}` });
acknowledged.read();
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
    if (message.type === "initial" && !embedded) learnOfAlerts();
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
let steps = null;
let isAsked = false;
let newsTimer = null;
let begunAt = -Infinity;
let listsAt = -Infinity;

function ask(next) {
  query = next;
  history.replaceState(null, "", location.pathname + writeQuery(query, location.search) + location.hash);
  renderSoon();
}

/** Select a segment on map and table, null for none; `inFull` opens the drawer. */
function select(id, inFull = drawerView.isOpen) {
  if (id !== null && inFull && !embedded) openDrawer(id);
  else if (id === null) drawerView.close();
  ask({ ...query, segment: id, details: drawerView.isOpen });
}

/** Show what the address asks for beyond the lists: the drawer, and whether the map shows predictions. */
function follow() {
  const { segment, details, predictions } = query;
  if (details && segment !== null && !embedded) openDrawer(segment, false);
  else drawerView.close();
  if (showPredictions.checked === predictions) return;
  showPredictions.checked = predictions;
  showPredictions.dispatchEvent(new Event("change"));
}

async function openDrawer(id, takesFocus = true) {
  asked?.abort();
  asked = new AbortController();
  drawerView.open(id, takesFocus);
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
  renderSoon();
}

/** A network that can't be had leaves the roads that the segments make. */
async function drawNetwork() {
  try {
    mapView.setNetwork(drawn(await api.network()));
  } catch {
    setTimeout(drawNetwork, RETRY_MS);
  }
}

/** Without the outlines there is a map, too. */
async function drawOutlines() {
  const found = await api.outlines(config.outlines).catch(() => null);
  if (found) mapView.setOutlines(linesOf(found));
}

/** A view tells one step of each segment; whether an alert lasts already, and since when, earlier ones tell. */
async function learnOfAlerts() {
  const filter = writeSegments(alerts.unsure());
  if (filter === "") return;
  try {
    const earlier = [];
    for await (const page of api.history(undefined, filter, MOST_EARLIER_PAGES)) earlier.push(...page);
    alerts.learn(earlier);
    renderSoon();
  } catch {
    // Then alerts begin with what comes.
  }
}

function acknowledge(change) {
  change();
  acknowledged.write();
  renderSoon();
}

async function travelTo(time) {
  await past.begin(store);
  past.goTo(time);
}

function backToNow() {
  past.end();
  if (store.paused) store.goOn();
}

const showPredictions = document.querySelector("[data-part=showPredictions]");
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
  onAcknowledge: (id) => acknowledge(() => alerts.acknowledge(id)),
  onAcknowledgeAll: () => acknowledge(() => alerts.acknowledgeAll()),
});
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
const unreadView = new UnreadView(document);
const rows = new Rows(store);
const finderView = new FinderView(document, {
  rows,
  onWords: (words) => ask({ ...query, words }),
  onRoad: (road) => ask({ ...query, road }),
  onClear: () => ask({ ...query, words: "", road: null, groups: [] }),
});
if (!embedded) {
  new KeysView(document, {
    onPause: togglePause,
    onLive: backToNow,
    onSearch: () => finderView.focus(),
    onClose: () => select(null),
  });
}
const tableView = new TableView(document, {
  rows,
  config,
  onSort: (column) => ask(sortBy(query, column)),
  onSelect: (id) => select(id, true),
  onNeed: renderSoon,
});
const paperView = new PaperView(document);
const themeView = new ThemeView(document.getElementById("theme"), () => {
  mapView.recolour();
  drawerView.recolour();
  renderSoon();
});

let before = store;
let keptAt = 0;

/** Keep the moment of the past in the URL, though not at every step: browsers refuse to change it so often. */
function keepTime(now) {
  const at = past.state === "there" ? (past.missed ?? past.time) : null;
  if (past.state === "reading" || past.playing || at === query.at || now - keptAt < KEEP_TIME_MS) return;
  keptAt = now;
  ask({ ...query, at });
}

/** Show what there is, in steps; the lists not at each time unless `inFull`. */
function* rendering(inFull) {
  const now = Date.now();
  begunAt = performance.now();
  const isPast = past.state === "there";
  const shown = isPast ? past.store : store;
  const changes = shown.takeChanges();
  if (shown !== before) changes.replaced = true;
  before = shown;
  renderState(shown, now);
  const listed = tableView.render(shown, query, changes.replaced);
  finderView.render(shown, query, listed.length);
  yield;
  const matching = narrows(query) ? new Set(listed) : null;
  mapView.render(shown, query, changes, { matching, isShownElsewhere: drawerView.isOpen, now });
  drawerView.render(shown);
  yield; // to the map's canvas, which is drawn in the frame after
  yield;
  renderSums(shown);
  if (!inFull && begunAt - listsAt < LISTS_MS) return;
  yield;
  listsAt = begunAt;
  renderLists(shown, listed.length, now);
}

function renderState(shown, now) {
  const isPast = shown !== store;
  pillView.render(store, now, isPast ? { time: past.time } : { paused: store.paused, waiting: store.waiting });
  timelineView.render({ paused: store.paused, past });
  bannerView.render(store, now);
  document.body.toggleAttribute("data-held", shown.heldAt !== null);
  document.body.toggleAttribute("data-past", isPast);
}

/** Both at once: the time that is told is that of the sums. */
function renderSums(shown) {
  bannerView.renderReplay(shown.replayTime);
  summaryView.render(shown, query);
}

function renderLists(shown, count, now) {
  alertsView.render(alerts.list((alert) => store.freshness(alert) === FRESH), store);
  scoresView.render(store);
  unreadView.render(store);
  paperView.render({ query, time: shown === store ? null : past.time, paused: store.paused, count, now });
  keepTime(now);
}

function print(onPaper) {
  themeView.print(onPaper);
  tableView.print(onPaper);
  renderAll();
  mapView.drawNow();
}

/** What is under way is brought to its end first: it has taken changes that the map hasn't drawn yet. */
function renderAll() {
  isAsked = false;
  for (const rest of [steps ?? [], rendering(true)]) for (const _ of rest);
  steps = null;
}

function onFrame() {
  frame = 0;
  if (isAsked) renderAll();
  else if (steps?.next().done) steps = null;
  if (steps) nextFrame();
}

function nextFrame() {
  if (frame === 0) frame = requestAnimationFrame(onFrame);
}

function renderSoon() {
  isAsked = true;
  nextFrame();
}

function renderNews() {
  if (newsTimer !== null || steps) return;
  newsTimer = setTimeout(() => {
    newsTimer = null;
    steps ??= rendering(false);
    nextFrame();
  }, begunAt + NEWS_MS - performance.now());
}

store.subscribe(renderNews);
setInterval(renderNews, NEWS_MS);
matchMedia("print").addEventListener("change", ({ matches }) => print(matches));
window.addEventListener("beforeprint", () => print(true));
window.addEventListener("afterprint", () => print(false));
window.addEventListener("online", () => connection.retryNow());
window.addEventListener("offline", renderSoon);
window.addEventListener("pagehide", () => {
  connection.stop();
  acknowledged.write();
});
setInterval(() => acknowledged.write(), KEEP_ALERTS_MS);
window.addEventListener("storage", ({ key }) => {
  if (key !== acknowledged.key) return;
  acknowledged.read();
  renderSoon();
});
// Back from the browser's cache of pages.
window.addEventListener("pageshow", ({ persisted }) => persisted && connection.start());
if (config.has_network) drawNetwork();
if (config.outlines) drawOutlines();
if (query.at !== null) travelTo(query.at);
follow();
showPredictions.addEventListener("change", () => ask({ ...query, predictions: showPredictions.checked }));
window.addEventListener("popstate", () => {
  query = readQuery(location.search);
  follow();
  renderSoon();
});
connection.start();
