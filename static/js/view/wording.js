/**
 * The sentences of the page about connection, Kafka, gaps, alerts and accuracy. Pure: no DOM, and times are parameters.
 *
 * @import { AlertGroup } from "../alert-groups.js"
 * @import { Severity } from "../recording.js"
 * @import { ServerStatus } from "../server-status.js"
 * @import { TimeTravel } from "../time-travel.js"
 * @import { TextName } from "../texts.js"
 * @import { Alert, ConnectionState, Consumer, CountedScore, ScoreReport, Seen } from "../types.d.ts"
 * @typedef {Pick<ServerStatus, "connection" | "consumer" | "isKafkaUnreachable" | "consumerSeconds">} Status
 * @typedef {Record<import("./chart.js").Line, (number | null)[]>} Lines
 * @typedef {{ at: number | null, staleSeconds: number | null, any: boolean }} Updates
 */
import { speedOf, summaryOf } from "../alert-groups.js";
import { SIGNED_OUT } from "../server-status.js";
import { t } from "../texts.js";
import { translated } from "./reasons.js";
import { age, ago, change, clock, label, moment, percent, plain, since, speed, wholeChange, wholeSpeed } from "./format.js";

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
  if (time !== null) return { tone: "busy", text: t("pill.history", { time: clock(time) }), spoken: t("pill.history_spoken") };
  if (paused) return { tone: "busy", text: t("pill.paused", { waiting }), spoken: t("pill.paused_spoken") };
  const { phase, attempt, retryAt, lostAt, reason } = status.connection;
  if (phase === "live" || phase === "polling") return connectedPill(status, updatesText(updates, now, status.isKafkaUnreachable), updates);
  if (lostAt === null) return { tone: "busy", text: t("connecting"), spoken: t("connecting") };
  if (reason === SIGNED_OUT) return { tone: "bad", text: t("pill.signed_out"), spoken: t("pill.signed_out") };
  if (phase === "ended") return { tone: "bad", text: t("pill.refused"), spoken: t("pill.refused_spoken") };
  if (!browserOnline || now - lostAt >= OFFLINE_AFTER_MS) {
    return { tone: "bad", text: t("pill.offline", { time: clock(lostAt) }), spoken: t("pill.offline_spoken") };
  }
  const spoken = t("pill.lost_spoken");
  if (phase === "connecting") return { tone: "warn", text: t("pill.reconnecting", { attempt }), spoken };
  return { tone: "warn", text: t("pill.retrying", { seconds: secondsTo(retryAt ?? now, now), attempt }), spoken };
}

/**
 * @param {Status} status
 * @param {string} last
 * @param {Updates} updates
 */
function connectedPill({ connection: { phase, transport, everySeconds }, consumer, isKafkaUnreachable }, last, updates) {
  if (isKafkaUnreachable) {
    return { tone: "warn", text: t("pill.unreachable", { last }), spoken: t("pill.unreachable_spoken") };
  }
  if (consumer?.state === "starting") {
    return { tone: "warn", text: t("pill.waiting", { last }), spoken: t("pill.waiting_spoken") };
  }
  if (phase === "polling") {
    const seconds = everySeconds ?? 0;
    return { tone: "busy", text: t("pill.polling", { seconds }), spoken: t("pill.polling_spoken", { seconds }) };
  }
  const text = t("pill.live", { transport: transport ?? "", last });
  if (updates.staleSeconds !== null) return { tone: "warn", text, spoken: t("pill.old_spoken") };
  return { tone: "ok", text, spoken: t("pill.live_spoken") };
}

/**
 * @param {Updates} updates
 * @param {number} now
 * @param {boolean} isLost whether no update can come
 */
function updatesText({ at, staleSeconds, any }, now, isLost) {
  const oldSeconds = staleSeconds ?? (isLost && at !== null ? (now - at) / 1000 : null);
  if (oldSeconds !== null) return t("updates.old", { age: age(oldSeconds) });
  if (at !== null) return ago(now - at);
  return any ? t("updates.none") : t("updates.no_data");
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
    const title = t("banner.unreachable", { time: clock(consumer.since, true) });
    return { kind: "warn", title, text: joined(reasonText(consumer), hasData && t("banner.kept")) };
  }
  if (consumer.state === "starting" && consumerSeconds >= STARTED_SECONDS) {
    return { kind: "warn", title: t("banner.waiting", { time: clock(consumer.since, true) }), text: reasonText(consumer) };
  }
  if (consumer.state !== "catching_up") return null;
  const text = hasData
    ? joined(t("banner.behind"), reasonText(consumer))
    : t("banner.reading");
  return { kind: "info", title: t("banner.catching_up"), text };
}

/**
 * @param {number} lostAt
 * @param {ConnectionState} connection
 * @param {number} now
 * @param {boolean} hasData
 */
function disconnectedBanner(lostAt, { retryAt, phase, reason, error }, now, hasData) {
  const kept = hasData && t("banner.kept");
  if (reason === SIGNED_OUT) {
    const text = joined(t("banner.sign_in"), kept);
    return { kind: "bad", title: t("banner.signed_out", { time: clock(lostAt, true) }), text };
  }
  if (phase === "ended") {
    const text = joined(t("banner.reason", { reason: label(error ?? "") }), kept);
    return { kind: "bad", title: t("banner.refused", { time: clock(lostAt, true) }), text };
  }
  const next = phase === "waiting" ? t("banner.next", { seconds: secondsTo(retryAt ?? now, now) }) : t("banner.reconnecting");
  const text = joined(kept, next);
  return { kind: "bad", title: t("banner.lost", { time: clock(lostAt, true) }), text };
}

/** @param {Consumer} consumer */
function reasonText({ reason }) {
  return reason ? t("banner.reason", { reason: label(translated(reason)) }) : "";
}

/** @type {Record<string, TextName>} */
const GAP_REASONS = {
  ahead: "gap.ahead",
  bad_cursor: "gap.bad_cursor",
  expired: "gap.expired",
  other_topic: "gap.other_topic",
  replay_failed: "gap.replay_failed",
  replay_limit: "gap.replay_limit",
  too_old: "gap.too_old",
  too_slow: "gap.too_slow",
  topic_recreated: "gap.topic_recreated",
  truncated: "gap.truncated",
};

/**
 * A gap in the stream, after which the server sends the whole view.
 *
 * @param {{ reason: string, missed: number | null }} gap
 */
export function gapText({ reason, missed }) {
  const what = typeof missed === "number" ? t("gap.missed", { count: missed }) : t("gap.may_be_missing");
  const why = Object.hasOwn(GAP_REASONS, reason) ? t(GAP_REASONS[reason]) : label(reason);
  return t("gap.text", { what, why });
}

/** @type {Record<string, TextName>} */
const SILENCE_TEXTS = { stale: "alert.stale", silent: "alert.silent" };

/**
 * An alert: "Severe since 16:10: 4 mph now, 31 mph predicted for 16:25", "17 mph drop expected: 60 mph now, …",
 * "Severe since 16:10: 4 mph measured now" without a prediction.
 *
 * @param {Alert} alert
 * @param {{ unit: string, freshness: string, ageSeconds: number, isCurrent: boolean, now: number }} given
 */
export function alertText(alert, { unit, freshness, ageSeconds, isCurrent, now }) {
  const what = alert.kind === "severe" ? t("alert.severe", { time: since(alert.since, now) }) : dropText(alert, unit);
  const text = `${what}: ${speedsText(alert, unit, isCurrent, now)}`;
  const silence = SILENCE_TEXTS[freshness];
  return silence ? `${text}; ${t(silence, { age: age(ageSeconds) })}` : text;
}

/**
 * @param {Alert} alert
 * @param {string} unit
 */
function dropText({ change: drop }, unit) {
  return t("alert.drop", { speed: wholeChange(drop ?? 0), unit });
}

/**
 * @param {Alert} alert
 * @param {string} unit
 * @param {boolean} isCurrent
 * @param {number} time
 */
function speedsText({ now, value, target }, unit, isCurrent, time) {
  const measured = { speed: wholeSpeed(now ?? 0), unit };
  if (value === null) return t(isCurrent ? "alert.only_now" : "alert.only_last", measured);
  const predicted = { speed: wholeSpeed(value), unit };
  const next = target === null ? t("alert.predicted", predicted) : t("alert.predicted_for", { ...predicted, time: since(target, time) });
  return now === null ? next : `${t(isCurrent ? "alert.now" : "alert.last", measured)}, ${next}`;
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
    severe > 0 && t("alerts.severe", { count: severe }),
    drops > 0 && t("alerts.drops", { count: drops }),
    open > 0 && open < group.alerts.length && t("alerts.new", { count: open }),
  ];
  const place = label(slowest.road ?? "").slice(group.road.length).trim() || [near, label(slowest.id)].filter(Boolean).join(", ");
  const text = t("alerts.slowest", { speed: wholeSpeed(speedOf(slowest)), unit, place, time: since(begin, now) });
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
  if (horizon === null) return t("accuracy.no_horizon");
  if (score === null) return t("accuracy.none");
  const checked = t("accuracy.checked", { count: score.count, horizon: plain(horizon), rmse: speed(score.rmse), mae: speed(score.mae), unit });
  const baselines = [noChange && t("accuracy.no_change", { rmse: speed(noChange.rmse) }), usual && t("accuracy.usual", { rmse: speed(usual.rmse) })];
  return joined(
    score.count >= MANY && t("accuracy.typical", { speed: wholeChange(score.mae), unit }),
    `${[checked, ...baselines].filter(Boolean).join("; ")}.`,
    coverage && t("accuracy.interval", { held: coverage.held, count: coverage.count }),
  );
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
  if (report === null || score === null) return hasFailed ? t("regimes.failed") : t("loading");
  const bound = t("regimes.bound", { speed: speed(report.congested_below), unit });
  const level = report.interval_level === null || score.intervals === null ? "" : t("regimes.level", { percent: percent(report.interval_level) });
  const missing = score.not_judged === 0 ? "" : t("regimes.not_judged", { count: score.not_judged });
  const late = score.late === 0 ? "" : t("regimes.late", { count: score.late });
  return joined(bound, level, missing, late, hasFailed && t("regimes.old"));
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
  const interval = next >= 0 && typeof lower[next] === "number" ? `, ${t("chart.interval", { from: speed(lower[next]), to: speed(upper[next]) })}` : "";
  const usual = now >= 0 && typeof median[now] === "number" && t("chart.usual", { median: speed(median[now]), from: speed(low[now]), to: speed(high[now]), unit });
  const values = t("chart.text", { measured: speed(measured[now]), predicted: speed(predicted[next]), unit });
  return joined(`${values}${interval}.`, usual, accuracy);
}

/** @type {Record<string, TextName>} */
const GAPS = {
  expired: "past.expired",
  replay_failed: "past.replay_failed",
  replay_limit: "past.replay_limit",
  too_old: "past.too_old",
};

/**
 * Why a history is not complete, in words.
 *
 * @param {string} reason
 */
export function historyGapText(reason) {
  return Object.hasOwn(GAPS, reason) ? t(GAPS[reason]) : label(reason);
}

/**
 * The state of the history that is shown; empty if there is nothing to say.
 *
 * @param {Pick<TimeTravel, "state" | "loaded" | "missed" | "range" | "gap" | "stepMs" | "intervalMs">} past
 */
export function historyText({ state, loaded, missed, range, gap, stepMs, intervalMs }) {
  if (state === "reading") return loaded === 0 ? t("past.loading") : t("past.loading_count", { count: loaded });
  if (state === "failed") return t("past.failed");
  if (state === "empty") return t("past.empty");
  if (missed !== null) return missedText(missed, range);
  if (state !== "there") return "";
  const earlier = gap === null ? "" : t("past.gap", { reason: historyGapText(gap) });
  const step = stepMs > intervalMs ? t("past.step", { age: age(stepMs / 1000) }) : "";
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
  if (severe === 0) return t("past.none_severe");
  const at = first + ((last - first) * (worst + 0.5)) / severity.length;
  return t("past.worst", { time: moment(at), severe, count: known });
}

/**
 * That the history doesn't reach the time of a link.
 *
 * @param {number} missed
 * @param {[number, number]} range
 */
export function missedText(missed, [first]) {
  return t(missed < first ? "past.oldest" : "past.newest", { time: moment(missed) });
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

/** @param {(string | false | null)[]} sentences */
function joined(...sentences) {
  return sentences.filter(Boolean).join(" ");
}
