/**
 * The sentences about jams. Pure: no DOM, and times are parameters.
 *
 * @import { Jam, SpeedUnit } from "../types.d.ts"
 */
import { corridorOf } from "../network.js";
import { t } from "../texts.js";
import { clock, distance, DISTANCE_LABELS, fixed, label, plain, since, wholeSpeed } from "./format.js";

const MINUTES_OF_A_DAY = 1_440;
/** @type {{ growing: "jam.growing", easing: "jam.easing" }} */
const COURSES = { growing: "jam.growing", easing: "jam.easing" };
const HALF_A_DAY_MS = 43_200_000;

/**
 * Return the place of a road name: "Sunset" of "I-405 N at Sunset"; empty for a road and direction alone.
 *
 * @param {string | null | undefined} road
 */
export function placeIn(road) {
  const corridor = corridorOf(road);
  if (!road || corridor === null) return "";
  return label(road.slice(corridor.length)).replace(/^[\s,;:–-]+((at|near|by)\s+)?/i, "").replace(/ \(\d+\)$/, "").trim();
}

/**
 * Where a jam is: "US-101 S, Vermont → Silver Lake", "I-405 N at Sunset", or its segment if it has no road.
 *
 * @param {Jam} jam
 * @param {[string, string]} places names of its first and last segment, empty if not known
 */
export function jamName({ road, ids, first }, [from, to]) {
  if (road === null) return label(first.segment_id);
  const name = label(road);
  if (from && to) {
    if (from !== to) return `${name}, ${from} → ${to}`;
    return t(first.road_name === road ? "jam.near" : "jam.at", { road: name, place: from });
  }
  return ids.length === 1 ? `${name}, ${label(ids[0])}` : `${name}, ${label(ids[0])} → ${label(ids[ids.length - 1])}`;
}

/**
 * The delay against free flow: "12 min", "12 → 15 min"; the number of segments if no length is known.
 *
 * @param {Jam} jam
 */
export function delayText({ delayNow, delayNext, ids }) {
  if (delayNow === null && delayNext === null) return ids.length === 1 ? "" : t("segments", { count: ids.length });
  const [now, next] = [delayNow, delayNext].map((each) => (each === null ? null : whole(each)));
  if (now === null || next === null) return `${now ?? next} min`;
  return now === next ? `${now} min` : `${now} → ${next} min`;
}

/** @param {number} minutes */
function whole(minutes) {
  if (minutes < 0.95) return minutes < 0.05 ? "0" : fixed(minutes, 1);
  return String(Math.round(minutes));
}

/**
 * The delay in words, for screen readers and tooltips.
 *
 * @param {Jam} jam
 * @param {number | null} horizon
 */
export function delaySpoken({ delayNow, delayNext }, horizon) {
  const parts = [];
  if (delayNow !== null) parts.push(t("jam.delay_now", { minutes: whole(delayNow) }));
  if (delayNext !== null) parts.push(`${whole(delayNext)} min ${horizonWords(horizon)}`);
  return parts.length ? t("jam.delay", { delays: parts.join(", ") }) : "";
}

/**
 * What a jam is like: "3.2 mi · 9 mph now, 7 in 15 min · since 16:10 · growing".
 *
 * @param {Jam} jam
 * @param {{ unit: SpeedUnit, unitLabel: string, horizon: number | null, now: number }} given
 */
export function jamText(jam, { unit, unitLabel, horizon, now }) {
  const texts = [
    jam.km === null ? "" : `${distance(jam.km, unit)} ${DISTANCE_LABELS[unit]}`,
    speedsText(jam, unitLabel, horizon),
    onsetText(jam, now),
    jam.course === null || jam.course === "steady" ? "" : t(COURSES[jam.course]),
  ];
  return texts.filter(Boolean).join(" · ");
}

/**
 * @param {Jam} jam
 * @param {string} unit
 * @param {number | null} horizon
 */
function speedsText({ now, next }, unit, horizon) {
  if (now === null) return `${wholeSpeed(next ?? 0)} ${unit} ${horizonWords(horizon)}`;
  if (next === null) return t("cell.measured", { speed: wholeSpeed(now), unit });
  return `${t("alert.now", { speed: wholeSpeed(now), unit })}, ${wholeSpeed(next)} ${horizonWords(horizon)}`;
}

/** @param {number | null} horizon */
function horizonWords(horizon) {
  if (horizon === null || horizon <= 0 || horizon >= MINUTES_OF_A_DAY) return t("jam.predicted");
  return t("jam.in_minutes", { minutes: plain(horizon) });
}

/**
 * @param {Jam} jam
 * @param {number} now
 */
function onsetText({ isNow, since: begin, isOlder }, now) {
  if (!isNow) return t("jam.expected");
  if (begin === null) return "";
  const time = Math.abs(now - begin) < HALF_A_DAY_MS ? clock(begin) : since(begin, now);
  return t(isOlder ? "jam.since_before" : "jam.since", { time });
}

/**
 * The announcement of jams that began or ended; empty for none.
 *
 * @param {string[]} begun names
 * @param {string[]} ended names
 */
export function announcement(begun, ended) {
  return [listed("jams.begun", begun), listed("jams.ended", ended)].filter(Boolean).join(". ");
}

const MAX_NAMED = 3;

/**
 * @param {"jams.begun" | "jams.ended"} text
 * @param {string[]} names
 */
function listed(text, names) {
  if (names.length === 0) return "";
  const spoken = names.slice(0, MAX_NAMED).map((name) => name.replace(" → ", ` ${t("jam.to")} `));
  return t(text, { count: names.length, names: spoken.join("; ") });
}
