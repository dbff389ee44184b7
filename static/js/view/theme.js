/** The theme: light or dark, as the system has it until the button is used. js/theme-first.js sets it before first paint. */

const KEY = "greenwave.theme";

export class ThemeView {
  /** @type {{ theme: string | undefined } | null} */
  #beforePrint = null;

  /**
   * @param {HTMLElement} button
   * @param {() => void} onChange
   */
  constructor(button, onChange) {
    this.onChange = onChange;
    this.button = button;
    this.system = matchMedia("(prefers-color-scheme: dark)");
    for (const each of [this.system, matchMedia("(forced-colors: active)")]) each.addEventListener("change", () => this.render());
    button.addEventListener("click", () => this.#choose(this.theme === "dark" ? "light" : "dark"));
    setPressed(button, this.theme);
  }

  get theme() {
    return document.documentElement.dataset.theme ?? (this.system.matches ? "dark" : "light");
  }

  render() {
    setPressed(this.button, this.theme);
    this.onChange();
  }

  /**
   * Print in the light theme, and restore the other one afterwards.
   *
   * @param {boolean} onPaper
   */
  print(onPaper) {
    const { dataset } = document.documentElement;
    if (onPaper === (this.#beforePrint !== null)) return;
    if (onPaper) {
      this.#beforePrint = { theme: dataset.theme };
      dataset.theme = "light";
    } else {
      if (this.#beforePrint?.theme) dataset.theme = this.#beforePrint.theme;
      else delete dataset.theme;
      this.#beforePrint = null;
    }
    this.render();
  }

  /** @param {string} theme */
  #choose(theme) {
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // Storage may be forbidden: the choice lasts as long as the page.
    }
    this.render();
  }
}

/**
 * @param {HTMLElement} button
 * @param {string} theme
 */
function setPressed(button, theme) {
  button.setAttribute("aria-pressed", String(theme === "dark"));
}
