/**
 * Finds jams: neighbouring segments of one road and direction that are slow, measured now or predicted for the chosen
 * time. Pure.
 *
 * A segment is slow if its category is heavy or severe. Segments that do not report are part of a jam if there are slow
 * ones on both sides, and not more than two of them follow each other. The delay is against the lowest speed of free
 * flow; a segment that is only measured or only predicted has this speed in both delays. A jam keeps its key while it
 * has segments in common with what it was before.
 *
 * @import { Stretch } from "./stretches.js"
 * @import { Store } from "./store.js"
 * @import { Jam, Shown } from "./types.d.ts"
 * @typedef {{ id: string, shown: Shown, km: number | null, now: number | null, next: number | null }} Member
 */
import { SEVERE } from "./categories.js";
import { isJam } from "./speeds.js";
import { Stretches } from "./stretches.js";

const MOST_UNKNOWN = 2;
/** A speed of 0 must not make a delay without end. */
export const LEAST_MPH = 3;
const LEAST_KM = 0.05;
const LEAST_GROWTH_MINUTES = 0.5;
const GROWTH = 1.1;
/** A jam that is back within this time is the same one. */
const HOLD_MS = 60_000;

export class Jams {
  #stretches = new Stretches();
  /** @type {Map<string, Jam>} by key */
  #known = new Map();
  /** @type {Map<string, { jam: Jam, at: number }>} jams that were not found again, by key */
  #gone = new Map();
  #count = 0;
  /** @type {Store | null} */
  #store = null;
  /** @type {unknown} */
  #time = null;
  #hadView = false;
  /** @type {Jam[]} */
  #begun = [];
  /** @type {Jam[]} */
  #ended = [];

  /**
   * Use the lengths of a network.
   *
   * @param {Map<string, number>} km by segment
   */
  setLengths(km) {
    this.#stretches.setLengths(km);
  }

  /**
   * Return the jams, the largest delay first. Those of unknown length come last, the lowest speed first.
   *
   * @param {Store} store
   */
  update(store) {
    const found = this.#stretches.of(store.segments).flatMap((stretch) => jamsOf(stretch, store));
    found.sort((one, other) => worst(other) - worst(one) || slowest(one) - slowest(other));
    const isOther = store !== this.#store || store.time !== this.#time || store.isPast || !this.#hadView;
    [this.#store, this.#time, this.#hadView] = [store, store.time, store.hasView];
    this.#identify(found, isOther, store);
    return found;
  }

  /** Return the jams that have begun or ended since the last call. */
  takeEvents() {
    const events = { begun: this.#begun, ended: this.#ended };
    [this.#begun, this.#ended] = [[], []];
    return events;
  }

  /**
   * @param {Jam[]} found
   * @param {boolean} isOther whether another time is shown, or the first view, so that nothing has begun or ended
   * @param {Store} store
   */
  #identify(found, isOther, store) {
    const now = store.clock();
    const before = this.#known;
    const keyOf = new Map();
    for (const { jam } of this.#gone.values()) for (const id of jam.ids) keyOf.set(id, jam.key);
    for (const jam of before.values()) for (const id of jam.ids) keyOf.set(id, jam.key);
    this.#known = new Map();
    for (const jam of found) {
      const key = mostFrequent(jam.ids.map((id) => keyOf.get(id)).filter((each) => each && !this.#known.has(each)));
      jam.key = key ?? `jam ${(this.#count += 1)}`;
      this.#known.set(jam.key, jam);
      this.#gone.delete(jam.key);
      if (key === null && !isOther) this.#begun.push(jam);
    }
    if (isOther) return this.#gone.clear();
    for (const [key, jam] of before) if (!this.#known.has(key)) this.#gone.set(key, { jam, at: now });
    for (const [key, { jam, at }] of this.#gone) {
      if (now - at < HOLD_MS) continue;
      this.#gone.delete(key);
      if (jam.ids.some((id) => reports(id, store))) this.#ended.push(jam);
    }
    return undefined;
  }
}

/**
 * @param {Stretch} stretch
 * @param {Store} store
 * @returns {Jam[]}
 */
function jamsOf({ road, ids, km, isOrdered }, store) {
  /** @type {Member[][]} */
  const runs = [];
  /** @type {Member[]} */
  let run = [];
  /** @type {Member[]} */
  let unknown = [];
  for (const [index, id] of ids.entries()) {
    const shown = store.segments.get(id);
    if (!shown) continue;
    const member = { id, shown, km: km?.[index] ?? null, ...store.currentSpeeds(shown) };
    if (member.now === null && member.next === null) unknown.push(member);
    else if (isSlow(member, store)) {
      if (run.length === 0) runs.push(run);
      else if (isOrdered) run.push(...unknown);
      run.push(member);
      unknown = [];
    } else if (isOrdered) [run, unknown] = [[], []];
    if (isOrdered && unknown.length > MOST_UNKNOWN) run = [];
    if (run.length === 0) unknown = [];
  }
  return runs.map((members) => jamOf(road, members, store));
}

/**
 * @param {string} id
 * @param {Store} store
 */
function reports(id, store) {
  const shown = store.segments.get(id);
  if (!shown) return false;
  const { now, next } = store.currentSpeeds(shown);
  return now !== null || next !== null;
}

/**
 * @param {Member} member
 * @param {Store} store
 */
function isSlow({ now, next }, { scale }) {
  return isJam(scale.category(now)) || isJam(scale.category(next));
}

/**
 * @param {string | null} road
 * @param {Member[]} members
 * @param {Store} store
 * @returns {Jam}
 */
function jamOf(road, members, store) {
  const { scale } = store;
  const lengths = members.map(({ km }) => (km === null ? null : Math.max(LEAST_KM, km)));
  const km = lengths.includes(null) ? null : lengths.reduce((sum, each) => (sum ?? 0) + (each ?? 0), 0);
  const measured = members.map(({ now }) => now);
  const predicted = members.map(({ next }) => next);
  const [now, next] = [measured, predicted].map((speeds) => through(lengths, speeds, store).speed);
  const filled = [members.map((each) => each.now ?? each.next), members.map((each) => each.next ?? each.now)];
  const [before, after] = filled.map((speeds) => through(lengths, speeds, store));
  const categories = [...measured, ...predicted].map((speed) => scale.category(speed));
  return {
    key: "",
    road,
    ids: members.map(({ id }) => id),
    first: members[0].shown,
    last: members[members.length - 1].shown,
    km,
    now,
    next,
    delayNow: km === null || now === null ? null : before.delayMinutes,
    delayNext: km === null || next === null ? null : after.delayMinutes,
    isSevere: categories.includes(SEVERE),
    isNow: measured.some((speed) => isJam(scale.category(speed))),
    course: now === null || next === null ? null : courseOf(before, after, scale.leastChange),
    ...onset(members, store),
  };
}

/**
 * Return the mean speed through the segments whose speed is known, and the delay there against free flow; null if none
 * is known.
 *
 * @param {(number | null)[]} lengths in kilometres
 * @param {(number | null)[]} speeds
 * @param {Store} store
 */
function through(lengths, speeds, { scale }) {
  const [least, free] = [scale.fromMph(LEAST_MPH), scale.bounds[0]];
  let [distance, hours, delay] = [0, 0, 0];
  for (const [index, speed] of speeds.entries()) {
    if (speed === null) continue;
    const length = scale.fromKm(lengths[index] ?? 1);
    const used = Math.max(least, speed);
    distance += length;
    hours += length / used;
    delay += Math.max(0, length / used - length / free);
  }
  return hours > 0 ? { speed: distance / hours, delayMinutes: 60 * delay } : { speed: null, delayMinutes: null };
}

/**
 * @param {ReturnType<typeof through>} now
 * @param {ReturnType<typeof through>} next
 * @param {number} leastChange
 * @returns {Jam["course"]}
 */
function courseOf(now, next, leastChange) {
  if (now.speed === null || next.speed === null) return null;
  const [before, after] = [now.delayMinutes ?? 0, next.delayMinutes ?? 0];
  const change = Math.abs(next.speed - now.speed);
  if (change < 0.2 * leastChange) return "steady";
  if (after > GROWTH * before + LEAST_GROWTH_MINUTES) return "growing";
  return before > GROWTH * after + LEAST_GROWTH_MINUTES ? "easing" : "steady";
}

/**
 * Return since when one of the segments has been slow without a break, by what was measured; `isOlder` if it was slow
 * at the first known time. `since` is null if no earlier speed is known.
 *
 * @param {Member[]} members
 * @param {Store} store
 */
function onset(members, store) {
  let [since, isOlder] = [/** @type {number | null} */ (null), false];
  for (const { id, now } of members) {
    if (!isJam(store.scale.category(now))) continue;
    const points = store.measured(id);
    let at = points.length;
    while (at > 0 && isJam(store.scale.category(points[at - 1][1]))) at -= 1;
    const begin = points[at]?.[0] ?? store.clock();
    if (points.length < 2 || (since !== null && begin >= since)) continue;
    [since, isOlder] = [begin, at === 0];
  }
  return { since, isOlder };
}

/** @param {Jam} jam */
function worst({ delayNow, delayNext }) {
  return Math.max(delayNow ?? -1, delayNext ?? -1);
}

/** @param {Jam} jam */
function slowest({ now, next }) {
  return Math.min(now ?? Infinity, next ?? Infinity);
}

/**
 * @param {string[]} keys
 * @returns {string | null}
 */
function mostFrequent(keys) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  let [best, most] = [/** @type {string | null} */ (null), 0];
  for (const [key, count] of counts) if (count > most) [best, most] = [key, count];
  return best;
}
