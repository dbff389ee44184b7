/**
 * The colours of the current theme, from the variables in css/tokens.css: for canvases, which have no style sheet.
 *
 * @typedef {(name: string) => string} Colour returns the colour of a variable, named without its dashes: "ink-soft"
 */

/** @returns {Colour} */
export function themeColour() {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue(`--${name}`).trim();
}

/**
 * Return the colours of the categories, by category.
 *
 * @param {Colour} colour
 * @returns {Record<string, string>}
 */
export function categoryColours(colour) {
  return {
    free_flow: colour("free"),
    moderate_traffic: colour("moderate"),
    heavy_traffic: colour("heavy"),
    severe_congestion: colour("severe"),
  };
}
