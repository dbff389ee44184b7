/** What a segment's popup says; made once, and written anew in place, so that it survives every update. */
import { CATEGORIES } from "../store.js";
import { LABELS, UNIT_LABELS, age, change, clock, label, moment, speed } from "./format.js";
import { fromTemplate, parts, setAttribute, setText } from "./elements.js";

export class PopupContent {
  #id = null;

  constructor({ unit, onDetails }) {
    this.unit = UNIT_LABELS[unit];
    this.element = fromTemplate("popup-template");
    this.parts = parts(this.element);
    this.parts.popupDetails.addEventListener("click", () => onDetails(this.#id));
  }

  render(store, prediction) {
    this.#id = prediction.segment_id;
    const known = CATEGORIES.includes(prediction.category) ? prediction.category : "not_current";
    setAttribute(this.element, "data-category", known);
    setAttribute(this.parts.popupMark, "href", `#shape-${known}`);
    for (const [name, text] of Object.entries(facts(store, prediction, this.unit))) setText(this.parts[name], text);
  }
}

function facts(store, prediction, unit) {
  const { confidence, model, current_volume: volume, horizon_minutes: horizon } = prediction;
  const known = CATEGORIES.includes(prediction.category);
  const arrived = store.arrivedAt(prediction);
  return {
    popupName: label(prediction.segment_id),
    popupRoad: prediction.road_name === undefined ? "" : label(prediction.road_name),
    popupCategory: known ? LABELS[prediction.category] : "Unknown",
    popupPredicted: `${speed(prediction.predicted_speed)} ${unit}`,
    popupNow: typeof prediction.current_speed === "number" ? `${speed(prediction.current_speed)} ${unit}` : "not measured",
    popupChange: change(prediction.speed_diff),
    popupVolume: typeof volume === "number" ? volume.toLocaleString("en") : "–",
    popupModel: model === undefined ? "–" : label(model),
    popupConfidence: typeof confidence === "number" ? `${Math.round(100 * confidence)} %` : "–",
    popupTime: `${moment(prediction.timestamp)}${typeof horizon === "number" ? `, ${horizon} min ahead` : ""}`,
    popupArrived: arrived === null ? "before this page was opened" : clock(arrived, true),
    popupAge: `${age(store.ageSeconds(prediction))} old`,
  };
}
