/**
 * The choice of the time that map, table and figures show: now, or one of the horizons that there are.
 *
 * @import { Store } from "../store.js"
 * @import { ChosenTime, Query } from "../types.d.ts"
 */
import { NOW } from "../forecasts.js";
import { t } from "../texts.js";
import { parts, setText } from "./elements.js";
import { horizonText, zoneOf } from "./format.js";

const NOT_STATED = "none";

export class WhenView {
  #names = "";
  /** @type {Map<string, HTMLInputElement>} */
  #inputs = new Map();

  /**
   * @param {ParentNode} root
   * @param {{ onChoose(time: ChosenTime): void }} options
   */
  constructor(root, { onChoose }) {
    this.parts = parts(root);
    this.parts.when.addEventListener("change", ({ target }) => {
      if (target instanceof HTMLInputElement) onChoose(this.#timeOf(target.value));
    });
  }

  /**
   * @param {Store} store
   * @param {Query} query
   */
  render(store, { time }) {
    const horizons = store.forecasts.horizons.map((each) => (each === null ? NOT_STATED : String(each)));
    if (typeof time === "number" && !horizons.includes(String(time))) horizons.push(String(time));
    this.#renderInputs([NOW, ...horizons]);
    const chosen = time === null ? horizons[0] : String(time);
    for (const [name, input] of this.#inputs) input.checked = name === chosen;
    this.parts.when.hidden = horizons.length === 0;
    const shown = time === NOW || time === null ? (store.forecasts.horizons[0] ?? null) : time;
    setText(this.parts.horizonTitle, shown === null ? "" : horizonText(shown));
    setText(this.parts.zone, zoneOf(store.ages.replayMs ?? store.ages.serverNow));
  }

  /** The smallest horizon is the default, which is no choice: each segment then shows its own smallest one. */
  #timeOf(/** @type {string} */ name) {
    if (name === NOW) return NOW;
    const [, smallest] = this.#inputs.keys();
    return name === smallest ? null : Number(name);
  }

  /** @param {string[]} names */
  #renderInputs(names) {
    if (names.join() === this.#names) return;
    this.#names = names.join();
    const focused = [...this.#inputs].find(([, input]) => input === document.activeElement)?.[0];
    this.#inputs.clear();
    const options = names.map((name) => this.#makeOption(name));
    this.parts.whenOptions.replaceChildren(...options);
    this.#inputs.get(focused ?? "")?.focus();
  }

  /** @param {string} name */
  #makeOption(name) {
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "when", value: name });
    this.#inputs.set(name, input);
    const text = document.createElement("span");
    text.textContent = name === NOW ? t("when.now") : name === NOT_STATED ? t("predicted") : horizonText(Number(name));
    const option = document.createElement("label");
    option.append(input, text);
    return option;
  }
}
