/**
 * Travel times along a road: the sum of length divided by speed, as if all speeds lasted for the whole way. Pure.
 *
 * @import { Row } from "./road-rows.js"
 * @import { SpeedScale } from "./speeds.js"
 * @typedef {object} TravelTime
 * @property {number | null} minutes through the segments whose length and speed are known; null if there is none
 * @property {number | null} delay minutes against the lowest speed of free flow
 * @property {number} km length of these segments
 * @property {number} missing segments without a speed
 * @property {number} unknown segments with a speed, without a length
 */
import { LEAST_MPH } from "./jams.js";

/**
 * Return the travel time along rows. A speed below 3 mph counts as 3 mph, as for the delay of a jam.
 *
 * @param {Row[]} rows
 * @param {(row: Row) => number | null} speedOf
 * @param {SpeedScale} scale
 * @returns {TravelTime}
 */
export function travelTime(rows, speedOf, scale) {
  const [least, free] = [scale.fromMph(LEAST_MPH), scale.bounds[0]];
  let [hours, delay, km, missing, unknown] = [0, 0, 0, 0, 0];
  for (const row of rows) {
    const speed = speedOf(row);
    if (speed === null) missing += 1;
    else if (row.km === null) unknown += 1;
    else {
      const length = scale.fromKm(row.km);
      const own = length / Math.max(least, speed);
      hours += own;
      delay += Math.max(0, own - length / free);
      km += row.km;
    }
  }
  const isKnown = hours > 0;
  return { minutes: isKnown ? 60 * hours : null, delay: isKnown ? 60 * delay : null, km, missing, unknown };
}
