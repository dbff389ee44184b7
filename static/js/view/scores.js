/** How good the predictions were that could be judged, by horizon, beside the forecast that nothing changes. */
import { UNIT_LABELS, change, speed } from "./format.js";
import { fromTemplate, parts, setText } from "./elements.js";

export class ScoresView {
  #rows = [];

  constructor(root, { config }) {
    this.parts = parts(root);
    this.unit = UNIT_LABELS[config.speed_unit];
    setText(this.parts.scoresUnit, this.unit);
  }

  /** Show the scores of a store's `stats`, as the server gives them. */
  render({ stats }) {
    const scores = stats?.scores ?? null;
    this.parts.scores.hidden = scores === null;
    this.#renderFigures(scores);
    if (scores) this.#renderRows([...(scores.by_horizon ?? []), { ...scores, horizon_minutes: null }]);
  }

  #renderFigures(scores) {
    const { error, still, judged } = this.parts;
    setText(error, scores ? `${speed(scores.rmse)} ${this.unit}` : "not yet scored");
    setText(still, scores?.persistence ? `${speed(scores.persistence.rmse)} ${this.unit}` : "–");
    setText(judged, scores ? scores.count.toLocaleString("en") : "–");
  }

  #renderRows(scores) {
    while (this.#rows.length < scores.length) this.#rows.push(makeRow());
    this.#rows.length = scores.length;
    const elements = this.#rows.map(({ root }) => root);
    const { scoreRows } = this.parts;
    if (scoreRows.childElementCount !== elements.length) scoreRows.replaceChildren(...elements);
    scores.forEach((score, index) => renderRow(this.#rows[index].parts, score));
  }
}

function makeRow() {
  const root = fromTemplate("score-template");
  return { root, parts: parts(root) };
}

function renderRow(row, { horizon_minutes: horizon, rmse, mae, bias, count, persistence }) {
  setText(row.scoreName, horizon === null ? "All" : `${horizon} min`);
  setText(row.rmse, speed(rmse));
  setText(row.mae, speed(mae));
  setText(row.bias, change(bias));
  setText(row.persistence, speed(persistence?.rmse));
  setText(row.scored, count.toLocaleString("en"));
}
