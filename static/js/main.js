/**
 * Starts the page: makes its parts, each of which owns its state, and connects them.
 *
 * @import { Config } from "./types.d.ts"
 * @import { Actions } from "./view/page.js"
 */
import { connect } from "../greenwave.js";
import { Accuracy } from "./accuracy.js";
import { AcknowledgementStorage } from "./acknowledgement-storage.js";
import { Acknowledging } from "./acknowledging.js";
import { Address } from "./address.js";
import { Alerts } from "./alerts.js";
import { Api } from "./api.js";
import { Jams } from "./jams.js";
import { drawn, linesOf } from "./network.js";
import { PageData } from "./page-data.js";
import { untilDone } from "./retry.js";
import { Selection } from "./selection.js";
import { SharedAcknowledgements } from "./shared-acknowledgements.js";
import { snapshotOf } from "./snapshot.js";
import { SpeedScale } from "./speeds.js";
import { Store } from "./store.js";
import { t } from "./texts.js";
import { TimeLink } from "./time-link.js";
import { TimeTravel } from "./time-travel.js";
import { TrailHistory } from "./trail-history.js";
import { UsualSpeeds } from "./usual.js";
import { applyDisplay, DisplayView } from "./view/display.js";
import { Frames } from "./view/frames.js";
import { PageView } from "./view/page.js";
import { WordsView } from "./view/words.js";

/** @type {Config} */
const config = JSON.parse(document.getElementById("config")?.textContent ?? "");
const root = document.body.dataset.root ?? "";
const isEmbedded = "embed" in document.body.dataset;
const isOnWall = "wall" in document.body.dataset;
const isOperated = !isEmbedded && !isOnWall;
const shownConfig = applyDisplay(config);

const limits = { intervalSeconds: config.expected_interval_seconds, maxAgeSeconds: config.max_age_seconds };
const scale = new SpeedScale({ thresholdsMph: config.thresholds_mph, unit: config.speed_unit });
const api = new Api({ root });
const usual = new UsualSpeeds({ api, timezone: config.usual_timezone, onChange: () => render() });
const store = new Store({ ...limits, scale, usual });
const alerts = new Alerts({ unit: config.speed_unit, ...limits, scale });
const jams = new Jams();
const stored = new AcknowledgementStorage({ alerts, key: `greenwave.acknowledged ${root}` });
const frames = new Frames({ render: (inFull) => page.render(inFull) });
const render = () => frames.renderSoon();
const shared = new SharedAcknowledgements({ alerts, api, onChange: render });
const isShared = config.shares_acknowledgements && !isEmbedded;
const words = new WordsView(document, { user: config.user, key: `greenwave.name ${root}` });
const acknowledging = new Acknowledging({ alerts, shared, stored, isShared, ask: (note, title) => words.ask(note, title), onChange: render });
const address = new Address({ onChange: follow });
const past = new TimeTravel({ api, intervalSeconds: limits.intervalSeconds, scale, usual, onChange: render });
const data = new PageData({ store, alerts, past, api, showsAlerts: !isEmbedded, onChange: render });
const accuracy = new Accuracy({ api, onChange: render });
const trails = new TrailHistory({ store, api, onChange: render });

/** @type {Actions} */
const actions = {
  render,
  select: (id, withDetails) => selection.select(id, withDetails),
  acknowledge: (ids) => void acknowledging.acknowledge(ids),
  acknowledgeAll: () => void acknowledging.acknowledgeAll(),
  note: (ids, note, name) => void acknowledging.note(ids, note, t("alert.note_on", { name })),
  undo: (ids) => void shared.undo(ids),
  retry: () => connection.retryNow(),
  togglePause: () => data.togglePause(),
  travel: (hours) => void data.travel(hours),
  goLive: () => data.goLive(),
  completeTrails: (ids) => void trails.complete(isEmbedded ? [] : ids),
  loadUsual: () => void usual.load(),
};
const timeLink = new TimeLink({ address, past });
const page = new PageView(document, { config: shownConfig, store, alerts, shared, jams, accuracy, past, timeLink, address, isOperated, actions });
new DisplayView(document, config);
const selection = new Selection({ address, api, drawer: page.drawer, hasDetails: isOperated, onChange: render });

function follow() {
  data.choose(address.query.time);
  render();
}

/** Without the network the map shows roads through the segments. */
async function loadNetwork() {
  const network = drawn(await api.network());
  page.map.setNetwork(network);
  jams.setLengths(network.lengths);
}

async function loadOutlines() {
  const outlines = await api.outlines(config.outlines).catch(() => null); // the map works without them
  if (outlines) page.map.setOutlines(linesOf(outlines));
}

/** What the first look at the page does not need. */
async function loadMore() {
  const [{ TakeAwayView }, { SavedViewsView }, { NoticesView }] = await Promise.all([
    import("./view/take-away.js"),
    import("./view/saved-views.js"),
    import("./view/notices.js"),
  ]);
  new TakeAwayView(document, { config, view: () => page.view });
  if (isEmbedded) return;
  new SavedViewsView(document, { key: `greenwave.views ${root}` });
  new NoticesView(document, { config: shownConfig, alerts, store, key: `greenwave.notify ${root}`, onSelect: (id) => void selection.select(id, true) });
}

async function loadWall() {
  const { WallView } = await import("./view/wall.js");
  new WallView(document, { store });
}

/** @param {boolean} onPaper */
function print(onPaper) {
  page.print(onPaper);
  frames.renderNow();
  page.map.drawNow();
}

store.subscribe(() => frames.renderUpdates());
matchMedia("print").addEventListener("change", ({ matches }) => print(matches));
window.addEventListener("beforeprint", () => print(true));
window.addEventListener("afterprint", () => print(false));
window.addEventListener("online", () => connection.retryNow());
window.addEventListener("offline", render);
window.addEventListener("popstate", () => {
  address.reread();
  selection.follow();
});
window.addEventListener("pagehide", () => {
  connection.stop();
  acknowledging.stop();
});
window.addEventListener("pageshow", ({ persisted }) => {
  if (!persisted) return; // else the browser took the page from its cache
  connection.start();
  acknowledging.start();
});
window.addEventListener("storage", ({ key }) => acknowledging.follow(key));

acknowledging.start();
data.choose(address.query.time);
selection.follow();
if (address.query.at !== null) past.follow(store, address.query.at);
if (config.has_network) untilDone(loadNetwork);
if (config.outlines) loadOutlines();
// Modules wait for the catalogue of texts, often for longer than the load event.
const loadRest = () => untilDone(isOnWall ? loadWall : loadMore);
if (document.readyState === "complete") loadRest();
else window.addEventListener("load", loadRest);
frames.start();
render();
const connection = connect({
  url: root || "/",
  filter: { horizon: "all", include: "observations" }, // the tabs that share the connection may show different horizons
  pollSeconds: config.poll_seconds,
  heartbeatSeconds: config.heartbeat_seconds,
  snapshot: () => snapshotOf(store),
  onMessage: (message) => data.take(message),
  onState: (state) => store.setConnection(state),
});
