/**
 * The pause button, and the slider over the server's history.
 *
 * @import { Severity } from "../recording.js"
 * @import { TimeTravel } from "../time-travel.js"
 */
import { t } from "../texts.js";
import { themeColour } from "./colours.js";
import { parts, setAttribute, setText } from "./elements.js";
import { exactly, moment, shortly } from "./format.js";
import { historyText, severityText } from "./wording.js";

const BAR_GAP_PX = 0.5;
const STEP_MS = 10_000;
/** An arrow key must not take a day for a day. */
const MAX_STEPS = 2_000;

export class TimelineView {
  /** What the strip shows. */
  #drawn = { severity: /** @type {Severity[]} */ ([]), width: 0, theme: "" };

  /**
   * @param {ParentNode} root
   * @param {{ onPause(): void, onTravel(hours: number | null): void, onSeek(time: number): void, onPlay(): void, onLive(): void }} options
   */
  constructor(root, { onPause, onTravel, onSeek, onPlay, onLive }) {
    this.parts = parts(root);
    this.parts.pause.addEventListener("click", onPause);
    this.parts.travel.addEventListener("click", () => onTravel(null));
    this.parts.reach.addEventListener("change", () => onTravel(hoursOf(this.#reach.value)));
    this.parts.live.addEventListener("click", onLive);
    this.parts.play.addEventListener("click", onPlay);
    this.parts.time.addEventListener("input", () => onSeek(this.#chosenTime()));
  }

  /** Seconds of history per second. */
  get speed() {
    return Number(this.parts.speed.value);
  }

  get #reach() {
    return /** @type {HTMLSelectElement} */ (/** @type {unknown} */ (this.parts.reach));
  }

  /** @param {{ paused: boolean, past: TimeTravel }} state */
  render({ paused, past }) {
    setAttribute(this.parts.pause, "aria-pressed", String(paused));
    setText(this.parts.pauseText, t(paused ? "timeline.resume" : "timeline.pause"));
    // The choice of the reach keeps the focus while its history is read: arrow keys may be on their way to another one.
    const isChosen = past.isReading && past.since !== null;
    this.parts.slider.hidden = !past.isThere && !isChosen;
    this.parts.play.toggleAttribute("disabled", isChosen);
    this.parts.track.hidden = !past.isThere;
    this.parts.travel.hidden = past.isThere || isChosen;
    this.parts.pause.hidden = past.isThere;
    this.parts.live.hidden = !past.isThere && !past.isReading && !paused;
    setText(this.parts.travelNote, historyText(past));
    if (past.isThere) this.#renderSlider(past);
    else if (past.since === null) this.#reach.value = "";
  }

  /** The last step may be shorter than the others; the slider itself can't reach its end then. */
  #chosenTime() {
    const { value, max, step } = this.parts.time;
    return Number(value) + Number(step) > Number(max) ? Number(max) : Number(value);
  }

  /** @param {TimeTravel} past */
  #renderSlider({ range: [first, last], time, playing, severity }) {
    const { time: slider } = this.parts;
    this.#renderStrip([first, last], severity);
    setAttribute(slider, "step", String(STEP_MS * Math.max(1, Math.ceil((last - first) / MAX_STEPS / STEP_MS))));
    setAttribute(slider, "min", String(first));
    setAttribute(slider, "max", String(last));
    const value = String(Math.round(time));
    if (slider.value !== value) slider.value = value;
    setAttribute(slider, "aria-valuetext", moment(time));
    setText(this.parts.timeText, shortly(time));
    setAttribute(this.parts.timeText, "title", exactly(time));
    setText(this.parts.playText, t(playing ? "timeline.stop" : "timeline.play"));
  }

  /**
   * Draw how many segments were severe, and above them those that were heavy.
   *
   * @param {[number, number]} range
   * @param {Severity[]} severity
   */
  #renderStrip(range, severity) {
    const canvas = /** @type {HTMLCanvasElement} */ (/** @type {unknown} */ (this.parts.strip));
    const theme = document.documentElement.dataset.theme ?? "";
    const { clientWidth: width, clientHeight: height } = canvas;
    const ctx = canvas.getContext("2d");
    const isSame = severity === this.#drawn.severity && width === this.#drawn.width && theme === this.#drawn.theme;
    if (isSame || ctx === null || width === 0) return;
    this.#drawn = { severity, width, theme };
    setText(this.parts.stripText, severityText(severity, range));
    const ratio = globalThis.devicePixelRatio || 1;
    [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    ctx.scale(ratio, ratio);
    const colour = themeColour();
    const most = Math.max(1, ...severity.map(({ severe, heavy }) => severe + heavy));
    const step = width / severity.length;
    for (const [index, { severe, heavy }] of severity.entries()) {
      const [x, bar] = [index * step, Math.max(1, step - BAR_GAP_PX)];
      const [low, high] = [(height * severe) / most, (height * (severe + heavy)) / most];
      ctx.fillStyle = colour("heavy");
      ctx.fillRect(x, height - high, bar, high - low);
      ctx.fillStyle = colour("severe");
      ctx.fillRect(x, height - low, bar, low);
    }
  }
}

/** @param {string} value */
function hoursOf(value) {
  if (value === "") return null;
  return value === "all" ? Infinity : Number(value);
}
