/** Values as texts. Pure: no DOM, and the time is handed in. */

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const LONGEST_LABEL = 200;
const OFFLINE_AFTER_MS = 60_000;

export const LABELS = {
  free_flow: "Free flow",
  moderate_traffic: "Moderate",
  heavy_traffic: "Heavy",
  severe_congestion: "Severe",
  not_current: "Stale",
};

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

/** A time of day, "17:31" or "17:31:05". */
export function clock(epochMs, withSeconds = false) {
  const parts = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  if (withSeconds) parts.second = "2-digit";
  return new Intl.DateTimeFormat("en-GB", parts).format(epochMs);
}

/** A time with its day, "7 Mar 2012, 17:05". */
export function moment(epochMs) {
  return new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" }).format(epochMs);
}

/** Text from outside as a label: control and direction characters shown as what they are, length bounded. */
export function label(text) {
  const shown = String(text).slice(0, LONGEST_LABEL);
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

/** Whether the server has lost Kafka; what is shown then is kept, not current. */
export function kafkaIsAway(consumer) {
  return ["reconnecting", "circuit_open", "stopped"].includes(consumer?.state);
}

/** The pill: `{ tone, text, spoken }`. Tones: ok, busy, warn, bad. What is spoken doesn't change with every second. */
export function pill({ connection, consumer, newsAt, now, browserOnline = true, shown = {} }) {
  const { time = null, paused = false, waiting = 0 } = shown;
  if (time !== null) return { tone: "busy", text: `Replay ${clock(time)}`, spoken: "Showing the past" };
  if (paused) return { tone: "busy", text: `Paused (${waiting.toLocaleString("en")} waiting)`, spoken: "Paused" };
  const { phase, attempt, retryAt, lostAt } = connection;
  if (phase === "live" || phase === "polling") return connected(connection, consumer, newsAt, now);
  if (lostAt === null) return { tone: "busy", text: "Connecting", spoken: "Connecting" };
  if (!browserOnline || now - lostAt >= OFFLINE_AFTER_MS) {
    return { tone: "bad", text: `Offline since ${clock(lostAt)}`, spoken: "Offline" };
  }
  const spoken = "Connection lost, reconnecting";
  if (phase === "connecting") return { tone: "warn", text: `Reconnecting (try ${attempt})`, spoken };
  return { tone: "warn", text: `Reconnecting in ${secondsTo(retryAt, now)} s (try ${attempt})`, spoken };
}

function connected({ phase, transport, everySeconds }, consumer, newsAt, now) {
  const news = newsAt === null ? "no data yet" : ago(now - newsAt);
  if (kafkaIsAway(consumer)) return { tone: "warn", text: `Kafka away · ${news}`, spoken: "The server has lost Kafka" };
  if (phase === "polling") {
    return { tone: "busy", text: `Polling every ${everySeconds} s`, spoken: `Polling every ${everySeconds} seconds` };
  }
  return { tone: "ok", text: `Live · ${transport} · ${news}`, spoken: "Live" };
}

/** Whole seconds until a moment, at least 0. */
export function secondsTo(atMs, now) {
  return Math.max(0, Math.ceil((atMs - now) / 1000));
}

const GAPS = {
  bad_cursor: "the place to go on from could not be read",
  other_topic: "the topic is another one",
  topic_recreated: "the topic was created anew",
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
export function banner({ connection, consumer, now, hasData }) {
  if (connection.lostAt !== null) return serverAway(connection, now, hasData);
  if (kafkaIsAway(consumer)) return kafkaAway(consumer, hasData);
  if (consumer?.state === "catching_up") {
    return { kind: "info", title: "Catching up", text: "The server is reading what the topic holds already." };
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
