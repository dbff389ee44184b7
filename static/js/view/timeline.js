/** Pause, and the way through the past: a slider over what the server's window holds, played at several speeds. */
import { exactly, moment, shortly } from "./format.js";
import { parts, setAttribute, setText } from "./elements.js";

export class TimelineView {
  constructor(root, { onPause, onTravel, onSeek, onPlay, onLive }) {
    this.parts = parts(root);
    this.onSeek = onSeek;
    this.parts.pause.addEventListener("click", onPause);
    this.parts.travel.addEventListener("click", onTravel);
    this.parts.live.addEventListener("click", onLive);
    this.parts.play.addEventListener("click", onPlay);
    this.parts.time.addEventListener("input", () => onSeek(this.#chosen()));
  }

  /** The time of the slider; its last step may be a short one, which the slider itself can't take. */
  #chosen() {
    const { value, max, step } = this.parts.time;
    return Number(value) + Number(step) > Number(max) ? Number(max) : Number(value);
  }

  /** How many seconds of the past one second shows. */
  get speed() {
    return Number(this.parts.speed.value);
  }

  /** `past` is `{ state, range, time, playing }`; state is "live", "reading", "failed" or "there". */
  render({ paused, past }) {
    setAttribute(this.parts.pause, "aria-pressed", String(paused));
    setText(this.parts.pauseText, paused ? "Go on" : "Pause");
    const isThere = past.state === "there";
    this.parts.slider.hidden = !isThere;
    this.parts.travel.hidden = isThere;
    this.parts.pause.hidden = isThere;
    this.parts.live.hidden = !isThere && !paused;
    setText(this.parts.travelNote, past.missed === null ? (NOTES[past.state] ?? "") : missing(past));
    if (isThere) this.#renderSlider(past);
  }

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

function missing({ missed, range: [first] }) {
  return `There is no history of ${moment(missed)}; this is the ${missed < first ? "oldest" : "newest"} moment there is`;
}

const NOTES = { reading: "Reading the history …", failed: "The history could not be read", empty: "There is no history yet" };
