/**
 * The sentences of the page about connection, Kafka, gaps, alerts and accuracy. Pure: no DOM, and times are parameters.
 *
 * @import { AlertGroup } from "../alert-groups.js"
 * @import { Severity } from "../recording.js"
 * @import { ServerStatus } from "../server-status.js"
 * @import { TimeTravel } from "../time-travel.js"
 * @import { Alert, ConnectionState, Consumer, CountedScore, ScoreReport, Seen } from "../types.d.ts"
 * @typedef {Pick<ServerStatus, "connection" | "consumer" | "isKafkaUnreachable" | "consumerSeconds">} Status
 * @typedef {Record<import("./chart.js").Line, (number | null)[]>} Lines
 * @typedef {{ at: number | null, staleSeconds: number | null, any: boolean }} Updates
 */
import { speedOf, summaryOf } from "../alert-groups.js";
import { SIGNED_OUT } from "../server-status.js";
import { age, ago, change, clock, label, moment, percent, plural, since, speed, wholeChange, wholeSpeed } from "./format.js";

const OFFLINE_AFTER_MS = 60_000;
const STARTED_SECONDS = 5;
/** Checked forecasts that say what is usual: those of an hour. */
const MANY = 12;
const MAX_NOTE = 500;

/**
 * The connection pill. Tones: ok, busy, warn, bad. The text for screen readers, `spoken`, changes with the state only.
 *
 * @param {object} given
 * @param {Status} given.status
 * @param {Updates} given.updates when the last one arrived; the age of all data if it is old; whether there is data
 * @param {number} given.now
 * @param {boolean} [given.browserOnline]
 * @param {{ time?: number | null, paused?: boolean, waiting?: number }} [given.shown] what is shown instead of live data
 */
export function pill({ status, updates, now, browserOnline = true, shown = {} }) {
  const { time = null, paused = false, waiting = 0 } = shown;
  if (time !== null) return { tone: "busy", text: `History · ${clock(time)}`, spoken: "Showing history" };
  if (paused) return { tone: "busy", text: `Paused (${waiting.toLocaleString("en")} waiting)`, spoken: "Paused" };
  const { phase, attempt, retryAt, lostAt, reason } = status.connection;
  if (phase === "live" || phase === "polling") return connectedPill(status, updatesText(updates, now), updates);
  if (lostAt === null) return { tone: "busy", text: "Connecting", spoken: "Connecting" };
  if (reason === SIGNED_OUT) return { tone: "bad", text: "Signed out", spoken: "Signed out" };
  if (phase === "ended") return { tone: "bad", text: "Refused", spoken: "The server refuses the connection" };
  if (!browserOnline || now - lostAt >= OFFLINE_AFTER_MS) {
    return { tone: "bad", text: `Offline since ${clock(lostAt)}`, spoken: "Offline" };
  }
  const spoken = "Connection lost, reconnecting";
  if (phase === "connecting") return { tone: "warn", text: `Reconnecting (attempt ${attempt})`, spoken };
  return { tone: "warn", text: `Retrying in ${secondsTo(retryAt ?? now, now)} s (attempt ${attempt})`, spoken };
}

/**
 * @param {Status} status
 * @param {string} last
 * @param {Updates} updates
 */
function connectedPill({ connection: { phase, transport, everySeconds }, consumer, isKafkaUnreachable }, last, updates) {
  if (isKafkaUnreachable) {
    return { tone: "warn", text: `Kafka unreachable · ${last}`, spoken: "The server can't reach Kafka" };
  }
  if (consumer?.state === "starting") {
    return { tone: "warn", text: `Waiting for Kafka · ${last}`, spoken: "The server is waiting for Kafka" };
  }
  if (phase === "polling") {
    return { tone: "busy", text: `Polling every ${everySeconds} s`, spoken: `Polling every ${everySeconds} seconds` };
  }
  const text = `Live · ${transport} · ${last}`;
  if (updates.staleSeconds !== null) return { tone: "warn", text, spoken: "Live, but the data is old" };
  return { tone: "ok", text, spoken: "Live" };
}

/**
 * @param {Updates} updates
 * @param {number} now
 */
function updatesText({ at, staleSeconds, any }, now) {
  if (staleSeconds !== null) return `newest data ${age(staleSeconds)} old`;
  if (at !== null) return ago(now - at);
  return any ? "no updates yet" : "no data yet";
}

/**
 * Whole seconds until a time, at least 0.
 *
 * @param {number} atMs
 * @param {number} now
 */
export function secondsTo(atMs, now) {
  return Math.max(0, Math.ceil((atMs - now) / 1000));
}

/**
 * The banner about connection or Kafka, or null. Kinds: bad, warn, info.
 *
 * @param {{ status: Status, now: number, hasData: boolean }} given
 * @returns {{ kind: string, title: string, text: string } | null}
 */
export function banner({ status, now, hasData }) {
  const { connection, consumer, consumerSeconds } = status;
  if (connection.lostAt !== null) return disconnectedBanner(connection.lostAt, connection, now, hasData);
  if (consumer === null) return null;
  if (status.isKafkaUnreachable) {
    const title = `Kafka unreachable since ${clock(consumer.since, true)}`;
    return { kind: "warn", title, text: joined(reasonText(consumer), hasData && "Showing the last known values.") };
  }
  if (consumer.state === "starting" && consumerSeconds >= STARTED_SECONDS) {
    return { kind: "warn", title: `Waiting for Kafka since ${clock(consumer.since, true)}`, text: reasonText(consumer) };
  }
  if (consumer.state !== "catching_up") return null;
  const text = hasData
    ? joined("The values shown are behind the topic.", reasonText(consumer))
    : "The server is reading the existing messages of the topic.";
  return { kind: "info", title: "Catching up", text };
}

/**
 * @param {number} lostAt
 * @param {ConnectionState} connection
 * @param {number} now
 * @param {boolean} hasData
 */
function disconnectedBanner(lostAt, { retryAt, phase, reason, error }, now, hasData) {
  const kept = hasData && "Showing the last known values.";
  if (reason === SIGNED_OUT) {
    const text = joined("The token has expired, or was revoked. Reload the page to sign in.", kept);
    return { kind: "bad", title: `Signed out since ${clock(lostAt, true)}`, text };
  }
  if (phase === "ended") {
    const text = joined(`Reason: ${label(error ?? "")}.`, kept);
    return { kind: "bad", title: `Refused by the server since ${clock(lostAt, true)}`, text };
  }
  const next = phase === "waiting" ? `Next attempt in ${secondsTo(retryAt ?? now, now)} s.` : "Reconnecting now.";
  const text = joined(kept, next);
  return { kind: "bad", title: `No connection to the server since ${clock(lostAt, true)}`, text };
}

/** @param {Consumer} consumer */
function reasonText({ reason }) {
  return reason ? `Reason: ${label(reason)}.` : "";
}

/** @type {Record<string, string>} */
const GAP_REASONS = {
  ahead: "the server's position is behind this browser's",
  bad_cursor: "the resume position was not valid",
  expired: "Kafka deleted them before they were read",
  other_topic: "the topic is a different one",
  replay_failed: "the server could not read them from Kafka",
  replay_limit: "too many to send again",
  too_old: "no longer in the server's memory",
  too_slow: "this browser was too slow",
  topic_recreated: "the topic was recreated",
  truncated: "Kafka lost records",
};

/**
 * A gap in the stream, after which the server sends the whole view.
 *
 * @param {{ reason: string, missed: number | null }} gap
 */
export function gapText({ reason, missed }) {
  const count = typeof missed === "number" ? `${plural(missed, "prediction", "predictions")} missed` : null;
  const why = Object.hasOwn(GAP_REASONS, reason) ? GAP_REASONS[reason] : label(reason);
  return `${count ?? "Predictions may be missing"}: ${why}. The view was loaded again.`;
}

/** @type {Record<string, string>} */
const SILENCE_TEXTS = { stale: "stale, no update", silent: "no data" };

/**
 * An alert: "Severe since 16:10: 4 mph now, 31 mph predicted for 16:25", "17 mph drop expected: 60 mph now, …",
 * "Severe since 16:10: 4 mph measured now" without a prediction.
 *
 * @param {Alert} alert
 * @param {{ unit: string, freshness: string, ageSeconds: number, isCurrent: boolean, now: number }} given
 */
export function alertText(alert, { unit, freshness, ageSeconds, isCurrent, now }) {
  const what = alert.kind === "severe" ? `Severe since ${since(alert.since, now)}` : dropText(alert, unit);
  const text = `${what}: ${speedsText(alert, unit, isCurrent, now)}`;
  const silence = SILENCE_TEXTS[freshness];
  return silence ? `${text}; ${silence} for ${age(ageSeconds)}` : text;
}

/**
 * @param {Alert} alert
 * @param {string} unit
 */
function dropText({ change: drop }, unit) {
  return `${wholeChange(drop ?? 0)} ${unit} drop expected`;
}

/**
 * @param {Alert} alert
 * @param {string} unit
 * @param {boolean} isCurrent
 * @param {number} time
 */
function speedsText({ now, value, target }, unit, isCurrent, time) {
  if (value === null) return `${wholeSpeed(now ?? 0)} ${unit} measured${isCurrent ? " now" : " last"}`;
  const measured = now === null ? "" : `${wholeSpeed(now)} ${unit} ${isCurrent ? "now" : "last"}, `;
  return `${measured}${wholeSpeed(value)} ${unit} predicted${target === null ? "" : ` for ${since(target, time)}`}`;
}

/**
 * The alerts of a road: "12 severe, 3 drops, 9 new" and "4 mph at Sunset, since 16:10".
 *
 * @param {AlertGroup} group
 * @param {string} unit
 * @param {number} now
 * @param {string} near where the slowest is, if its road name doesn't say it: "near I-10"
 */
export function groupText(group, unit, now, near = "") {
  const { open, severe, drops, since: begin, slowest } = summaryOf(group);
  const counts = [
    severe > 0 && `${severe.toLocaleString("en")} severe`,
    drops > 0 && plural(drops, "drop", "drops"),
    open > 0 && open < group.alerts.length && `${open.toLocaleString("en")} new`,
  ];
  const place = label(slowest.road ?? "").slice(group.road.length).trim() || [near, label(slowest.id)].filter(Boolean).join(", ");
  const text = `${wholeSpeed(speedOf(slowest))} ${unit} ${place}, since ${since(begin, now)}`;
  return { counts: counts.filter(Boolean).join(", "), text, open, kind: /** @type {Alert["kind"]} */ (severe > 0 ? "severe" : "drop"), since: begin };
}

/**
 * Who has seen an alert: "Ann, 17:05: crew on the way".
 *
 * @param {Seen} seen
 * @param {number} now by the clock of the page, as `at` is by that of the server
 */
export function seenText({ name, note, at }, now) {
  return `${label(name)}, ${since(at, now)}${note ? `: ${label(note, MAX_NOTE)}` : ""}`;
}

/**
 * How good the forecasts of one segment were.
 *
 * @param {object} given
 * @param {number | null} given.horizon
 * @param {{ count: number, rmse: number, mae: number } | null} given.score
 * @param {{ rmse: number } | null} given.noChange
 * @param {{ rmse: number } | null} [given.usual]
 * @param {{ count: number, held: number } | null} [given.coverage] of the prediction intervals
 * @param {string} given.unit
 */
export function accuracyText({ horizon, score, noChange, usual = null, coverage = null, unit }) {
  if (horizon === null) return "Forecasts can't be checked: the messages state no horizon.";
  if (score === null) return "No forecasts checked yet: no speed has been measured at a target time.";
  const count = plural(score.count, "forecast", "forecasts");
  const other = noChange ? `; no-change forecast: RMSE ${speed(noChange.rmse)}` : "";
  const baseline = usual ? `; usual speed: RMSE ${speed(usual.rmse)}` : "";
  const typical = score.count >= MANY ? `Usually off by ${wholeChange(score.mae)} ${unit} here. ` : "";
  return `${typical}${count} of ${horizon} min checked: RMSE ${speed(score.rmse)}, MAE ${speed(score.mae)} ${unit}${other}${baseline}.${coverage ? ` ${coverage.held} of ${coverage.count} within their interval.` : ""}`;
}

/**
 * What is to be known of the accuracy by traffic: "Congested: below 45.0 mph when predicted and at the target time, …".
 *
 * @param {object} given
 * @param {ScoreReport | null} given.report
 * @param {CountedScore | null} given.score
 * @param {boolean} given.hasFailed
 * @param {string} given.unit
 */
export function regimesText({ report, score, hasFailed, unit }) {
  if (report === null || score === null) return hasFailed ? "The server did not send it. Trying again." : "Loading …";
  const bound = `Congested: below ${speed(report.congested_below)} ${unit} when predicted and at the target time; transition: at one of them.`;
  const level = report.interval_level === null || score.intervals === null ? "" : `${percent(report.interval_level)} should be inside the interval.`;
  const missing = score.not_judged === 0 ? "" : `${score.not_judged.toLocaleString("en")} not checked: no speed measured near the target time.`;
  const late = score.late === 0 ? "" : `${score.late.toLocaleString("en")} came after the target time was measured.`;
  return joined(bound, level, missing, late, hasFailed && "Out of date: the server did not answer.");
}

/**
 * The last values of a chart's lines in words, with the usual speed at the time of the last measured one.
 *
 * @param {{ lines: Lines, accuracy: string, unit: string }} given
 */
export function chartText({ lines, accuracy, unit }) {
  const { low, median, high, lower, upper, measured, predicted } = lines;
  /** @param {(number | null)[]} values */
  const lastOf = (values) => values.findLastIndex((each) => each !== null);
  const [now, next] = [lastOf(measured), lastOf(predicted)];
  const interval = next >= 0 && typeof lower[next] === "number" ? `, from ${speed(lower[next])} to ${speed(upper[next])}` : "";
  const usual = now >= 0 && typeof median[now] === "number" ? ` Usual ${speed(median[now])}, from ${speed(low[now])} to ${speed(high[now])} ${unit}.` : "";
  return `Chart: measured ${speed(measured[now])}, predicted ${speed(predicted[next])} ${unit}${interval}.${usual} ${accuracy}`;
}

/** @type {Record<string, string>} */
const GAPS = {
  expired: "Kafka no longer has it",
  replay_failed: "the server could not read it from Kafka",
  replay_limit: "more records than the server reads for one client",
  too_old: "the server can't read Kafka now",
};

/**
 * Why a history is not complete, in words.
 *
 * @param {string} reason
 */
export function historyGapText(reason) {
  return Object.hasOwn(GAPS, reason) ? GAPS[reason] : label(reason);
}

/**
 * The state of the history that is shown; empty if there is nothing to say.
 *
 * @param {Pick<TimeTravel, "state" | "loaded" | "missed" | "range" | "gap" | "stepMs" | "intervalMs">} past
 */
export function historyText({ state, loaded, missed, range, gap, stepMs, intervalMs }) {
  if (state === "reading") return loaded === 0 ? "Loading history …" : `Loading history … ${plural(loaded, "prediction", "predictions")}`;
  if (state === "failed") return "History could not be loaded";
  if (state === "empty") return "No history yet";
  if (missed !== null) return missedText(missed, range);
  if (state !== "there") return "";
  const earlier = gap === null ? "" : `Earlier history is missing: ${historyGapText(gap)}.`;
  const step = stepMs > intervalMs ? `One view per ${age(stepMs / 1000)}: the history is too long to keep all.` : "";
  return joined(earlier, step);
}

/**
 * The strip above the slider: "Most severe at 7 Mar 2012, 17:05: 41 of 207 segments."
 *
 * @param {Severity[]} severity
 * @param {[number, number]} range
 */
export function severityText(severity, [first, last]) {
  const worst = severity.reduce((most, { severe }, at) => (severe > severity[most].severe ? at : most), 0);
  const { severe = 0, known = 0 } = severity[worst] ?? {};
  if (severe === 0) return "No segment was severe.";
  const at = first + ((last - first) * (worst + 0.5)) / severity.length;
  return `Most severe at ${moment(at)}: ${severe.toLocaleString("en")} of ${plural(known, "segment", "segments")}.`;
}

/**
 * That the history doesn't reach the time of a link.
 *
 * @param {number} missed
 * @param {[number, number]} range
 */
export function missedText(missed, [first]) {
  return `No history for ${moment(missed)}; showing the ${missed < first ? "oldest" : "newest"} available`;
}

/**
 * The change of a speed with its unit.
 *
 * @param {number | null | undefined} value
 * @param {string} unit
 */
export function changeText(value, unit) {
  return typeof value === "number" ? `${change(value)} ${unit}` : change(value);
}

/** @param {(string | false)[]} sentences */
function joined(...sentences) {
  return sentences.filter(Boolean).join(" ");
}
