/** Light or dark: the system's choice until the button is used; js/theme-first.js sets it before the first paint. */

const KEY = "greenwave.theme";

export class ThemeView {
  #before = null;

  constructor(button, onChange = () => {}) {
    this.onChange = onChange;
    this.button = button;
    this.system = matchMedia("(prefers-color-scheme: dark)");
    this.system.addEventListener("change", () => this.render());
    button.addEventListener("click", () => this.#choose(this.theme === "dark" ? "light" : "dark"));
    this.render();
  }

  get theme() {
    return document.documentElement.dataset.theme ?? (this.system.matches ? "dark" : "light");
  }

  render() {
    this.button.setAttribute("aria-pressed", String(this.theme === "dark"));
    this.onChange();
  }

  /** Paper is white, so what is printed is in the light theme; afterwards the one of before is back. */
  print(onPaper) {
    const { dataset } = document.documentElement;
    if (onPaper === (this.#before !== null)) return;
    if (onPaper) {
      this.#before = { theme: dataset.theme };
      dataset.theme = "light";
    } else {
      if (this.#before.theme) dataset.theme = this.#before.theme;
      else delete dataset.theme;
      this.#before = null;
    }
    this.render();
  }

  #choose(theme) {
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // Storage may be forbidden; the choice then lasts as long as the page.
    }
    this.render();
  }
}
