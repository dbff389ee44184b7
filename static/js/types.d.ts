/**
 * Types of the values that the modules exchange. Only the type checker reads this file; browsers never load it.
 *
 * Times are in epoch milliseconds, and speeds in the unit of the settings, unless a name says otherwise.
 */

/**
 * A prediction as readPrediction() returns it, and a measured speed that came without one (only with include=observations):
 * text from Kafka, of the right types, otherwise not trusted.
 */
import type { Observation, Prediction } from "../../clients/javascript/greenwave.d.ts";
export type { Observation, Prediction };

/** What a segment shows for the chosen time: a prediction, or only what was measured. */
export type Shown = Omit<Prediction, "predicted_speed"> & { predicted_speed: number | null };

/** The time that the page shows: a horizon in minutes, or now; null for the smallest horizon of each segment. */
export type ChosenTime = number | "now" | null;

/** Errors of checked forecasts, as the server counts them. */
export interface Score {
  count: number;
  observed?: number;
  rmse: number;
  mae: number;
  bias: number;
  persistence?: { rmse: number } | null;
  usual?: { count: number; rmse: number } | null;
}

export interface Scores extends Score {
  by_horizon?: (Score & { horizon_minutes: number })[];
}

/** A baseline, and the skill of the predictions against it: 1 is perfect, 0 no better. */
export interface Skill {
  rmse: number;
  skill: number | null;
}

/** Errors of predictions in a part of the report of `/api/scores`; null where nothing was counted. */
export interface ScoreCell {
  count: number;
  rmse: number | null;
  mape: number | null;
  persistence: Skill | null;
  usual: Skill | null;
  intervals: { count: number; coverage: number } | null;
}

export interface CountedScore extends ScoreCell {
  not_judged: number;
  late: number;
  by_regime: Record<"free" | "transition" | "congested" | "unknown", ScoreCell | null>;
}

export interface ScoreReport {
  congested_below: number;
  interval_level: number | null;
  total: CountedScore | null;
  by_horizon: (CountedScore & { horizon_minutes: number })[];
  by_model: (ScoreCell & { model: string; horizon_minutes: number })[];
}

export interface Stats {
  scores?: Scores | null;
  quarantined?: number;
  warning?: string | null;
}

/** A message of the wire format, as every transport delivers it. */
export type Message =
  | { type: "connected"; timestamp: string; heartbeat_seconds?: number; expires_at?: string | null }
  | { type: "renewed"; timestamp: string; expires_at: string | null }
  | {
      type: "initial";
      predictions: Prediction[];
      count?: number;
      observations?: Observation[];
      observation_count?: number;
    }
  | { type: "prediction"; data: Prediction }
  | { type: "observation"; data: Observation }
  | { type: "left"; segment_id: string; horizon_minutes?: number | null; reason?: string; kind?: "observation" }
  | { type: "stats"; data: Stats | null }
  | { type: "status"; state: string; since: string; reason: string; retry_in?: number | null }
  | { type: "gap"; reason: string; missed: number | null }
  | { type: "error"; message: string }
  | { type: "loading"; count: number }
  | { type: "position" }
  | { type: "busy" | "bye" };

/** The state of the server's consumer. */
export interface Consumer {
  state: string;
  since: number;
  reason: string;
}

export type Notice =
  | { kind: "gap"; reason: string; missed: number | null; at: number }
  | { kind: "error"; message: string; at: number };

/** The state of the connection to the server. Times are by this clock. `lostAt` is set while there is none. */
export interface ConnectionState {
  phase: "connecting" | "live" | "polling" | "waiting" | "ended";
  transport: string | null;
  everySeconds?: number | null;
  attempt: number;
  retryAt: number | null;
  lostAt: number | null;
  reason: string | null;
  /** why the server refuses the request, in its words; or what may be wrong */
  error?: string | null;
}

export type OnMessage = (message: Message, cursor: string | null) => void;
export type OnState = (state: ConnectionState) => void;

/** A connection to the server, of this tab or shared by several. */
export interface LiveConnection {
  state: ConnectionState;
  /** that of the last message: everything up to there was given */
  cursor: string | null;
  start(): void;
  stop(): void;
  retryNow(): void;
}

export type TransportState =
  | { state: "open" }
  | { state: "closed"; reason: string; retryMs: number | null; error?: string; refusal?: { status: number; text: string } };

export interface TransportOptions {
  cursor: string | null;
  onMessage: OnMessage;
  onState(state: TransportState): void;
}

/** A way to get messages. See sseTransport() in greenwave.js. */
export interface Transport {
  name: string;
  pushes: boolean;
  everySeconds?: number | null;
  open(options: TransportOptions): () => void;
}

/** The timers of the window, or those of a test. */
export interface Timers {
  setTimeout(action: () => void, delayMs: number): number;
  clearTimeout(id?: number): void;
  setInterval(action: () => void, delayMs: number): number;
  clearInterval(id?: number): void;
}

export type Fetch = typeof globalThis.fetch;

/** [latitude, longitude] in degrees. */
export type Place = [number, number];

/** A direction of travel as [east, north], of length 1. */
export type Heading = [number, number];

/** A GeoJSON geometry, of which only lines are read. */
export interface Geometry {
  type: string;
  coordinates: any;
}

export interface Network {
  features: { id?: string | number; geometry: Geometry | null }[];
}

export interface MapPosition {
  centre: Place;
  zoom: number;
}

/** What the user asked to see; the page's address holds it. */
export interface Query {
  segment: string | null;
  details: boolean;
  predictions: boolean;
  words: string;
  road: string | null;
  view: MapPosition | null;
  at: number | null;
  time: ChosenTime;
  groups: string[];
  column: string;
  descending: boolean;
}

export interface Alert {
  id: string;
  road: string | null | undefined;
  kind: "severe" | "drop";
  change: number | null | undefined;
  target: number | null;
  /** the measured speed */
  now: number | null;
  /** the predicted speed; null if the segment was only measured */
  value: number | null;
  since: number;
  timestamp: number;
  source: string | null | undefined;
  acknowledged: boolean;
  /** who acknowledged it, where that is shared */
  seen: Seen | null;
}

/** Who has seen an alert, when by the server's clock, and a note, which may be empty. */
export interface Seen {
  name: string;
  note: string;
  at: number;
}

/** An alert for the server: from when until when it is known. */
export interface AlertSpan {
  segment_id: string;
  kind: Alert["kind"];
  since: number;
  until: number;
}

export type SharedAcknowledgement = AlertSpan & Seen;

/** Neighbouring segments of one road and direction that are slow. Speeds are means through them. */
export interface Jam {
  key: string;
  road: string | null;
  /** in the direction of travel, where that is known */
  ids: string[];
  first: Shown;
  last: Shown;
  km: number | null;
  /** measured */
  now: number | null;
  /** predicted */
  next: number | null;
  delayNow: number | null;
  delayNext: number | null;
  isSevere: boolean;
  /** whether a segment is slow by what was measured */
  isNow: boolean;
  course: "growing" | "easing" | "steady" | null;
  since: number | null;
  /** whether it was slow at the first known time already */
  isOlder: boolean;
}

/** The usual speed: the median between the 15th and 85th percentiles. */
export interface Band {
  low: number;
  median: number;
  high: number;
}

/** The usual speed of a segment at the time that it shows, and the difference of its speed from that. */
export interface VersusUsual {
  band: Band;
  atMs: number;
  difference: number;
}

export type Freshness = "fresh" | "stale" | "silent";
export type SpeedUnit = "mph" | "kmh";

/** The settings that the template writes into the page. */
export interface Config {
  title: string;
  /** of the server; in views the unit that is shown */
  speed_unit: SpeedUnit;
  /** of the roads, an IANA name */
  time_zone: string;
  thresholds_mph: [number, number, number];
  expected_interval_seconds: number;
  max_age_seconds: number;
  topic: string;
  poll_seconds: number;
  heartbeat_seconds: number;
  map_tiles: string;
  map_attribution: string;
  has_network: boolean;
  shares_acknowledgements: boolean;
  /** the name of the token; empty without authentication */
  user: string;
  outlines: string;
  /** the time zone of usual speeds; null where none are learnt */
  usual_timezone: string | null;
  charts: { script: string; style: string };
  /** only on the page of a road: its name, and the value of `road=` that gives all of it */
  road?: string;
  road_filter?: string | null;
  /** only on a wall: differs for other files of the page */
  page_version?: string;
}

/** The elements that carry data-part, by its value. */
export interface Parts {
  search: HTMLInputElement;
  road: HTMLSelectElement & HTMLElement;
  speed: HTMLSelectElement;
  time: HTMLInputElement;
  showPredictions: HTMLInputElement;
  acknowledgeAll: HTMLButtonElement;
  helpDialog: HTMLDialogElement;
  wordsDialog: HTMLDialogElement;
  displayDialog: HTMLDialogElement;
  wordsName: HTMLInputElement;
  wordsNote: HTMLInputElement;
  viewsDialog: HTMLDialogElement;
  viewsName: HTMLInputElement;
  [name: string]: HTMLElement;
}

declare global {
  /** uPlot, of static/vendor; loaded with the first chart. */
  var uPlot: any;
}
