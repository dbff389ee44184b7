/** The public types of greenwave.js. Times are in epoch milliseconds. */

/** A predicted speed; which fields there are is described in docs/messages.md. */
export interface Prediction {
  segment_id: string;
  timestamp: number;
  predicted_speed: number;
  prediction_time?: string | null;
  target_time?: string | null;
  horizon_minutes?: number | null;
  current_speed?: number | null;
  speed_diff?: number | null;
  current_volume?: number | null;
  confidence?: number | null;
  category?: string | null;
  road_name?: string | null;
  lower?: number | null;
  upper?: number | null;
  model?: string | null;
  producer_category?: string | null;
  source?: string | null;
  topic?: string;
  coordinates?: { latitude: number; longitude: number } | null;
  late?: boolean;
}

/** A measured speed that came without a prediction; only with include=observations. */
export interface Observation {
  segment_id: string;
  timestamp: number;
  current_speed: number;
  current_volume?: number | null;
  category?: string | null;
  road_name?: string | null;
  producer_category?: string | null;
  source?: string | null;
  topic?: string;
  coordinates?: { latitude: number; longitude: number } | null;
  late?: boolean;
}

/** The whole view, which replaces the one before. */
export interface View {
  type: "initial";
  predictions: Prediction[];
  observations?: Observation[];
}

export type Change =
  | { type: "prediction"; data: Prediction }
  | { type: "observation"; data: Observation }
  | { type: "left"; segment_id: string; horizon_minutes?: number | null; reason?: string; kind?: "observation" };

/** Any message of the wire format. docs/clients.md has their fields. */
export interface Message {
  type: string;
}

export interface ConnectionState {
  phase: "connecting" | "live" | "polling" | "waiting" | "ended";
  transport: string | null;
  attempt: number;
  retryAt: number | null;
  lostAt: number | null;
  reason: string | null;
  error?: string | null;
}

type FilterValue = string | number | (string | number)[];

export interface Options {
  url?: string;
  filter?: Record<string, FilterValue>;
  every?: number;
  token?: string | (() => string | Promise<string>);
  credentials?: RequestCredentials;
  cursor?: string | null;
  transports?: ("sse" | "websocket" | "polling")[];
  pollSeconds?: number;
  heartbeatSeconds?: number;
  snapshot?: () => any[];
  onView?(view: View): void;
  onChange?(change: Change): void;
  onMessage?(message: Message): void;
  onState?(state: ConnectionState): void;
}

export interface Connection {
  readonly state: ConnectionState;
  readonly cursor: string | null;
  start(): void;
  stop(): void;
  retryNow(): void;
}

export function connect(options: Options): Connection;
