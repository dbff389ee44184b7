/**
 * The reasons of the consumer's states in the language of the page. The server gives them in English, by the sentences of
 * consumer/view/reasons.py; others are shown as they are. Pure.
 *
 * @import { TextName } from "../texts.js"
 */
import { t } from "../texts.js";

const SEE_LOG = "; the server's log says what is wrong";

/** @type {[string, TextName][]} */
const SENTENCES = [
  ["not started", "reason.not_started"],
  ["stop() was called", "reason.stopped"],
  ["connecting to Kafka", "reason.connecting"],
  ["no response from the broker for {seconds} s", "reason.silent"],
  ["no answer to {failures} or more attempts; probing at most every {seconds} s", "reason.circuit_open"],
  ["topic {topic} does not exist, or may not be seen; it is picked up when it is there", "reason.topic_missing"],
  ["no topic matches {topic}, or may not be seen; it is picked up when it is there", "reason.no_topic_matches"],
  ["no response from the leader of partition {partition}", "reason.leader_silent"],
  ["no response from the leader of partitions {partitions}", "reason.leaders_silent"],
  ["the leaders of all partitions answer again", "reason.leaders_back"],
  ["positioned at offsets {offsets}", "reason.at_offsets"],
  ["positioned in {partitions} partitions of {topics} topics", "reason.in_partitions"],
  ["more than {seconds} s behind the end of the topic (MAX_LAG)", "reason.behind"],
  ["read up to the high watermark of every partition", "reason.current"],
  ["a request to Kafka failed", "reason.failed"],
  ["unexpected {error}, see the log", "reason.unexpected"],
  ["the consumer thread is stalled", "reason.stalled"],
];

/** @type {[RegExp, TextName][]} */
const PATTERNS = SENTENCES.map(([sentence, name]) => [patternOf(sentence), name]);

/**
 * Return a reason of the server in the language of the page; one that is not known as it is.
 *
 * @param {string} reason
 */
export function translated(reason) {
  const seesLog = reason.endsWith(SEE_LOG);
  const sentence = seesLog ? reason.slice(0, -SEE_LOG.length) : reason;
  for (const [pattern, name] of PATTERNS) {
    const found = pattern.exec(sentence);
    if (found) return t(name, found.groups) + (seesLog ? t("reason.see_log") : "");
  }
  return reason;
}

/** @param {string} sentence */
function patternOf(sentence) {
  const escaped = sentence.replace(/[.()]/g, "\\$&");
  return new RegExp(`^${escaped.replace(/\{(\w+)\}/g, "(?<$1>.+)")}$`);
}
