/** The little DOM that the views share. Texts go in as text nodes, never as markup. */

const SVG = "http://www.w3.org/2000/svg";

/** Return the elements under `root` that carry data-part, by its value. */
export function parts(root) {
  const found = {};
  for (const element of root.querySelectorAll("[data-part]")) found[element.dataset.part] = element;
  return found;
}

/** Set a text if it is another one: writing the same text again would cost layout and disturb a selection. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Set an attribute if it is another one; null takes it away. */
export function setAttribute(element, name, value) {
  if (element.getAttribute(name) === value) return;
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

/** Return the content of a <template>, freshly made. */
export function fromTemplate(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true);
}

/** Return an SVG of one of the shapes in the template's sprite. */
export function shape(name) {
  const svg = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  setAttribute(svg, "class", "shape");
  setAttribute(svg, "aria-hidden", "true");
  setAttribute(use, "href", `#shape-${name}`);
  svg.append(use);
  return svg;
}
