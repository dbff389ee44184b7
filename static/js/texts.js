/**
 * The texts of the page in its language, from one catalogue (texts/en.js or another), which the templates read, too.
 *
 * The language is that of the document, so no other catalogue is loaded.
 *
 * @typedef {keyof typeof import("./texts/en.js").default} TextName
 * @typedef {Record<string, string | number>} Values
 */
export const LANGUAGE = globalThis.document?.documentElement?.lang || "en";

/** @type {Record<TextName, string | Record<string, string>>} */
const texts = (await import(`./texts/${LANGUAGE}.js`)).default;

/** The locale of numbers and dates. */
export const LOCALE = String(texts.locale);
const numbers = new Intl.NumberFormat(LOCALE);
const plurals = new Intl.PluralRules(LOCALE);

/**
 * Return a text with its placeholders filled in. `count` chooses among plural forms. Numbers are grouped; one that must not
 * be is given as text.
 *
 * @param {TextName} name
 * @param {Values} [values]
 */
export function t(name, values = {}) {
  const entry = texts[name];
  const form = typeof entry === "string" ? entry : (entry[plurals.select(Number(values.count))] ?? entry.other);
  return form.replace(/\{(\w+)\}/g, (_, key) => shown(values[key]));
}

/**
 * Return a whole number with its digits grouped: "1,234".
 *
 * @param {number} value
 */
export function grouped(value) {
  return numbers.format(value);
}

/** @param {string | number} value */
function shown(value) {
  return typeof value === "number" ? grouped(value) : value;
}
