/**
 * The unit of speeds and the zone of times that the page shows: as its address says ("?unit=kmh&zone=utc"), else as the user
 * chose last. A choice loads the page again, so that all of it shows the same. The language is chosen here, too, but the server
 * reads it: it is in the address ("lang=de") and in a cookie.
 *
 * @import { Config, SpeedUnit } from "../types.d.ts"
 * @typedef {"browser" | "utc" | "roads"} Zone
 * @typedef {{ unit: SpeedUnit, zone: Zone }} Display
 */
import { LANGUAGE } from "../texts.js";
import { parts, setAttribute, setText } from "./elements.js";
import { setDisplay, UNIT_LABELS, zoneOf } from "./format.js";

const KEY = "greenwave.display";
const COOKIE = "greenwave-language";
const COOKIE_SECONDS = 31_536_000;
const NAMES = ["unit", "zone", "lang"];
/** @type {SpeedUnit[]} */
const UNITS = ["mph", "kmh"];
/** @type {Zone[]} */
const ZONES = ["browser", "utc", "roads"];

/**
 * Return what to show in. Unknown values are ignored.
 *
 * @param {string} search of the address
 * @param {string | null} stored what writeDisplay() returned before
 * @param {SpeedUnit} served the unit of the server
 * @returns {Display}
 */
export function readDisplay(search, stored, served) {
  const given = [search, stored ?? ""].map((text) => new URLSearchParams(text));
  const unit = given.flatMap((each) => UNITS.find((unit) => unit === each.get("unit")) ?? [])[0];
  const zone = given.flatMap((each) => ZONES.find((zone) => zone === each.get("zone")) ?? [])[0];
  return { unit: unit ?? served, zone: zone ?? ZONES[0] };
}

/**
 * Write a choice into an address's search part, or as a text to be stored.
 *
 * @param {string} search
 * @param {Display} display
 * @param {string | null} [language]
 */
export function writeDisplay(search, { unit, zone }, language = null) {
  const given = new URLSearchParams(search);
  given.set("unit", unit);
  given.set("zone", zone);
  if (language) given.set("lang", language);
  return `?${given.toString().replaceAll("%2C", ",").replaceAll("%3A", ":")}`;
}

/**
 * Return the address of another page with the unit, the zone and the language that this page's address names. A choice that is stored needs
 * none: the other page reads it, too.
 *
 * @param {string} address
 * @param {string} [search] of this page
 */
export function withDisplay(address, search = location.search) {
  const kept = [...new URLSearchParams(search)].filter(([name]) => NAMES.includes(name));
  if (kept.length === 0) return address;
  return `${address}${address.includes("?") ? "&" : "?"}${new URLSearchParams(kept)}`;
}

/**
 * Return a zone as an IANA name; undefined for that of the browser. A browser that doesn't know the zone of the roads shows UTC.
 *
 * @param {Zone} zone
 * @param {string} roads
 */
export function timeZoneOf(zone, roads) {
  if (zone === "browser") return undefined;
  try {
    return new Intl.DateTimeFormat("en", { timeZone: zone === "utc" ? "UTC" : roads }).resolvedOptions().timeZone;
  } catch {
    return "UTC";
  }
}

/**
 * Set the unit and the zone of all texts. To be called before the views are made; they get the settings that it returns, whose
 * unit is the one that is shown.
 *
 * @param {Config} config
 */
export function applyDisplay(config) {
  const { unit, zone } = chosen(config);
  const { speed_unit: served, time_zone: roads, thresholds_mph: thresholdsMph } = config;
  setDisplay({ served, unit, timeZone: timeZoneOf(zone, roads), thresholdsMph });
  return { ...config, speed_unit: unit };
}

/** The button that says what is shown, and the dialog for another choice. */
export class DisplayView {
  /**
   * @param {ParentNode} root
   * @param {Config} config with the unit of the server
   */
  constructor(root, config) {
    this.config = config;
    this.parts = parts(root);
    const { displayOpen, displayDialog, displayForm, displayCancel, displayUnit, displayRoads, zone } = this.parts;
    setText(displayUnit, UNIT_LABELS[chosen(config).unit]);
    setText(zone, zoneOf(Date.now()));
    setText(displayRoads, config.time_zone);
    displayOpen.addEventListener("click", () => this.#open());
    displayCancel.addEventListener("click", () => displayDialog.close());
    displayForm.addEventListener("submit", () => this.#choose());
    for (const link of root.querySelectorAll("a[data-page]")) setAttribute(link, "href", withDisplay(link.getAttribute("href") ?? ""));
  }

  #open() {
    const { unit, zone } = chosen(this.config);
    for (const input of this.parts.displayForm.querySelectorAll("input")) input.checked = [unit, zone, LANGUAGE].includes(input.value);
    this.parts.displayDialog.showModal();
  }

  #choose() {
    const fields = new FormData(/** @type {HTMLFormElement} */ (this.parts.displayForm));
    const given = new URLSearchParams([...fields].map(([name, value]) => [name, String(value)]));
    const display = readDisplay(given.toString(), null, this.config.speed_unit);
    store(writeDisplay("", display));
    const language = given.get("lang");
    if (language) keepLanguage(language);
    const { pathname, search, hash } = location;
    // In the address, too: it goes before what is stored, and storage may be forbidden.
    history.replaceState(null, "", pathname + writeDisplay(search, display, language) + hash);
    location.reload();
  }
}

/**
 * What is shown. In a frame of another page the address alone decides.
 *
 * @param {Config} config
 */
function chosen({ speed_unit: served }) {
  return readDisplay(location.search, "embed" in document.body.dataset ? null : stored(), served);
}

function stored() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // storage may be forbidden
  }
}

/** @param {string} text */
function store(text) {
  try {
    localStorage.setItem(KEY, text);
  } catch {
    // Storage may be forbidden: the address has the choice.
  }
}

/** Keep the language for other pages. Where cookies are forbidden, it is in the address alone. @param {string} language */
function keepLanguage(language) {
  try {
    document.cookie = `${COOKIE}=${language}; path=${document.body.dataset.root || "/"}; max-age=${COOKIE_SECONDS}; samesite=lax`;
  } catch { /* as in a frame without storage */ }
}
