/**
 * Groups alerts by road and direction, so that a rush hour is a few rows. Pure.
 *
 * @import { Alert } from "./types.d.ts"
 * @typedef {{ road: string, alerts: Alert[] }} AlertGroup
 */
import { corridorOf } from "./network.js";

/**
 * Return alerts in their order; those of a road with several become one group, at the place of its first alert.
 *
 * @param {Alert[]} alerts
 * @returns {(Alert | AlertGroup)[]}
 */
export function grouped(alerts) {
  /** @type {Map<string | Alert, Alert[]>} */
  const byRoad = new Map();
  for (const alert of alerts) {
    const key = corridorOf(alert.road) ?? alert;
    const known = byRoad.get(key);
    if (known) known.push(alert);
    else byRoad.set(key, [alert]);
  }
  return [...byRoad].map(([key, members]) =>
    typeof key === "string" && members.length > 1 ? { road: key, alerts: members } : members[0],
  );
}

/**
 * Return the figures of a group: new alerts, severe ones, expected drops, the start of the oldest one, the slowest.
 *
 * @param {AlertGroup} group
 */
export function summaryOf({ alerts }) {
  const slowest = alerts.reduce((best, each) => (speedOf(each) < speedOf(best) ? each : best));
  return {
    open: alerts.filter(({ acknowledged }) => !acknowledged).length,
    severe: alerts.filter(({ kind }) => kind === "severe").length,
    drops: alerts.filter(({ kind }) => kind === "drop").length,
    since: Math.min(...alerts.map(({ since }) => since)),
    slowest,
  };
}

/**
 * Return the lower one of the measured and the predicted speed.
 *
 * @param {Alert} alert
 */
export function speedOf({ now, value }) {
  return Math.min(now ?? Infinity, value ?? Infinity);
}
