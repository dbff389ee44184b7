/** Light or dark: the system's choice until the button is used; js/theme-first.js sets it before the first paint. */

const KEY = "greenwave.theme";

export class ThemeView {
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
