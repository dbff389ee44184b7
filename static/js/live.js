/**
 * Makes the page's connection to the server: over the best transport that works, and shared among the tabs of a browser.
 *
 * @import { Config, LiveConnection, Message, OnMessage, OnState } from "./types.d.ts"
 */
import { Connection } from "./connection.js";
import { Tabs } from "./tabs.js";
import { pollingTransport } from "./transports/polling.js";
import { sseTransport } from "./transports/sse.js";
import { webSocketTransport } from "./transports/websocket.js";

/** The tabs that share the connection may show different horizons. */
const ALL = "?horizon=all&include=observations";

/**
 * Return the connection, not started yet.
 *
 * @param {object} options
 * @param {Config} options.config
 * @param {string} options.root the path of the application
 * @param {() => Message[]} options.snapshot returns messages that carry the whole state to another tab
 * @param {(message: Message) => void} options.onMessage
 * @param {OnState} options.onState
 * @returns {LiveConnection}
 */
export function makeConnection({ config, root, snapshot, onMessage, onState }) {
  const { heartbeat_seconds: heartbeatSeconds, poll_seconds: everySeconds } = config;
  const transports = [
    sseTransport({ url: `${root}/predictions/stream${ALL}`, heartbeatSeconds }),
    webSocketTransport({ url: `${location.origin}${root}/predictions/ws${ALL}`, heartbeatSeconds }),
    pollingTransport({ url: `${root}/api/predictions${ALL}`, healthUrl: `${root}/api/health`, everySeconds }),
  ];
  /** @param {{ cursor: string | null, onMessage: OnMessage, onState: OnState }} options */
  const connect = ({ cursor, ...listeners }) => {
    const connection = new Connection({ transports, ...listeners });
    connection.cursor = cursor;
    return connection;
  };
  if (!("BroadcastChannel" in globalThis)) return connect({ cursor: null, onMessage, onState });
  // The name changes with the messages of tabs.js, since tabs of two versions may be open at the same time.
  const channel = new BroadcastChannel(`greenwave tabs 3 ${root}`);
  return new Tabs({ channel, connect, snapshot, onMessage, onState });
}
