/**
 * Speeds in the unit of the settings: their categories, and how they change. Pure.
 *
 * @import { SpeedUnit } from "./types.d.ts"
 */
import { CATEGORIES, SEVERE } from "./categories.js";

const UNITS_PER_MPH = { mph: 1, kmh: 1.609344 };
const COURSE_MPH = 5;
const JAMS = ["heavy_traffic", SEVERE];

/** Whether a speed becomes a jam, or ends one. */
export const WORSENING = "worsening";
export const RECOVERING = "recovering";

/**
 * Convert a speed in mph to the displayed unit.
 *
 * @param {number} mph
 * @param {SpeedUnit} unit
 */
export function fromMph(mph, unit) {
  return mph * UNITS_PER_MPH[unit];
}

/**
 * Tell whether a category is heavy or severe.
 *
 * @param {string | null | undefined} category
 */
export function isJam(category) {
  return JAMS.includes(category ?? "");
}

/** Assigns speeds to categories, by the thresholds of the server. */
export class SpeedScale {
  /** @param {{ thresholdsMph?: number[], unit?: SpeedUnit }} [settings] lower bounds of free, moderate and heavy traffic */
  constructor({ thresholdsMph = [60, 45, 30], unit = "mph" } = {}) {
    this.unit = unit;
    this.bounds = thresholdsMph.map((mph) => fromMph(mph, unit));
    this.leastChange = fromMph(COURSE_MPH, unit);
  }

  /**
   * Convert a speed in mph to the unit of this scale.
   *
   * @param {number} mph
   */
  fromMph(mph) {
    return fromMph(mph, this.unit);
  }

  /**
   * Convert a distance in kilometres to miles or kilometres, as the unit of speed has it.
   *
   * @param {number} km
   */
  fromKm(km) {
    return (km * UNITS_PER_MPH[this.unit]) / UNITS_PER_MPH.kmh;
  }

  /**
   * Return the category of a speed; null if the speed is not known.
   *
   * @param {number | null | undefined} speed
   */
  category(speed) {
    if (typeof speed !== "number") return null;
    const index = this.bounds.findIndex((bound) => speed >= bound);
    return CATEGORIES[index < 0 ? this.bounds.length : index];
  }

  /**
   * Return "worsening" if traffic gets slower by 5 mph or more and ends in a jam, "recovering" if it leaves one as
   * clearly, else null.
   *
   * @param {number | null | undefined} now
   * @param {number | null | undefined} next
   */
  course(now, next) {
    if (typeof now !== "number" || typeof next !== "number") return null;
    if (next <= now - this.leastChange && isJam(this.category(next))) return WORSENING;
    return next >= now + this.leastChange && isJam(this.category(now)) ? RECOVERING : null;
  }
}
