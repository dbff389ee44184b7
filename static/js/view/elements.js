/**
 * DOM helpers of the views. Texts are set as text nodes, never as markup.
 *
 * @import { Parts } from "../types.d.ts"
 */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Return the elements under `root` that carry data-part, by its value.
 *
 * @param {ParentNode} root
 * @returns {Parts}
 */
export function parts(root) {
  /** @type {any} */
  const found = {};
  for (const element of root.querySelectorAll("[data-part]")) {
    if (element instanceof HTMLElement || element instanceof SVGElement) found[element.dataset.part ?? ""] = element;
  }
  return found;
}

/**
 * Set a text if it is different: to set the same text costs layout, and clears a selection.
 *
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const LEAST_PARTED = 14;
const MAX_TAIL = 14;
const END = /[\s_\-/.][^\s_\-/.]*$/u;

/**
 * Set a name whose end stays visible when it is cut: names of one road begin alike.
 *
 * @param {Element} element
 * @param {string} text
 */
export function setName(element, text) {
  if (element.textContent === text) return;
  const at = END.exec(text.trimEnd())?.index ?? 0;
  const tail = text.length - at;
  if (at === 0 || tail > MAX_TAIL || text.length < LEAST_PARTED) return element.replaceChildren(text);
  const head = span("name-head", text.slice(0, at));
  head.style.maxWidth = `calc(100% - ${(0.62 * tail).toFixed(1)}em)`;
  return element.replaceChildren(head, span("name-tail", text.slice(at)));
}

/**
 * @param {string} className
 * @param {string} text
 */
function span(className, text) {
  return Object.assign(document.createElement("span"), { className, textContent: text });
}

/**
 * Set an attribute if it is different; null removes it.
 *
 * @param {Element} element
 * @param {string} name
 * @param {string | null} value
 */
export function setAttribute(element, name, value) {
  if (element.getAttribute(name) === value) return;
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

/**
 * Return a copy of the content of a <template>.
 *
 * @param {string} id
 * @returns {HTMLElement}
 */
export function fromTemplate(id) {
  const content = /** @type {HTMLTemplateElement} */ (document.getElementById(id)).content;
  return /** @type {HTMLElement} */ (content.firstElementChild?.cloneNode(true));
}

/**
 * Return an SVG of one of the shapes in the page's sprite.
 *
 * @param {string} name
 */
export function shape(name) {
  const svg = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  setAttribute(svg, "class", "shape");
  setAttribute(svg, "aria-hidden", "true");
  setAttribute(use, "href", `#shape-${name}`);
  svg.append(use);
  return svg;
}
