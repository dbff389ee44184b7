/**
 * What the stream transports share. Pure.
 *
 * @import { Message } from "../types.d.ts"
 */

/**
 * Return the message of a JSON text; null for text that isn't JSON, which doesn't end the connection.
 *
 * @param {string} text
 * @returns {Message | null}
 */
export function parseMessage(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * Add a cursor to an address.
 *
 * @param {string} url
 * @param {string | null} cursor
 */
export function resumeAt(url, cursor) {
  return cursor === null ? url : `${url}${url.includes("?") ? "&" : "?"}after=${encodeURIComponent(cursor)}`;
}
