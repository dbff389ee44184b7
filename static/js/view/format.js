/** Values as texts. Pure: no DOM, and the time is handed in. */
import { kafkaIsAway } from "../store.js";

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const LONGEST_LABEL = 200;
const OFFLINE_AFTER_MS = 60_000;
const STARTED_SECONDS = 5;

export const LABELS = {
  free_flow: "Free flow",
  moderate_traffic: "Moderate",
  heavy_traffic: "Heavy",
  severe_congestion: "Severe",
  not_current: "Stale",
};

const FRESHNESS_LABELS = { stale: "stale", silent: "no data" };

/** A category in words, with what its age makes of it: "Severe", "Severe (stale)", "Unknown (no data)". */
export function category(name, freshness) {
  const known = Object.hasOwn(LABELS, name ?? "") ? LABELS[name] : "Unknown";
  return freshness in FRESHNESS_LABELS ? `${known} (${FRESHNESS_LABELS[freshness]})` : known;
}

/** Which way a difference goes, for its arrow and its colour: "faster", "slower" or "same"; null when it isn't known. */
export function direction(difference) {
  if (typeof difference !== "number") return null;
  return difference > 0.05 ? "faster" : difference < -0.05 ? "slower" : "same";
}

export const UNIT_LABELS = { mph: "mph", kmh: "km/h" };
const UNITS_PER_MPH = { mph: 1, kmh: 1.609344 };

/** A speed with one decimal, or a dash; 0 is a speed. */
export function speed(value) {
  return typeof value === "number" ? value.toFixed(1) : "–";
}

/** A difference with its sign (a real minus), or a dash. */
export function change(value) {
  if (typeof value !== "number") return "–";
  const text = Math.abs(value).toFixed(1);
  if (text === "0.0") return text;
  return (value < 0 ? "−" : "+") + text;
}

/** A span of seconds in its largest unit: "12 s", "4 min", "3 h", "2 d". */
export function age(seconds) {
  if (seconds < MINUTE) return `${Math.floor(seconds)} s`;
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min`;
  return seconds < DAY ? `${Math.floor(seconds / HOUR)} h` : `${Math.floor(seconds / DAY)} d`;
}

/** "1.2 s ago" below ten seconds, then "12 s ago", "4 min ago". */
export function ago(milliseconds) {
  const seconds = Math.max(0, milliseconds) / 1000;
  return seconds < 10 ? `${seconds.toFixed(1)} s ago` : `${age(seconds)} ago`;
}

// Made once: each one that is made takes longer than a hundred times that are written with it.
const TO_MINUTES = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const TO_SECONDS = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium", hourCycle: "h23" });
const WITH_DAY = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });

/** A time of day, "17:31" or "17:31:05". */
export function clock(epochMs, withSeconds = false) {
  return (withSeconds ? TO_SECONDS : TO_MINUTES).format(epochMs);
}

/** A time with its day, "7 Mar 2012, 17:05". */
export function moment(epochMs) {
  return WITH_DAY.format(epochMs);
}

const SHORT = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const WITH_ZONE = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "long" });

/** A time with its day, its seconds and its zone, for where there is room: "7 Mar 2012, 17:05:31 GMT-8". */
export function exactly(epochMs) {
  return WITH_ZONE.format(epochMs);
}

const WITH_SHORT_DAY = new Intl.DateTimeFormat("en-GB", SHORT);

/** A time with its day and seconds, short: "7 Mar, 17:05:31". */
export function shortly(epochMs) {
  return WITH_SHORT_DAY.format(epochMs);
}

/** A time of day, with its day when that isn't today. */
export function since(epochMs, now) {
  return new Date(epochMs).toDateString() === new Date(now).toDateString() ? clock(epochMs) : moment(epochMs);
}

/** Text from outside as a label: control and direction characters shown as what they are, length bounded. */
export function label(text, longest = LONGEST_LABEL) {
  const shown = String(text).slice(0, longest);
  return shown.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, "\ufffd");
}

/** The range of speeds of each category, by thresholds in mph, in the unit that is shown. */
export function ranges(thresholdsMph, unit) {
  const [free, moderate, heavy] = thresholdsMph.map((mph) => String(Math.round(mph * UNITS_PER_MPH[unit])));
  return {
    free_flow: `≥ ${free}`,
    moderate_traffic: `${moderate}–${free}`,
    heavy_traffic: `${heavy}–${moderate}`,
    severe_congestion: `< ${heavy}`,
  };
}

/** Where a speed's bar ends, from 0 to 1. */
export function share(value, unit) {
  const fullScale = 75 * UNITS_PER_MPH[unit];
  return typeof value === "number" ? Math.min(1, Math.max(0, value / fullScale)) : 0;
}

/** The points of a sparkline in a box of 60 by 16, the full scale from bottom to top; empty for fewer than two. */
export function sparkline(values, unit) {
  if (values.length < 2) return "";
  const step = 60 / (values.length - 1);
  return values.map((value, index) => `${(index * step).toFixed(1)},${(15 - 14 * share(value, unit)).toFixed(1)}`).join(" ");
}

/** Whether the server has not reached its topic in all this time; a start that goes well takes less. */
function isStuck(consumer, seconds) {
  return consumer?.state === "starting" && seconds >= STARTED_SECONDS;
}

/**
 * The pill: `{ tone, text, spoken }`. Tones: ok, busy, warn, bad. What is spoken doesn't change with every second.
 * `news` is `{ at, staleSeconds, any }`: when the last came, how old all is if it is old, whether there is anything.
 */
export function pill({ connection, consumer, news, now, browserOnline = true, shown = {} }) {
  const { time = null, paused = false, waiting = 0 } = shown;
  if (time !== null) return { tone: "busy", text: `Replay ${clock(time)}`, spoken: "Showing the past" };
  if (paused) return { tone: "busy", text: `Paused (${waiting.toLocaleString("en")} waiting)`, spoken: "Paused" };
  const { phase, attempt, retryAt, lostAt } = connection;
  if (phase === "live" || phase === "polling") return connected(connection, consumer, news, now);
  if (lostAt === null) return { tone: "busy", text: "Connecting", spoken: "Connecting" };
  if (!browserOnline || now - lostAt >= OFFLINE_AFTER_MS) {
    return { tone: "bad", text: `Offline since ${clock(lostAt)}`, spoken: "Offline" };
  }
  const spoken = "Connection lost, reconnecting";
  if (phase === "connecting") return { tone: "warn", text: `Reconnecting (try ${attempt})`, spoken };
  return { tone: "warn", text: `Reconnecting in ${secondsTo(retryAt, now)} s (try ${attempt})`, spoken };
}

function connected({ phase, transport, everySeconds }, consumer, news, now) {
  const last = newsInWords(news, now);
  if (kafkaIsAway(consumer)) return { tone: "warn", text: `Kafka away · ${last}`, spoken: "The server has lost Kafka" };
  if (consumer?.state === "starting") {
    return { tone: "warn", text: `Kafka not read yet · ${last}`, spoken: "The server doesn't read Kafka yet" };
  }
  if (phase === "polling") {
    return { tone: "busy", text: `Polling every ${everySeconds} s`, spoken: `Polling every ${everySeconds} seconds` };
  }
  if (news.staleSeconds !== null) return { tone: "warn", text: `Live · ${transport} · ${last}`, spoken: "Live, but the data is old" };
  return { tone: "ok", text: `Live · ${transport} · ${last}`, spoken: "Live" };
}

function newsInWords({ at, staleSeconds, any }, now) {
  if (staleSeconds !== null) return `newest data ${age(staleSeconds)} old`;
  if (at !== null) return ago(now - at);
  return any ? "no news yet" : "no data yet";
}

/** Whole seconds until a moment, at least 0. */
export function secondsTo(atMs, now) {
  return Math.max(0, Math.ceil((atMs - now) / 1000));
}

const GAPS = {
  bad_cursor: "the place to go on from could not be read",
  other_topic: "the topic is another one",
  topic_recreated: "the topic was created anew",
  truncated: "Kafka lost records",
  expired: "Kafka dropped them before they were read",
  too_old: "they are no longer in the server's memory",
  too_slow: "this browser was too slow",
};

/** A gap in words. */
export function gap({ reason, missed }) {
  const what = typeof missed === "number" ? plural(missed, "prediction was", "predictions were") : "Some may have been";
  return `${what} missed: ${GAPS[reason] ?? reason}. What you see now is complete again.`;
}

export function plural(count, one, many) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

/** How good one segment's predictions were, in words. */
export function judged({ horizon, score, persistence, unit }) {
  if (horizon === null) return "Not scored: its messages don't say how far ahead they look.";
  if (score === null) return "Not yet scored: the speeds that were predicted have not been measured yet.";
  const still = persistence ? `; if nothing changed: ${speed(persistence.rmse)}` : "";
  const what = `${plural(score.count, "prediction", "predictions")} of ${horizon} min scored`;
  return `${what}: RMSE ${speed(score.rmse)}, MAE ${speed(score.mae)} ${unit}${still}.`;
}

/** The banner: `{ kind, title, text }` for what an operator must know, or null. Kinds: bad, warn, info. */
export function banner({ connection, consumer, consumerSeconds = 0, now, hasData }) {
  if (connection.lostAt !== null) return serverAway(connection, now, hasData);
  if (kafkaIsAway(consumer)) return kafkaAway(consumer, hasData);
  if (isStuck(consumer, consumerSeconds)) {
    const cause = consumer.reason ? `Reason: ${label(consumer.reason)}.` : "";
    return { kind: "warn", title: `The server doesn't read Kafka yet, since ${clock(consumer.since, true)}`, text: cause };
  }
  if (consumer?.state === "catching_up") {
    const cause = consumer.reason ? ` Reason: ${label(consumer.reason)}.` : "";
    const text = hasData ? `What is shown is behind.${cause}` : "The server is reading what the topic holds already.";
    return { kind: "info", title: "Catching up", text };
  }
  return null;
}

function serverAway({ lostAt, retryAt, phase }, now, hasData) {
  const next = phase === "waiting" ? ` Next try in ${secondsTo(retryAt, now)} s.` : " Trying now.";
  const kept = hasData ? "The values below are kept as they were then; they are not live." : "";
  return { kind: "bad", title: `No connection to the server since ${clock(lostAt, true)}`, text: `${kept}${next}` };
}

function kafkaAway({ since, reason }, hasData) {
  const kept = hasData ? " The values below are kept; they are not live." : "";
  const cause = reason ? `Reason: ${label(reason)}.` : "";
  return { kind: "warn", title: `The server has lost Kafka since ${clock(since, true)}`, text: `${cause}${kept}` };
}
