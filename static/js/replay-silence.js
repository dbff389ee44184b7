/**
 * Lets a replay that has ended look old: replayed events say nothing of the time, so the server is asked.
 *
 * @import { Api } from "./api.js"
 * @import { Store } from "./store.js"
 */

/**
 * Ask for how long no event has come, after a view with a replay. Tell whether the ages have changed.
 *
 * @param {Store} store
 * @param {Api} api
 */
export async function ageReplay(store, api) {
  if (store.ages.replayMs === null) return false;
  const { count } = store.arrivals;
  const at = Date.now();
  const seconds = await api.silenceSeconds().catch(() => null); // a replay that has ended then looks live for a while
  if (seconds === null || store.arrivals.count !== count) return false;
  store.ages.setSilence(seconds, at);
  return true;
}
