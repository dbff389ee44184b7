/** Joins store, connection and views. Whatever happens between two frames is shown by one rendering. */
import { Connection } from "./connection.js";
import { Store } from "./store.js";
import { Rows } from "./rows.js";
import { readQuery, sortBy, toggleGroup, writeQuery } from "./query.js";
import { pollingTransport } from "./transports/polling.js";
import { sseTransport } from "./transports/sse.js";
import { BannerView } from "./view/banner.js";
import { FinderView } from "./view/finder.js";
import { kafkaIsAway } from "./view/format.js";
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
  onNeed: renderSoon,
});
new ThemeView(document.getElementById("theme"));

function render() {
  frame = 0;
  const now = Date.now();
  const { replaced } = store.takeChanges();
  pillView.render(store, now);
  bannerView.render(store, now);
  summaryView.render(store, query);
  finderView.render(store, query, tableView.render(store, query, replaced));
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
