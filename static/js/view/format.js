/**
 * Values as texts. Pure: no DOM, and times are parameters.
 *
 * @import { SpeedUnit, VersusUsual } from "../types.d.ts"
 */
import { fromMph } from "../speeds.js";

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const MAX_LABEL = 200;
const FULL_SCALE_MPH = 75;
const LOW_CONFIDENCE = 0.5;

export const NONE = "–";
export const UNIT_LABELS = { mph: "mph", kmh: "km/h" };

/** @type {Record<string, string>} */
export const LABELS = {
  free_flow: "Free flow",
  moderate_traffic: "Moderate",
  heavy_traffic: "Heavy",
  severe_congestion: "Severe",
  not_current: "Stale",
};

/** @type {Record<string, string>} */
const FRESHNESS_LABELS = { stale: "stale", silent: "no data" };

/**
 * A category with its freshness: "Severe", "Severe (stale)", "Unknown (no data)".
 *
 * @param {string | null | undefined} name
 * @param {string} freshness
 */
export function category(name, freshness) {
  const known = name && Object.hasOwn(LABELS, name) ? LABELS[name] : "Unknown";
  return freshness in FRESHNESS_LABELS ? `${known} (${FRESHNESS_LABELS[freshness]})` : known;
}

/**
 * The direction of a change: "faster", "slower" or "same"; null if it is not known.
 *
 * @param {number | null | undefined} difference
 */
export function direction(difference) {
  if (typeof difference !== "number") return null;
  return difference > 0.05 ? "faster" : difference < -0.05 ? "slower" : "same";
}

/**
 * A speed with one decimal, or a dash; 0 is a speed.
 *
 * @param {number | null | undefined} value
 */
export function speed(value) {
  return typeof value === "number" ? value.toFixed(1) : NONE;
}

/**
 * A change with its sign (U+2212 for minus), or a dash.
 *
 * @param {number | null | undefined} value
 */
export function change(value) {
  if (typeof value !== "number") return NONE;
  const text = Math.abs(value).toFixed(1);
  if (text === "0.0") return text;
  return (value < 0 ? "−" : "+") + text;
}

/**
 * A range of speeds, "47–60".
 *
 * @param {number} low
 * @param {number} high
 */
export function range(low, high) {
  return `${Math.round(low)}–${Math.round(high)}`;
}

/**
 * The usual speed at a time, "Usual at 16:25: 54.0 (47–60)".
 *
 * @param {Pick<VersusUsual, "band" | "atMs">} usual
 */
export function usualText({ band, atMs }) {
  return `Usual at ${clock(atMs)}: ${speed(band.median)} (${range(band.low, band.high)})`;
}

/**
 * Tell whether a prediction looks unsure: its confidence, from 0 to 1, is below a half.
 *
 * @param {number} confidence
 */
export function isUnsure(confidence) {
  return confidence < LOW_CONFIDENCE;
}

/**
 * A share from 0 to 1, "40 %".
 *
 * @param {number} part
 */
export function percent(part) {
  return `${Math.round(100 * part)} %`;
}

/**
 * A duration in its largest unit: "12 s", "4 min", "3 h", "2 d".
 *
 * @param {number} seconds
 */
export function age(seconds) {
  if (seconds < MINUTE) return `${Math.floor(seconds)} s`;
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min`;
  return seconds < DAY ? `${Math.floor(seconds / HOUR)} h` : `${Math.floor(seconds / DAY)} d`;
}

/**
 * "1.2 s ago" below ten seconds, then "12 s ago", "4 min ago".
 *
 * @param {number} milliseconds
 */
export function ago(milliseconds) {
  const seconds = Math.max(0, milliseconds) / 1000;
  return seconds < 10 ? `${seconds.toFixed(1)} s ago` : `${age(seconds)} ago`;
}

// Made once: to make a format takes longer than to use it a hundred times.
const TO_MINUTES = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const TO_SECONDS = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium", hourCycle: "h23" });
const WITH_DATE = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
const WITH_ZONE = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "long" });
const WITH_DAY = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const ZONE = new Intl.DateTimeFormat("en-US", { timeZoneName: "short" });

/**
 * A time of day, "17:31" or "17:31:05".
 *
 * @param {number} epochMs
 */
export function clock(epochMs, withSeconds = false) {
  return (withSeconds ? TO_SECONDS : TO_MINUTES).format(epochMs);
}

/**
 * A time with its date, "7 Mar 2012, 17:05".
 *
 * @param {number} epochMs
 */
export function moment(epochMs) {
  return WITH_DATE.format(epochMs);
}

/**
 * The zone of a time, "PST".
 *
 * @param {number} epochMs
 */
export function zoneOf(epochMs) {
  return ZONE.formatToParts(epochMs).find(({ type }) => type === "timeZoneName")?.value ?? "local time";
}

/**
 * A time with its date and zone, "7 Mar 2012, 17:05 PST".
 *
 * @param {number} epochMs
 */
export function momentWithZone(epochMs) {
  return `${moment(epochMs)} ${zoneOf(epochMs)}`;
}

/**
 * A horizon, "+15 min".
 *
 * @param {number} minutes
 */
export function horizonText(minutes) {
  return `${minutes < 0 ? "−" : "+"}${Math.abs(minutes)} min`;
}

/**
 * A time with its date, seconds and zone, for tooltips: "7 Mar 2012, 17:05:31 GMT-8".
 *
 * @param {number} epochMs
 */
export function exactly(epochMs) {
  return WITH_ZONE.format(epochMs);
}

/**
 * A time with its day and seconds, short: "7 Mar, 17:05:31".
 *
 * @param {number} epochMs
 */
export function shortly(epochMs) {
  return WITH_DAY.format(epochMs);
}

/**
 * A time of day, with its date if that is not today.
 *
 * @param {number} epochMs
 * @param {number} now
 */
export function since(epochMs, now) {
  return new Date(epochMs).toDateString() === new Date(now).toDateString() ? clock(epochMs) : moment(epochMs);
}

/**
 * Text from outside as a label: control and direction characters replaced, length bounded.
 *
 * @param {unknown} text
 */
export function label(text, maxLength = MAX_LABEL) {
  const shown = String(text).slice(0, maxLength);
  // eslint-disable-next-line no-control-regex -- these are what is to be replaced
  return shown.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, "\ufffd");
}

/**
 * A count with its noun: "1 segment", "1,234 segments".
 *
 * @param {number} count
 * @param {string} one
 * @param {string} many
 */
export function plural(count, one, many) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

/**
 * The range of speeds of each category, by thresholds in mph, in the displayed unit.
 *
 * @param {number[]} thresholdsMph
 * @param {SpeedUnit} unit
 * @returns {Record<string, string>}
 */
export function ranges(thresholdsMph, unit) {
  const [free, moderate, heavy] = thresholdsMph.map((mph) => String(Math.round(fromMph(mph, unit))));
  return {
    free_flow: `≥ ${free}`,
    moderate_traffic: `${moderate}–${free}`,
    heavy_traffic: `${heavy}–${moderate}`,
    severe_congestion: `< ${heavy}`,
  };
}

/**
 * The speed at the end of a full bar, and of a chart.
 *
 * @param {SpeedUnit} unit
 */
export function fullScale(unit) {
  return fromMph(FULL_SCALE_MPH, unit);
}

/**
 * The length of a speed's bar, from 0 to 1.
 *
 * @param {number | null | undefined} value
 * @param {SpeedUnit} unit
 */
export function share(value, unit) {
  return typeof value === "number" ? Math.min(1, Math.max(0, value / fullScale(unit))) : 0;
}

/**
 * The points of a sparkline in a box of 60 by 16, over the full scale; empty for fewer than two values.
 *
 * @param {number[]} values
 * @param {SpeedUnit} unit
 */
export function sparkline(values, unit) {
  if (values.length < 2) return "";
  const step = 60 / (values.length - 1);
  return values.map((value, index) => `${(index * step).toFixed(1)},${(15 - 14 * share(value, unit)).toFixed(1)}`).join(" ");
}
