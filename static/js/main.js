/** Joins store, connection and views. Whatever happens between two frames is shown by one rendering. */
import { Api } from "./api.js";
import { Connection } from "./connection.js";
import { Store } from "./store.js";
import { Rows } from "./rows.js";
import { narrows, readQuery, sortBy, toggleGroup, writeQuery } from "./query.js";
import { pollingTransport } from "./transports/polling.js";
import { sseTransport } from "./transports/sse.js";
import { BannerView } from "./view/banner.js";
import { DrawerView } from "./view/drawer.js";
import { FinderView } from "./view/finder.js";
import { kafkaIsAway } from "./view/format.js";
import { MapView } from "./view/map.js";
import { PillView } from "./view/pill.js";
import { SummaryView } from "./view/summary.js";
import { TableView } from "./view/table.js";
import { ThemeView } from "./view/theme.js";

const TICK_MS = 200;

const config = JSON.parse(document.getElementById("config").textContent);
const base = document.body.dataset.root;

const store = new Store({ intervalSeconds: config.expected_interval_seconds });
const connection = new Connection({
  transports: [
    sseTransport({ url: `${base}/predictions/stream`, heartbeatSeconds: config.heartbeat_seconds }),
    pollingTransport({
      url: `${base}/api/predictions`,
      healthUrl: `${base}/api/health`,
      everySeconds: config.poll_seconds,
    }),
  ],
  onMessage: (message) => store.apply(message),
  onState: (state) => store.connect(state),
});
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
  if (id !== null && inFull) openDrawer(id);
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

const api = new Api({ root: base });
let asked = null;
const drawerView = new DrawerView(document, { config, onClose: () => select(null) });
const mapView = new MapView(document, { config, onSelect: select });
const pillView = new PillView(document, { onRetry: () => connection.retryNow() });
const bannerView = new BannerView(document);
const summaryView = new SummaryView(document, { config, onToggle: (group) => ask(toggleGroup(query, group)) });
const finderView = new FinderView(document, {
  onWords: (words) => ask({ ...query, words }),
  onClear: () => ask({ ...query, words: "", groups: [] }),
});
const tableView = new TableView(document, {
  rows: new Rows(store),
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

function render() {
  frame = 0;
  const now = Date.now();
  const changes = store.takeChanges();
  pillView.render(store, now);
  bannerView.render(store, now);
  summaryView.render(store, query);
  const listed = tableView.render(store, query, changes.replaced);
  finderView.render(store, query, listed.length);
  mapView.render(store, query, changes, narrows(query) ? new Set(listed) : null, now);
  mapView.select(query.segment, drawerView.isOpen);
  drawerView.render(store);
  document.body.toggleAttribute("data-held", store.connection.lostAt !== null || kafkaIsAway(store.consumer));
}

function renderSoon() {
  if (frame === 0) frame = requestAnimationFrame(render);
}

store.subscribe(renderSoon);
setInterval(renderSoon, TICK_MS);
window.addEventListener("online", () => connection.retryNow());
window.addEventListener("offline", renderSoon);
// Back from the browser's cache of pages, where the connection was cut without a word.
window.addEventListener("pageshow", ({ persisted }) => persisted && connection.retryNow());
window.addEventListener("popstate", () => {
  query = readQuery(location.search);
  renderSoon();
});
connection.start();
