/** A short sound of two tones. Browsers allow sound after the user has pressed something on the page. */

const TONES_HZ = [660, 880];
const TONE_SECONDS = 0.18;
const VOLUME = 0.2;

export class Chime {
  /** @type {AudioContext | null} */
  #context = null;

  /** To be called while the user presses something. */
  allow = () => {
    if (this.#context !== null || !("AudioContext" in globalThis)) return;
    this.#context = new AudioContext();
    void this.#rest(this.#context).catch(() => {}); // no device to play it
  };

  /** @param {Document} root */
  allowAtNextPress(root) {
    for (const type of ["pointerdown", "keydown"]) root.addEventListener(type, this.allow, { once: true, capture: true });
  }

  /**
   * Some browsers allow what was resumed at the press. Until there is a sound it would take CPU time for silence, for hours.
   *
   * @param {AudioContext} context
   */
  async #rest(context) {
    await Promise.all([context.resume(), context.suspend()]);
  }

  play() {
    void this.#play().catch(() => {}); // no device to play it
  }

  async #play() {
    const context = this.#context;
    if (context === null) return;
    await context.resume();
    const begin = context.currentTime;
    const end = begin + TONES_HZ.length * TONE_SECONDS;
    const volume = new GainNode(context, { gain: VOLUME });
    volume.gain.setValueAtTime(VOLUME, begin);
    volume.gain.linearRampToValueAtTime(0, end);
    volume.connect(context.destination);
    const tone = new OscillatorNode(context, { type: "sine" });
    TONES_HZ.forEach((pitch, index) => tone.frequency.setValueAtTime(pitch, begin + index * TONE_SECONDS));
    tone.connect(volume);
    tone.addEventListener("ended", () => void context.suspend()); // else it takes CPU time for silence
    tone.start(begin);
    tone.stop(end);
  }
}
