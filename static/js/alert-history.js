/**
 * Completes alerts from the history. A view has one step of each segment; whether an alert lasts already, and since
 * when, only earlier steps tell.
 *
 * @import { Alerts } from "./alerts.js"
 * @import { Api } from "./api.js"
 */
import { writeSegments } from "./query.js";

/** Steps of each segment: at the usual 5 minutes those of 8 hours. */
const STEPS = 100;
/** Of one request, so that no answer takes long to read. */
const MAX_SEGMENTS = 20;
/** The slowest ones: what is further down can wait for its next step. */
const MOST_SEGMENTS = 500;

/**
 * Read the earlier steps of the segments that need them. Tell whether there were any.
 *
 * @param {Alerts} alerts
 * @param {Api} api
 */
export async function learnEarlierSteps(alerts, api) {
  const filters = inParts(alerts.unsure().slice(0, MOST_SEGMENTS)).map(writeSegments).filter(Boolean);
  const horizon = alerts.horizon === null ? "" : `&horizon=${alerts.horizon}`;
  alerts.learning += 1;
  try {
    for (const filter of filters) alerts.learn(await api.newest(STEPS, filter + horizon));
  } catch {
    return false; // alerts then begin with the steps that arrive
  } finally {
    alerts.learning -= 1;
  }
  return filters.length > 0;
}

/** @param {string[]} ids */
function inParts(ids) {
  return Array.from({ length: Math.ceil(ids.length / MAX_SEGMENTS) }, (_, at) => ids.slice(at * MAX_SEGMENTS, (at + 1) * MAX_SEGMENTS));
}
