/**
 * The facts of a segment, in the map's popup and in the drawer. The elements are made once and updated in place.
 *
 * @import { Store } from "../store.js"
 * @import { Freshness, Shown, SpeedUnit } from "../types.d.ts"
 */
import { CATEGORIES, NOT_CURRENT } from "../categories.js";
import { SILENT } from "../freshness.js";
import { targetOf } from "../prediction.js";
import { grouped, t } from "../texts.js";
import { fromTemplate, parts, setAttribute, setText } from "./elements.js";
import { age, category, change, clock, COURSES, direction, exactly, horizonText, isUnsure, label, NONE, percent, range, since, speed, UNIT_LABELS } from "./format.js";
import { changeText } from "./wording.js";

const NOT_MEASURED = t("not_measured");
const CLEARED = ["popupRoad", "popupPredicted", "popupNow", "popupChange", "popupVolume", "popupModel", "popupConfidence",
  "popupCourse", "popupTime", "popupMade", "popupTarget", "popupArrived", "popupInterval", "popupUsual"];

export class PopupContent {
  /** @type {string} */
  #id = "";

  /** @param {{ unit: SpeedUnit, onDetails?: (id: string) => void }} options without `onDetails` there is no button */
  constructor({ unit, onDetails }) {
    this.unit = UNIT_LABELS[unit];
    this.element = fromTemplate("popup-template");
    this.parts = parts(this.element);
    this.parts.popupDetails.hidden = !onDetails;
    this.parts.popupDetails.addEventListener("click", () => onDetails?.(this.#id));
  }

  /**
   * Show a segment. The last values of a segment that has left the store stay, marked as no longer reported.
   *
   * @param {Store} store
   * @param {string} id
   */
  render(store, id) {
    const prediction = store.segments.get(id);
    if (prediction) this.#renderPrediction(store, prediction);
    else if (store.segments.size > 0) this.#renderMissing(store, id);
  }

  /**
   * @param {Store} store
   * @param {Shown} prediction
   */
  #renderPrediction(store, prediction) {
    this.#id = prediction.segment_id;
    const freshness = store.ages.freshness(prediction);
    const known = store.category(prediction);
    this.#mark(known, freshness);
    const course = freshness === SILENT ? null : store.scale.course(prediction.current_speed, prediction.predicted_speed);
    this.#write({ ...facts(store, prediction, this.unit), popupCategory: category(known, freshness), popupCourse: course === null ? "" : COURSES[course] });
    setAttribute(this.parts.popupChange, "data-direction", direction(prediction.speed_diff));
    const usual = usualFact(store, prediction, this.unit);
    this.parts.popupUsualItem.hidden = usual === "";
    setText(this.parts.popupUsual, usual);
    const times = { popupTime: prediction.timestamp, popupMade: madeAt(prediction), popupTarget: targetOf(prediction) };
    for (const [name, time] of Object.entries(times)) {
      setAttribute(this.parts[name], "title", time === null ? null : exactly(time));
    }
  }

  /**
   * @param {Store} store
   * @param {string} id
   */
  #renderMissing(store, id) {
    if (id !== this.#id) for (const name of CLEARED) setText(this.parts[name], NONE);
    this.#id = id;
    this.#mark(null, SILENT);
    const missing = store.isPast ? t("popup.not_then") : t("popup.gone");
    this.#write({ popupName: label(id), popupCategory: missing, popupAge: missing });
  }

  /**
   * @param {string | null | undefined} name
   * @param {Freshness} freshness
   */
  #mark(name, freshness) {
    const known = name && CATEGORIES.includes(name) ? name : NOT_CURRENT;
    setAttribute(this.element, "data-category", known);
    setAttribute(this.element, "data-freshness", freshness);
    setAttribute(this.parts.popupMark, "href", `#shape-${freshness === SILENT ? NOT_CURRENT : known}`);
  }

  /** @param {Record<string, string>} texts */
  #write(texts) {
    for (const [name, text] of Object.entries(texts)) setText(this.parts[name], text);
  }
}

/**
 * @param {Store} store
 * @param {Shown} prediction
 * @param {string} unit
 */
function facts(store, prediction, unit) {
  const { confidence, lower, upper, model, current_volume: volume, current_speed: now, speed_diff: difference } = prediction;
  const made = madeAt(prediction);
  return {
    popupName: label(prediction.segment_id),
    popupRoad: label(prediction.road_name ?? ""),
    popupPredicted: `${speed(prediction.predicted_speed)} ${unit}`,
    popupNow: typeof now === "number" ? `${speed(now)} ${unit}` : NOT_MEASURED,
    popupChange: changeText(difference, unit),
    popupVolume: typeof volume === "number" ? grouped(volume) : NOT_MEASURED,
    popupModel: label(model ?? NONE),
    popupConfidence: typeof confidence === "number" ? confidenceText(confidence) : NONE,
    popupInterval: typeof lower === "number" && typeof upper === "number" ? ` (${range(lower, upper)})` : "",
    popupTime: since(prediction.timestamp, store.clock()),
    popupAge: t("ago", { age: age(store.ages.seconds(prediction)) }),
    popupMade: made === null ? NONE : clock(made, true),
    popupTarget: targetText(prediction),
    popupArrived: arrivalText(store, prediction),
  };
}

/** @param {number} confidence */
function confidenceText(confidence) {
  return isUnsure(confidence) ? t("popup.low", { percent: percent(confidence) }) : percent(confidence);
}

/**
 * The usual speed at the time that is shown, and the difference from it; empty where it is not known.
 *
 * @param {Store} store
 * @param {Shown} prediction
 * @param {string} unit
 */
function usualFact(store, prediction, unit) {
  const usual = store.versusUsual(prediction);
  if (usual === null) return "";
  const { band, atMs, difference } = usual;
  return t("popup.from_usual", { change: change(difference), unit, median: speed(band.median), range: range(band.low, band.high), time: clock(atMs) });
}

/** @param {Shown} prediction */
function targetText(prediction) {
  const target = targetOf(prediction);
  const { horizon_minutes: horizon } = prediction;
  if (target === null) return t("popup.no_target");
  if (typeof horizon !== "number") return t("for_time", { time: clock(target) });
  return `${t("for_time", { time: clock(target) })} (${horizonText(horizon)})`;
}

/**
 * @param {Store} store
 * @param {Shown} prediction
 */
function arrivalText(store, prediction) {
  if (store.isPast) return NONE; // the history has no arrival times
  const arrivedAt = store.arrivals.timeOf(prediction);
  return arrivedAt === null ? t("popup.before") : clock(store.ages.toServer(arrivedAt), true);
}

/** @param {Shown} prediction */
function madeAt({ prediction_time: text }) {
  const time = Date.parse(text ?? "");
  return Number.isNaN(time) ? null : time;
}
