/**
 * Starts the page of a road: makes its parts, each of which owns its state, and connects them.
 *
 * @import { Config, Message } from "./types.d.ts"
 */
import { connect } from "../greenwave.js";
import { Api } from "./api.js";
import { saysNoPlace } from "./crossings.js";
import { corridorOf, drawn } from "./network.js";
import { ageReplay } from "./replay-silence.js";
import { RoadPast } from "./road-past.js";
import { snapshotOf } from "./snapshot.js";
import { SpeedScale } from "./speeds.js";
import { Store } from "./store.js";
import { UsualSpeeds } from "./usual.js";
import { applyDisplay, DisplayView } from "./view/display.js";
import { Frames } from "./view/frames.js";
import { RoadPageView } from "./view/road-page.js";

const RETRY_MS = 10_000;
const FORGET_MS = 60_000;

/** @type {Config} */
const config = JSON.parse(document.getElementById("config")?.textContent ?? "");
const prefix = document.body.dataset.root ?? "";
const { road = "", road_filter: roadFilter = null } = config;

const scale = new SpeedScale({ thresholdsMph: config.thresholds_mph, unit: config.speed_unit });
const store = new Store({ intervalSeconds: config.expected_interval_seconds, maxAgeSeconds: config.max_age_seconds, scale });
const api = new Api({ root: prefix });
const usual = new UsualSpeeds({ api, timezone: config.usual_timezone, onChange: () => render() });
const frames = new Frames({ render: (inFull) => page.render(inFull) });
const render = () => frames.renderSoon();
const past = new RoadPast({
  api,
  filter: roadFilter === null ? "" : `&road=${encodeURIComponent(roadFilter)}`,
  isWanted: isOnRoad,
  intervalSeconds: config.expected_interval_seconds,
  onPage: (predictions) => store.completeTrails(predictions), // which say since when a jam lasts
  onChange: render,
});
past.setHours(Number(new URLSearchParams(location.search).get("hours")));
const page = new RoadPageView(document, { config: applyDisplay(config), store, road, past, usual, prefix, actions: { render, retry: () => connection.retryNow(), onHours: showHours } });
new DisplayView(document, config);

/** @param {{ road_name?: string | null }} item */
function isOnRoad({ road_name: name }) {
  return corridorOf(name) === road;
}

/** @param {Message} message */
function take(message) {
  if (message.type === "initial") {
    const [predictions, observations] = [message.predictions.filter(isOnRoad), (message.observations ?? []).filter(isOnRoad)];
    store.apply({ ...message, predictions, observations });
    for (const each of [...store.forecasts.all(), ...store.forecasts.observations]) past.add(each);
    begin();
    return;
  }
  const isItem = message.type === "prediction" || message.type === "observation";
  if (isItem && !isOnRoad(message.data)) return;
  store.apply(message);
  if (isItem) past.add(message.data);
  if (message.type === "gap") loadPast();
}

let hasBegun = false;

/** What needs a view: the past ends at its newest time, and what came while there was none is missing in it. */
function begin() {
  loadPast();
  completeAges();
  if (hasBegun) return;
  hasBegun = true;
  if ([...store.segments.values()].some((each) => saysNoPlace(each.road_name))) loadPlaces();
}

function loadPast() {
  void past.load(page.now);
}

/** @param {number} hours */
function showHours(hours) {
  past.setHours(hours);
  const search = new URLSearchParams(location.search);
  search.set("hours", String(past.hours));
  history.replaceState(null, "", `${location.pathname}?${search}`);
  loadPast();
}

async function completeAges() {
  if (await ageReplay(store, api)) render();
}

/** Names of places come from other roads near by. */
async function loadPlaces() {
  const segments = await api.view().catch(() => null); // the names of segments do, too
  if (segments !== null) page.setEverywhere(segments);
  render();
}

/** Without the network, lengths come from the places of segments. */
async function loadNetwork() {
  try {
    page.setLengths(drawn(await api.network()).lengths);
    render();
  } catch {
    setTimeout(loadNetwork, RETRY_MS);
  }
}

store.subscribe(() => frames.renderUpdates());
window.addEventListener("online", () => connection.retryNow());
window.addEventListener("offline", render);
window.addEventListener("pagehide", () => connection.stop());
window.addEventListener("pageshow", ({ persisted }) => {
  if (persisted) connection.start(); // the browser took the page from its cache
});
setInterval(() => past.measurements.forgetBefore(page.now - past.keepMs), FORGET_MS);

if (config.has_network) loadNetwork();
frames.start();
render();
const connection = connect({
  url: prefix || "/",
  filter: { ...(roadFilter === null ? {} : { road: roadFilter }), horizon: "all", include: "observations" },
  pollSeconds: config.poll_seconds,
  heartbeatSeconds: config.heartbeat_seconds,
  snapshot: () => snapshotOf(store),
  onMessage: take,
  onState: (state) => store.setConnection(state),
});
