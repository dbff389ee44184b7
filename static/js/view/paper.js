/** What paper says in the place of the pill: when it was printed, and what it shows. */
import { LABELS, exactly, label, plural } from "./format.js";
import { parts, setText } from "./elements.js";

export class PaperView {
  constructor(root) {
    this.parts = parts(root);
  }

  /** `time` is the moment of the past that is shown, null for now; `count` how many segments match the query. */
  render({ query, time, paused, count, now }) {
    const { words, road, groups } = query;
    const said = [
      `Printed ${exactly(now)}`,
      time !== null && `shows ${exactly(time)}`,
      paused && "paused",
      words.trim() && `search: ${label(words.trim())}`,
      road !== null && `road: ${label(road)}`,
      groups.length && `only ${groups.map((group) => LABELS[group]).join(", ")}`,
      plural(count, "segment", "segments"),
    ];
    setText(this.parts.printed, said.filter(Boolean).join(" · "));
  }
}
