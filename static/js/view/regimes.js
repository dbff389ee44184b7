/**
 * The accuracy by traffic and by model, of the chosen horizon or of all. It is requested while it is open.
 *
 * @import { Accuracy } from "../accuracy.js"
 * @import { ChosenTime, Config, Parts, ScoreCell, ScoreReport } from "../types.d.ts"
 * @typedef {{ name: string, title?: string, score: ScoreCell }} Row
 */
import { grouped, t } from "../texts.js";
import { fromTemplate, parts, setAttribute, setText } from "./elements.js";
import { fixed, label, NONE, percent, plain, speed, UNIT_LABELS } from "./format.js";
import { regimesText } from "./wording.js";

/** @type {["free" | "transition" | "congested" | "unknown", string][]} */
const REGIMES = [
  ["free", t("regimes.free")],
  ["congested", t("regimes.congested")],
  ["transition", t("regimes.transition")],
  ["unknown", t("regimes.unknown")],
];
const MAX_MODELS = 24;
const MAX_NAME = 60;

export class RegimesView {
  /**
   * @param {ParentNode} root
   * @param {{ config: Config, accuracy: Accuracy, onOpen(): void }} options
   */
  constructor(root, { config, accuracy, onOpen }) {
    this.parts = parts(root);
    this.accuracy = accuracy;
    this.unit = UNIT_LABELS[config.speed_unit];
    this.parts.regimes.addEventListener("toggle", onOpen);
  }

  /** @param {ChosenTime} time */
  render(time) {
    const { regimes, scores, regimesTime, regimesNote } = this.parts;
    if (!regimes.hasAttribute("open") || !scores.hasAttribute("open") || scores.hidden) return;
    void this.accuracy.load();
    const { report, hasFailed } = this.accuracy;
    const { score, horizon } = chosen(report, time);
    setText(regimesTime, horizon === null ? "" : `, ${plain(horizon)} min`);
    setText(regimesNote, regimesText({ report, score, hasFailed, unit: this.unit }));
    this.#renderRows(report && score ? { ofTraffic: trafficRows(score), ofModels: modelRows(report, horizon) } : { ofTraffic: [], ofModels: [] });
  }

  /** @param {{ ofTraffic: Row[], ofModels: Row[] }} rows */
  #renderRows({ ofTraffic, ofModels }) {
    const { regimeRows, modelRows: models, usualSkillTitle, insideTitle } = this.parts;
    const all = [...ofTraffic, ...ofModels];
    const has = { usual: all.some(({ score }) => score.usual), intervals: all.some(({ score }) => score.intervals) };
    usualSkillTitle.hidden = !has.usual;
    insideTitle.hidden = !has.intervals;
    renderRows(regimeRows, ofTraffic, has);
    renderRows(models, ofModels, has);
  }
}

/**
 * The scores of the chosen horizon, or of all where none is chosen or nothing was checked at the chosen one.
 *
 * @param {ScoreReport | null} report
 * @param {ChosenTime} time
 */
function chosen(report, time) {
  const found = report?.by_horizon.find(({ horizon_minutes: each }) => each === time);
  return { score: found ?? report?.total ?? null, horizon: found?.horizon_minutes ?? null };
}

/**
 * @param {NonNullable<ReturnType<typeof chosen>["score"]>} score
 * @returns {Row[]}
 */
function trafficRows({ by_regime: found }) {
  return REGIMES.flatMap(([key, name]) => (found[key] === null ? [] : [{ name, score: found[key] }]));
}

/**
 * @param {ScoreReport} report
 * @param {number | null} horizon
 * @returns {Row[]}
 */
function modelRows({ by_model: models }, horizon) {
  const shown = models.filter(({ horizon_minutes: each, count }) => count > 0 && (horizon === null || each === horizon));
  return shown.slice(0, MAX_MODELS).map(({ model, horizon_minutes: each, ...score }) => {
    const title = horizon === null ? `${plain(each)} min, ${label(model)}` : label(model);
    return { name: title.length > MAX_NAME ? `${title.slice(0, MAX_NAME)}…` : title, title, score };
  });
}

/**
 * @param {Element} body
 * @param {Row[]} rows
 * @param {{ usual: boolean, intervals: boolean }} has
 */
function renderRows(body, rows, has) {
  while (body.childElementCount < rows.length) body.append(fromTemplate("regime-template"));
  while (body.childElementCount > rows.length) body.lastElementChild?.remove();
  for (const [index, row] of rows.entries()) renderRow(parts(body.children[index]), row, has);
}

/**
 * @param {Parts} row
 * @param {Row} values
 * @param {{ usual: boolean, intervals: boolean }} has
 */
function renderRow(row, { name, title, score }, has) {
  setText(row.regimeName, name);
  setAttribute(row.regimeName, "title", title ?? null);
  setText(row.regimeError, speed(score.rmse));
  setText(row.mape, score.mape === null ? NONE : percent(score.mape / 100));
  setText(row.skill, skillText(score.persistence?.skill));
  setText(row.usualSkill, skillText(score.usual?.skill));
  row.usualSkill.hidden = !has.usual;
  setText(row.inside, score.intervals ? percent(score.intervals.coverage) : NONE);
  row.inside.hidden = !has.intervals;
  setText(row.regimeCount, grouped(score.count));
}

/** @param {number | null | undefined} skill */
function skillText(skill) {
  return typeof skill === "number" ? fixed(skill, 2).replace("-", "−") : NONE;
}
