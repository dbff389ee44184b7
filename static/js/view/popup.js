/** What a segment's popup says; made once, and written anew in place, so that it survives every update. */
import { CATEGORIES } from "../store.js";
import { SILENT } from "../freshness.js";
import { targetOf } from "../prediction.js";
import { UNIT_LABELS, age, category, change, clock, direction, exactly, label, since, speed } from "./format.js";
import { fromTemplate, parts, setAttribute, setText } from "./elements.js";

const UNKNOWN = "–";
const NOT_MEASURED = "not measured";

export class PopupContent {
  #id = null;

  constructor({ unit, onDetails }) {
    this.unit = UNIT_LABELS[unit];
    this.element = fromTemplate("popup-template");
    this.parts = parts(this.element);
    this.parts.popupDetails.addEventListener("click", () => onDetails(this.#id));
  }

  /** Show a segment; of one that isn't in the store any more its last values stay, as such. */
  render(store, id) {
    const prediction = store.segments.get(id);
    if (prediction) this.#show(store, prediction);
    else if (store.segments.size > 0) this.#showGone(store, id);
  }

  #show(store, prediction) {
    this.#id = prediction.segment_id;
    const freshness = store.freshness(prediction);
    this.#mark(prediction.category, freshness);
    this.#write({ ...facts(store, prediction, this.unit), popupCategory: category(prediction.category, freshness) });
    setAttribute(this.parts.popupChange, "data-direction", direction(prediction.speed_diff));
    const times = { popupTime: prediction.timestamp, popupMade: madeAt(prediction), popupTarget: targetOf(prediction) };
    for (const [name, time] of Object.entries(times)) {
      setAttribute(this.parts[name], "title", time === null ? null : exactly(time));
    }
  }

  #showGone(store, id) {
    if (id !== this.#id) for (const name of FACTS) setText(this.parts[name], UNKNOWN);
    this.#id = id;
    this.#mark(null, SILENT);
    const gone = store.isPast ? "not reported at that time" : "no longer reported";
    this.#write({ popupName: label(id), popupCategory: gone, popupAge: gone });
  }

  #mark(name, freshness) {
    const known = CATEGORIES.includes(name) ? name : "not_current";
    setAttribute(this.element, "data-category", known);
    setAttribute(this.element, "data-freshness", freshness);
    setAttribute(this.parts.popupMark, "href", `#shape-${freshness === SILENT ? "not_current" : known}`);
  }

  #write(texts) {
    for (const [name, text] of Object.entries(texts)) setText(this.parts[name], text);
  }
}

const FACTS = ["popupRoad", "popupPredicted", "popupNow", "popupChange", "popupVolume", "popupModel", "popupConfidence",
  "popupTime", "popupMade", "popupTarget", "popupArrived"];

function facts(store, prediction, unit) {
  const { confidence, model, current_volume: volume, current_speed: now, horizon_minutes: horizon } = prediction;
  const [made, target] = [madeAt(prediction), targetOf(prediction)];
  return {
    popupName: label(prediction.segment_id),
    popupRoad: label(prediction.road_name ?? ""),
    popupPredicted: `${speed(prediction.predicted_speed)} ${unit}`,
    popupNow: typeof now === "number" ? `${speed(now)} ${unit}` : NOT_MEASURED,
    popupChange: direction(prediction.speed_diff) === null ? UNKNOWN : `${change(prediction.speed_diff)} ${unit}`,
    popupVolume: typeof volume === "number" ? volume.toLocaleString("en") : NOT_MEASURED,
    popupModel: label(model ?? UNKNOWN),
    popupConfidence: typeof confidence === "number" ? `${Math.round(100 * confidence)} %` : UNKNOWN,
    popupTime: since(prediction.timestamp, store.clock()),
    popupAge: `${age(store.ageSeconds(prediction))} old`,
    popupMade: made === null ? UNKNOWN : clock(made, true),
    popupTarget: target === null ? "not said for when" : aim(target, horizon),
    popupArrived: arrival(store, prediction),
  };
}

function aim(target, horizon) {
  return `for ${clock(target)}${typeof horizon === "number" ? ` (+${horizon} min)` : ""}`;
}

function arrival(store, prediction) {
  if (store.isPast) return UNKNOWN; // the history doesn't tell
  const arrived = store.arrivedAt(prediction);
  return arrived === null ? "before this page was opened" : clock(arrived, true);
}

function madeAt({ prediction_time: text }) {
  const time = Date.parse(text);
  return Number.isNaN(time) ? null : time;
}
