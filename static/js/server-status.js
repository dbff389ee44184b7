/**
 * What is known of the server: the connection to it, the state of its consumer, its last notice. Pure.
 *
 * @import { Ages } from "./ages.js"
 * @import { ConnectionState, Consumer, Message, Notice } from "./types.d.ts"
 */

/** The reason of a lost connection: the token has expired, or was revoked. */
export const SIGNED_OUT = "signed_out";
const UNREACHABLE_STATES = ["reconnecting", "circuit_open", "stopped"];
const CATCHING_UP_STATES = ["starting", "catching_up"];
/** @type {ConnectionState} */
const NOT_CONNECTED = { phase: "connecting", transport: null, attempt: 1, retryAt: null, lostAt: null, reason: null };

export class ServerStatus {
  /** @param {{ ages: Ages, clock: () => number }} options */
  constructor({ ages, clock }) {
    this.ages = ages;
    this.clock = clock;
    this.connection = NOT_CONNECTED;
    /** @type {Consumer | null} */
    this.consumer = null;
    /** @type {Notice | null} */
    this.notice = null;
  }

  /** @param {Message} message */
  apply(message) {
    const at = this.clock();
    if (message.type === "status") {
      this.consumer = { state: message.state, since: Date.parse(message.since), reason: message.reason };
    } else if (message.type === "gap") {
      this.notice = { kind: "gap", reason: message.reason, missed: message.missed, at };
    } else if (message.type === "error") {
      this.notice = { kind: "error", message: message.message, at };
    }
  }

  /** Whether the server has lost Kafka, so that what is shown may be outdated. */
  get isKafkaUnreachable() {
    return this.consumer !== null && UNREACHABLE_STATES.includes(this.consumer.state);
  }

  /** Whether the server has still to read what the topic holds, so that its view may lack segments. */
  get isCatchingUp() {
    return this.consumer !== null && CATCHING_UP_STATES.includes(this.consumer.state);
  }

  /** Since when, by this clock, there has been no connection to the server, or from it to Kafka; null if there is one. */
  get lostAt() {
    if (this.connection.lostAt !== null) return this.connection.lostAt;
    return this.consumer && this.isKafkaUnreachable ? this.ages.toLocal(this.consumer.since) : null;
  }

  /** How long the consumer has been in its state, in seconds. */
  get consumerSeconds() {
    return this.consumer ? (this.ages.serverNow - this.consumer.since) / 1000 : 0;
  }
}
