/**
 * The accuracy of checked forecasts by horizon, compared with the no-change forecast and the usual speed.
 *
 * @import { Accuracy } from "../accuracy.js"
 * @import { ChosenTime, Config, Parts, Score, Stats } from "../types.d.ts"
 * @typedef {Score & { horizon_minutes: number | null }} ScoreRow
 */
import { grouped, t } from "../texts.js";
import { fromTemplate, parts, setText } from "./elements.js";
import { change, NONE, plain, speed, UNIT_LABELS } from "./format.js";
import { RegimesView } from "./regimes.js";

const ROOM = "(min-height: 860px), (max-width: 900px)";

export class ScoresView {
  /** @type {{ element: HTMLElement, parts: Parts }[]} */
  #rows = [];

  /**
   * @param {ParentNode} root
   * @param {{ config: Config, accuracy: Accuracy, onOpen(): void }} options
   */
  constructor(root, { config, accuracy, onOpen }) {
    this.parts = parts(root);
    this.regimes = new RegimesView(root, { config, accuracy, onOpen });
    this.unit = UNIT_LABELS[config.speed_unit];
    setText(this.parts.scoresUnit, this.unit);
    // On a low screen its heading is seen without scrolling, and opens it.
    this.parts.scores.toggleAttribute("open", matchMedia(ROOM).matches);
  }

  /**
   * Show the scores of all horizons in the table, and in the figures those of the chosen one.
   *
   * @param {{ stats: Stats | null }} store
   * @param {ChosenTime} time
   */
  render({ stats }, time) {
    const scores = stats?.scores ?? null;
    this.parts.scores.hidden = scores === null;
    const chosen = typeof time === "number" && scores?.by_horizon?.find(({ horizon_minutes: each }) => each === time);
    this.#renderFigures(typeof time === "number" && scores?.by_horizon ? chosen || null : scores);
    this.parts.usualTitle.hidden = !scores?.usual;
    if (scores) this.#renderRows([...(scores.by_horizon ?? []), { ...scores, horizon_minutes: null }]);
    this.regimes.render(time);
  }

  /** @param {Score | null} scores */
  #renderFigures(scores) {
    const { error, noChange, checked } = this.parts;
    setText(error, scores ? `${speed(scores.rmse)} ${this.unit}` : NONE);
    setText(noChange, scores?.persistence ? `${speed(scores.persistence.rmse)} ${this.unit}` : NONE);
    setText(checked, scores ? grouped(scores.count) : t("scores.none"));
  }

  /** @param {ScoreRow[]} scores */
  #renderRows(scores) {
    while (this.#rows.length < scores.length) {
      const element = fromTemplate("score-template");
      this.#rows.push({ element, parts: parts(element) });
    }
    this.#rows.length = scores.length;
    const { scoreRows } = this.parts;
    if (scoreRows.childElementCount !== scores.length) scoreRows.replaceChildren(...this.#rows.map(({ element }) => element));
    const hasUsual = scores.some(({ usual }) => usual);
    this.#rows.forEach(({ element }, index) => element.classList.toggle("all", index === scores.length - 1));
    for (const [index, score] of scores.entries()) renderRow(this.#rows[index].parts, score, hasUsual);
  }
}

/**
 * @param {Parts} row
 * @param {ScoreRow} score
 * @param {boolean} hasUsual whether any row has a score of the usual speed
 */
function renderRow(row, { horizon_minutes: horizon, rmse, mae, bias, count, persistence, usual }, hasUsual) {
  setText(row.scoreName, horizon === null ? t("scores.all") : `${plain(horizon)} min`);
  setText(row.rmse, speed(rmse));
  setText(row.mae, speed(mae));
  setText(row.bias, change(bias));
  setText(row.persistence, speed(persistence?.rmse));
  setText(row.usualScore, speed(usual?.rmse));
  row.usualScore.hidden = !hasUsual;
  setText(row.scored, grouped(count));
}
