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

/**
 * Read the earlier steps of the segments that need them. Tell whether there were any.
 *
 * @param {Alerts} alerts
 * @param {Api} api
 */
export async function learnEarlierSteps(alerts, api) {
  const filter = writeSegments(alerts.unsure());
  if (filter === "") return false;
  const horizon = alerts.horizon === null ? "" : `&horizon=${alerts.horizon}`;
  let earlier;
  alerts.learning += 1;
  try {
    earlier = await api.newest(STEPS, filter + horizon);
  } catch {
    return false; // alerts then begin with the steps that arrive
  } finally {
    alerts.learning -= 1;
  }
  alerts.learn(earlier);
  return true;
}
