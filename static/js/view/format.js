/**
 * Values as texts, in the language, the unit and the time zone that the user chose. No DOM, and times are parameters.
 *
 * Speeds are in the unit of the server. Here alone they are converted, and rounded once; categories, alerts and jams are
 * judged by what the server sent.
 *
 * @import { SpeedUnit, VersusUsual } from "../types.d.ts"
 */
import { fromMph } from "../speeds.js";
import { LANGUAGE, LOCALE, t } from "../texts.js";

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const MAX_LABEL = 200;
const FULL_SCALE_MPH = 75;
const LOW_CONFIDENCE = 0.5;

export const NONE = "–";
const POINT = new Intl.NumberFormat(LOCALE).formatToParts(0.5).find(({ type }) => type === "decimal")?.value ?? ".";
export const UNIT_LABELS = { mph: "mph", kmh: "km/h" };
export const DISTANCE_LABELS = { mph: "mi", kmh: "km" };

/** @type {{ factor: number, bounds: { exact: number, shown: number }[] }} from the unit of the server to the one that is shown */
let conversion = { factor: 1, bounds: [] };
/** @type {string | undefined} */
let zone;
let formats = makeFormats();

/**
 * Show speeds and times in a unit and a zone. To be called before the first text is made.
 *
 * @param {object} chosen
 * @param {SpeedUnit} chosen.served the unit of the server
 * @param {SpeedUnit} chosen.unit
 * @param {string} [chosen.timeZone] an IANA name; none for the zone of the browser
 * @param {number[]} [chosen.thresholdsMph]
 */
export function setDisplay({ served, unit, timeZone, thresholdsMph = [] }) {
  const bounds = thresholdsMph.map((mph) => ({ exact: fromMph(mph, served), shown: inTenths(fromMph(mph, unit)) }));
  conversion = { factor: fromMph(1, unit) / fromMph(1, served), bounds };
  zone = timeZone;
  formats = makeFormats(timeZone);
}

/** Return the chosen time zone as an IANA name; undefined for that of the browser. */
export function chosenZone() {
  return zone;
}

/**
 * Convert a speed, or a difference of speeds, to the unit that is shown.
 *
 * @param {number | null} value
 */
export function converted(value) {
  return value === null ? null : value * conversion.factor;
}

/**
 * Convert and round a speed. It stays on its side of each threshold: 29.96 is severe, and 30.0 would not be.
 *
 * @param {number} value
 * @param {0 | 1} decimals
 */
function rounded(value, decimals) {
  const nearest = Number((value * conversion.factor).toFixed(decimals));
  const step = 10 ** -decimals;
  let shown = nearest;
  for (const bound of conversion.bounds) {
    if (value < bound.exact && nearest >= bound.shown) shown = nearest - step;
    else if (value >= bound.exact && nearest < bound.shown) shown = nearest + step;
  }
  return fixed(shown, decimals);
}

/**
 * Return a number with so many decimals, with the decimal sign of the language.
 *
 * @param {number} value
 * @param {number} decimals
 */
export function fixed(value, decimals) {
  return localised(value.toFixed(decimals));
}

/**
 * Return a number with the decimals that it has: "2.5".
 *
 * @param {number} value
 */
export function plain(value) {
  return localised(String(value));
}

/** @param {string} number */
function localised(number) {
  return number.replace(".", POINT);
}

/** @type {Record<string, string>} */
export const LABELS = {
  free_flow: t("category.free"),
  moderate_traffic: t("category.moderate"),
  heavy_traffic: t("category.heavy"),
  severe_congestion: t("category.severe"),
  not_current: t("category.stale"),
};

/** @type {Record<string, string>} */
export const COURSES = { worsening: t("course.worsening"), recovering: t("course.recovering") };

/** @type {Record<string, string>} */
const FRESHNESS_LABELS = { stale: t("freshness.stale"), silent: t("freshness.silent") };

/**
 * A category with its freshness: "Severe", "Severe (stale)", "Unknown (no data)".
 *
 * @param {string | null | undefined} name
 * @param {string} freshness
 */
export function category(name, freshness) {
  const known = name && Object.hasOwn(LABELS, name) ? LABELS[name] : t("category.unknown");
  return freshness in FRESHNESS_LABELS ? `${known} (${FRESHNESS_LABELS[freshness]})` : known;
}

/**
 * The direction of a change: "faster", "slower" or "same"; null if it is not known.
 *
 * @param {number | null | undefined} difference
 */
export function direction(difference) {
  if (typeof difference !== "number") return null;
  const shown = difference * conversion.factor;
  return shown > 0.05 ? "faster" : shown < -0.05 ? "slower" : "same";
}

/**
 * A speed with one decimal, or a dash; 0 is a speed.
 *
 * @param {number | null | undefined} value
 */
export function speed(value) {
  return typeof value === "number" ? rounded(value, 1) : NONE;
}

/**
 * A speed as a whole number.
 *
 * @param {number} value
 */
export function wholeSpeed(value) {
  return rounded(value, 0);
}

/**
 * A number with one decimal if it needs one: "60", "96.6".
 *
 * @param {number} value
 */
export function brief(value) {
  return plain(inTenths(value));
}

/** @param {number} value */
function inTenths(value) {
  return Number(value.toFixed(1));
}

/**
 * A change with its sign (U+2212 for minus), or a dash.
 *
 * @param {number | null | undefined} value
 */
export function change(value) {
  return signed(typeof value === "number" ? converted(value) : null);
}

/**
 * A change in the unit that is shown already, with its sign, or a dash.
 *
 * @param {number | null} value
 */
export function signed(value) {
  if (value === null) return NONE;
  const text = Math.abs(value).toFixed(1);
  if (text === "0.0") return localised(text);
  return (value < 0 ? "−" : "+") + localised(text);
}

/**
 * The size of a change as a whole number.
 *
 * @param {number} value
 */
export function wholeChange(value) {
  return String(Math.round(Math.abs(value * conversion.factor)));
}

/**
 * A range of speeds, "47–60".
 *
 * @param {number} low
 * @param {number} high
 */
export function range(low, high) {
  return `${Math.round(low * conversion.factor)}–${Math.round(high * conversion.factor)}`;
}

/**
 * The usual speed at a time, "Usual at 16:25: 54.0 (47–60)".
 *
 * @param {Pick<VersusUsual, "band" | "atMs">} usual
 */
export function usualText({ band, atMs }) {
  return t("usual.at", { time: clock(atMs), median: speed(band.median), range: range(band.low, band.high) });
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
  return t("ago", { age: seconds < 10 ? `${fixed(seconds, 1)} s` : age(seconds) });
}

/**
 * Make the formats of times. To make one takes longer than to use it a hundred times.
 *
 * @param {string} [timeZone]
 */
function makeFormats(timeZone) {
  /** @param {Intl.DateTimeFormatOptions} options */
  const make = (options, locale = LOCALE) => new Intl.DateTimeFormat(locale, { ...options, timeZone });
  return {
    toMinutes: make({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" }),
    toSeconds: make({ timeStyle: "medium", hourCycle: "h23" }),
    date: make({ dateStyle: "short" }),
    withDate: make({ dateStyle: "medium", timeStyle: "short" }),
    withZone: make({ dateStyle: "medium", timeStyle: "long" }),
    withDay: make({ day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }),
    // British English has no names for American zones.
    zone: make({ timeZoneName: "short" }, LANGUAGE === "en" ? "en-US" : LOCALE),
    offset: make({ timeZoneName: "longOffset" }, "en-US"),
  };
}

/**
 * A time of day, "17:31" or "17:31:05".
 *
 * @param {number} epochMs
 */
export function clock(epochMs, withSeconds = false) {
  return (withSeconds ? formats.toSeconds : formats.toMinutes).format(epochMs);
}

/**
 * A time with its date, "7 Mar 2012, 17:05".
 *
 * @param {number} epochMs
 */
export function moment(epochMs) {
  return formats.withDate.format(epochMs);
}

/**
 * The zone of a time, "PST".
 *
 * @param {number} epochMs
 */
export function zoneOf(epochMs) {
  return zonePart(formats.zone, epochMs) ?? t("zone.local");
}

/** The name of the zone that is shown, "America/Los_Angeles". */
export function zoneName() {
  return formats.zone.resolvedOptions().timeZone;
}

/**
 * How many minutes the times that are shown are ahead of UTC.
 *
 * @param {number} epochMs
 */
export function offsetMinutes(epochMs) {
  const [, sign, hours, minutes] = /([+-])(\d+):(\d+)/.exec(zonePart(formats.offset, epochMs) ?? "") ?? ["", "+", "0", "0"];
  return (60 * Number(hours) + Number(minutes)) * (sign === "-" ? -1 : 1);
}

/**
 * @param {Intl.DateTimeFormat} format
 * @param {number} epochMs
 */
function zonePart(format, epochMs) {
  return format.formatToParts(epochMs).find(({ type }) => type === "timeZoneName")?.value;
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
  return `${minutes < 0 ? "−" : "+"}${plain(Math.abs(minutes))} min`;
}

/**
 * A time with its date, seconds and zone, for tooltips: "7 Mar 2012, 17:05:31 GMT-8".
 *
 * @param {number} epochMs
 */
export function exactly(epochMs) {
  return formats.withZone.format(epochMs);
}

/**
 * A time with its day and seconds, short: "7 Mar, 17:05:31".
 *
 * @param {number} epochMs
 */
export function shortly(epochMs) {
  return formats.withDay.format(epochMs);
}

/**
 * A time of day, with its date if that is not today.
 *
 * @param {number} epochMs
 * @param {number} now
 */
export function since(epochMs, now) {
  const { date } = formats;
  return date.format(epochMs) === date.format(now) ? clock(epochMs) : moment(epochMs);
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
 * The range of speeds of each category, by thresholds in mph, in the displayed unit: exact to a decimal, as speeds are.
 *
 * @param {number[]} thresholdsMph
 * @param {SpeedUnit} unit
 * @returns {Record<string, string>}
 */
export function ranges(thresholdsMph, unit) {
  const [free, moderate, heavy] = thresholdsMph.map((mph) => brief(fromMph(mph, unit)));
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
 * A distance in miles or kilometres, "3.2".
 *
 * @param {number} km
 * @param {SpeedUnit} unit
 */
export function distance(km, unit) {
  return fixed((km * fromMph(1, unit)) / fromMph(1, "kmh"), 1);
}

/**
 * The length of a speed's bar, from 0 to 1.
 *
 * @param {number | null | undefined} value
 * @param {SpeedUnit} unit that is shown
 */
export function share(value, unit) {
  return typeof value === "number" ? Math.min(1, Math.max(0, (value * conversion.factor) / fullScale(unit))) : 0;
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
