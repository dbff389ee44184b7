/**
 * The pause button, and the slider over the server's history.
 *
 * @import { TimeTravel } from "../time-travel.js"
 */
import { parts, setAttribute, setText } from "./elements.js";
import { exactly, moment, shortly } from "./format.js";
import { missedText } from "./wording.js";

/** @type {Record<string, string>} */
const NOTES = { reading: "Loading history …", failed: "History could not be loaded", empty: "No history yet" };

export class TimelineView {
  /**
   * @param {ParentNode} root
   * @param {{ onPause(): void, onTravel(): void, onSeek(time: number): void, onPlay(): void, onLive(): void }} options
   */
  constructor(root, { onPause, onTravel, onSeek, onPlay, onLive }) {
    this.parts = parts(root);
    this.parts.pause.addEventListener("click", onPause);
    this.parts.travel.addEventListener("click", onTravel);
    this.parts.live.addEventListener("click", onLive);
    this.parts.play.addEventListener("click", onPlay);
    this.parts.time.addEventListener("input", () => onSeek(this.#chosenTime()));
  }

  /** Seconds of history per second. */
  get speed() {
    return Number(this.parts.speed.value);
  }

  /** @param {{ paused: boolean, past: TimeTravel }} state */
  render({ paused, past }) {
    setAttribute(this.parts.pause, "aria-pressed", String(paused));
    setText(this.parts.pauseText, paused ? "Resume" : "Pause");
    this.parts.slider.hidden = !past.isThere;
    this.parts.travel.hidden = past.isThere;
    this.parts.pause.hidden = past.isThere;
    this.parts.live.hidden = !past.isThere && !paused;
    setText(this.parts.travelNote, past.missed === null ? (NOTES[past.state] ?? "") : missedText(past.missed, past.range));
    if (past.isThere) this.#renderSlider(past);
  }

  /** The last step may be shorter than the others; the slider itself can't reach its end then. */
  #chosenTime() {
    const { value, max, step } = this.parts.time;
    return Number(value) + Number(step) > Number(max) ? Number(max) : Number(value);
  }

  /** @param {TimeTravel} past */
  #renderSlider({ range: [first, last], time, playing }) {
    const { time: slider } = this.parts;
    setAttribute(slider, "min", String(first));
    setAttribute(slider, "max", String(last));
    const value = String(Math.round(time));
    if (slider.value !== value) slider.value = value;
    setAttribute(slider, "aria-valuetext", moment(time));
    setText(this.parts.timeText, shortly(time));
    setAttribute(this.parts.timeText, "title", exactly(time));
    setText(this.parts.playText, playing ? "Stop" : "Play");
  }
}
