/**
 * The diagram of a road over time and distance: rows of segments, columns of time. Pure.
 *
 * Columns of the past have measured speeds. Those of the forecast begin at now; each ends at its target time.
 *
 * @import { Measurements } from "./measurements.js"
 * @import { Row } from "./road-rows.js"
 * @import { Store } from "./store.js"
 * @typedef {{ from: number, to: number, bin: number | null, horizon: number | null }} Column
 * `from` and `to` in epoch milliseconds; `bin` for the past; `horizon` in minutes, null for none stated
 * @typedef {{ x: number, y: number, width: number, height: number }} Box
 */
import { FRESH } from "./freshness.js";
import { targetOf } from "./prediction.js";

const MINUTE_MS = 60_000;
/** The width of a forecast for no stated time. */
const NOT_STATED_MINUTES = 15;
/** Forecasts beyond are left to the table: they would leave no room for the past. */
const LEAST_FORECAST_MS = 3_600_000;
const STEPS_MINUTES = [1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720];

/**
 * Return the columns of the past, and behind them those of the forecast.
 *
 * @param {object} given
 * @param {number} given.now
 * @param {number} given.pastMs
 * @param {Measurements} given.measurements
 * @param {(number | null)[]} given.horizons in rising order, null first
 * @param {ReadonlyMap<number | null, number>} [given.targets] from targetsOf(); without one, a horizon counts from now
 * @returns {Column[]}
 */
export function columnsOf({ now, pastMs, measurements, horizons, targets = new Map() }) {
  const { binMs } = measurements;
  /** @type {Column[]} */
  const columns = [];
  const last = measurements.binOf(now);
  for (let bin = measurements.binOf(now - pastMs) + 1; bin <= last; bin += 1) {
    columns.push({ from: bin * binMs, to: Math.min((bin + 1) * binMs, now), bin, horizon: null });
  }
  let from = now;
  for (const horizon of shownHorizons(horizons, pastMs)) {
    const latest = now + (horizon ?? NOT_STATED_MINUTES) * MINUTE_MS;
    const to = horizon === null ? latest : Math.min(latest, targets.get(horizon) ?? latest);
    if (to <= from) continue; // its time is over, and the next predictions have not come yet
    columns.push({ from, to, bin: null, horizon });
    from = to;
  }
  return columns;
}

/**
 * Return the horizons that lie in the future, and not too far in it.
 *
 * @param {(number | null)[]} horizons
 * @param {number} pastMs
 */
function shownHorizons(horizons, pastMs) {
  const most = Math.max(pastMs, LEAST_FORECAST_MS) / MINUTE_MS;
  const stated = horizons.filter((each) => each !== null && each > 0 && each <= most);
  return stated.length === 0 && horizons.includes(null) ? [null] : stated;
}

/**
 * Return the speed of a row in a column; null where there is none, or no current one.
 *
 * @param {Row} row
 * @param {Column} column
 * @param {{ measurements: Measurements, store: Store }} given
 */
export function speedAt({ id }, { bin, horizon }, { measurements, store }) {
  if (bin !== null) return measurements.speedOf(id, bin);
  return predictedFor(id, horizon, store);
}

/**
 * Return the speed that is predicted for a segment and a horizon; null if there is none, or no current one.
 *
 * @param {string} id
 * @param {number | null} horizon
 * @param {Store} store
 */
export function predictedFor(id, horizon, store) {
  const found = store.forecasts.of(id).find((each) => (each.horizon_minutes ?? null) === horizon);
  return found && store.ages.freshness(found) === FRESH ? found.predicted_speed : null;
}

/**
 * Return the newest time that each horizon has current predictions for. It is earlier than now and the horizon, by the age
 * of the predictions.
 *
 * @param {Row[]} rows
 * @param {Store} store
 */
export function targetsOf(rows, store) {
  /** @type {Map<number | null, number>} */
  const targets = new Map();
  for (const { id } of rows) {
    for (const each of store.forecasts.of(id)) {
      const { horizon_minutes: horizon = null } = each;
      const target = store.ages.freshness(each) === FRESH ? targetOf(each) : null;
      if (target !== null && target > (targets.get(horizon) ?? -Infinity)) targets.set(horizon, target);
    }
  }
  return targets;
}

/** Places the columns and rows in a box of pixels. */
export class Frame {
  /**
   * @param {Box} box
   * @param {Row[]} rows
   * @param {Column[]} columns
   */
  constructor(box, rows, columns) {
    this.box = box;
    this.rows = rows;
    this.columns = columns;
    this.begin = columns[0]?.from ?? 0;
    this.end = columns.at(-1)?.to ?? 1;
    this.km = rows.at(-1)?.to ?? 1;
  }

  /** @param {number} timeMs */
  x(timeMs) {
    return this.box.x + (this.box.width * (timeMs - this.begin)) / Math.max(1, this.end - this.begin);
  }

  /** @param {number} km */
  y(km) {
    return this.box.y + (this.box.height * km) / Math.max(1e-6, this.km);
  }

  /**
   * Return the row and the column at a place; null outside.
   *
   * @param {number} x
   * @param {number} y
   */
  at(x, y) {
    const row = this.rows.findIndex(({ from, to }) => y >= this.y(from) && y < this.y(to));
    const column = this.columns.findIndex(({ from, to }) => x >= this.x(from) && x < this.x(to));
    return row < 0 || column < 0 ? null : { row, column };
  }
}

/**
 * Return whole times of day from one time to another, at least `leastPx` apart unless clocks change between them.
 *
 * @param {Frame} frame
 * @param {number} leastPx
 * @param {(timeMs: number) => number} offsetMinutes how far local time is ahead of UTC
 */
export function ticksOf(frame, leastPx, offsetMinutes) {
  const perMinute = (frame.box.width * MINUTE_MS) / Math.max(1, frame.end - frame.begin);
  const step = MINUTE_MS * (STEPS_MINUTES.find((minutes) => minutes * perMinute >= leastPx) ?? 1_440);
  const ticks = [];
  for (let at = firstFrom(frame.begin, step, offsetMinutes); at <= frame.end; at = firstFrom(at + 1, step, offsetMinutes)) ticks.push(at);
  return ticks;
}

/**
 * Return the first time from another on whose local time is a multiple of a step.
 *
 * @param {number} from
 * @param {number} step
 * @param {(timeMs: number) => number} offsetMinutes
 */
function firstFrom(from, step, offsetMinutes) {
  /** @param {number} shift */
  const first = (shift) => Math.ceil((from + shift) / step) * step - shift;
  const at = first(offsetMinutes(from) * MINUTE_MS);
  const changed = offsetMinutes(at);
  if (changed === offsetMinutes(from)) return at;
  // The clocks change before. None is left in the old time, and the first in the new one may lie before the change.
  const next = first(changed * MINUTE_MS);
  return offsetMinutes(next) === changed ? next : next + step;
}

/**
 * Return the rows that have room for a name, from the first one on.
 *
 * @param {Frame} frame
 * @param {number} leastPx
 */
export function namedRows(frame, leastPx) {
  let free = -Infinity;
  return frame.rows.filter(({ from, to }) => {
    const middle = frame.y((from + to) / 2);
    if (middle < free) return false;
    free = middle + leastPx;
    return true;
  });
}
