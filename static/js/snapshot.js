/**
 * Messages that carry the state of a store to another one. Pure.
 *
 * @import { Store } from "./store.js"
 * @import { Message } from "./types.d.ts"
 */

/**
 * Return messages from which another store gets the same state, including what is buffered in a pause.
 *
 * @param {Store} store
 * @returns {Message[]}
 */
export function snapshotOf(store) {
  const { consumer } = store.status;
  /** @type {Message[]} */
  const messages = [{ type: "connected", timestamp: iso(store.ages.serverNow) }];
  if (consumer) messages.push({ type: "status", ...consumer, since: iso(consumer.since) });
  if (store.stats) messages.push({ type: "stats", data: store.stats });
  const { forecasts } = store;
  if (store.hasView) messages.push({ type: "initial", predictions: [...forecasts.all()], observations: forecasts.observations });
  return [...messages, ...store.buffered];
}

/** @param {number} epochMs */
function iso(epochMs) {
  return Number.isNaN(epochMs) ? "" : new Date(epochMs).toISOString();
}
