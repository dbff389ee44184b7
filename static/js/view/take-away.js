/**
 * Saves what is shown: the table as CSV, the map with the figures and the chart of a segment as PNG. It is loaded after the
 * page, since most visits save nothing.
 *
 * @import { Store } from "../store.js"
 * @import { Config, Query } from "../types.d.ts"
 * @import { LegendItem } from "./picture.js"
 * @typedef {object} View what is shown: of live data `time` is null
 * @property {Store} store
 * @property {Query} query
 * @property {string[]} ids of the matching segments, in the order of the table
 * @property {number | null} time
 * @property {boolean} paused
 */
import { csvOf, fileName } from "../csv.js";
import { t } from "../texts.js";
import { themeColour } from "./colours.js";
import { parts } from "./elements.js";
import { offsetMinutes, UNIT_LABELS, zoneName } from "./format.js";
import { shownText } from "./paper.js";
import { pictureOf } from "./picture.js";

const KEPT_MS = 60_000;

export class TakeAwayView {
  /**
   * @param {ParentNode} root
   * @param {{ config: Config, view(): View }} options `config` has the unit of the server
   */
  constructor(root, { config, view }) {
    this.parts = parts(root);
    this.config = config;
    this.view = view;
    const { saveTable, saveMap, saveChart } = this.parts;
    for (const button of [saveTable, saveMap, saveChart]) button.removeAttribute("disabled");
    saveTable.addEventListener("click", () => this.#saveTable());
    saveMap.addEventListener("click", () => this.#save("map", this.parts.map, this.#figures(), this.#categories()));
    saveChart.addEventListener("click", () => this.#save("chart", this.parts.chart, this.#facts(), this.#series()));
  }

  #saveTable() {
    const { store, ids, time } = this.view();
    const segments = ids.flatMap((id) => store.segments.get(id) ?? []);
    const zone = { name: zoneName(), offsetMinutes };
    const text = csvOf(segments, { store, unit: UNIT_LABELS[this.config.speed_unit], zone });
    offer(new Blob([text], { type: "text/csv;charset=utf-8" }), fileName("table", time ?? Date.now(), "csv"));
  }

  /**
   * @param {string} what
   * @param {HTMLElement} element
   * @param {string[]} lines
   * @param {LegendItem[]} legend
   */
  #save(what, element, lines, legend) {
    const { query, time, paused, ids } = this.view();
    const now = Date.now();
    const source = t("picture.source", { topic: this.config.topic, host: location.host });
    const texts = [shownText("view.saved", { query, time, paused, count: ids.length, now }), ...lines, source];
    const picture = pictureOf(element, { title: this.config.title, lines: texts, legend });
    picture.toBlob((blob) => blob && offer(blob, fileName(what, time ?? now, "png")), "image/png");
  }

  #figures() {
    const { reporting, total, panel, replay, replayText } = this.parts;
    const figures = [...panel.querySelectorAll(".figure")].map((each) => textOf(each.querySelector("dt")) + " " + textOf(each.querySelector("dd")));
    const lead = `${textOf(reporting)} ${textOf(total)}`;
    return [replay.hidden ? "" : textOf(replayText), [lead, ...figures].join(" · ")].filter(Boolean);
  }

  #facts() {
    const { drawerFacts, chartNote } = this.parts;
    const facts = [...drawerFacts.querySelectorAll("h2, p")].map(textOf);
    return [facts.filter(Boolean).join(" · "), textOf(chartNote)].filter(Boolean);
  }

  /** @returns {LegendItem[]} */
  #categories() {
    return [...this.parts.chips.querySelectorAll("[data-group]")].map((chip) => {
      const mark = chip.querySelector("svg");
      const { name, text, unit, count } = parts(chip);
      const { fill, stroke } = getComputedStyle(mark ?? chip);
      const isPlain = !fill.startsWith("url");
      const words = [textOf(name), textOf(text), textOf(unit)].filter(Boolean).join(" ");
      return { mark: { shape: chip.getAttribute("data-group") ?? "", fill: isPlain ? fill : themeColour()("hatch-ground"), stroke }, text: `${words}: ${textOf(count)}` };
    });
  }

  /** @returns {LegendItem[]} */
  #series() {
    return [...this.parts.chart.querySelectorAll(".u-series")].slice(1).map((each) => {
      const marker = each.querySelector(".u-marker");
      const { borderColor } = getComputedStyle(marker ?? each);
      return { mark: { shape: "moderate_traffic", fill: borderColor, stroke: borderColor }, text: textOf(each.querySelector(".u-label")) };
    });
  }
}

/** @param {Element | null} element */
function textOf(element) {
  return element instanceof HTMLElement ? (element.innerText || element.textContent || "").replace(/\s+/g, " ").trim() : "";
}

/**
 * Let the browser save a file.
 *
 * @param {Blob} blob
 * @param {string} name
 */
function offer(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), KEPT_MS); // some browsers read it later
}
