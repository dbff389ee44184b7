/**
 * A display on a wall (?wall=1): a clock that shows that the page runs, the age of the data, how many jams there is no room
 * for, a pointer that hides, and a screen that stays on.
 *
 * @import { Store } from "../store.js"
 */
import { StayAwake } from "../stay-awake.js";
import { t } from "../texts.js";
import { parts, setAttribute, setText } from "./elements.js";
import { age, clock, zoneOf } from "./format.js";

const TICK_MS = 1_000;
const REST_MS = 3_000;

export class WallView {
  #movedAt = -Infinity;

  /**
   * @param {Document} root
   * @param {{ store: Store }} options
   */
  constructor(root, { store }) {
    this.root = root;
    this.parts = parts(root);
    this.store = store;
    this.awake = new StayAwake({ wakeLock: navigator.wakeLock, clock: () => performance.now() });
    root.addEventListener("pointermove", () => {
      this.#movedAt = performance.now();
      this.#rest();
    });
    root.addEventListener("visibilitychange", () => {
      this.awake.retryNow();
      this.#render();
    });
    this.#tick();
  }

  #tick() {
    this.#render();
    setTimeout(() => this.#tick(), TICK_MS - (this.store.ages.serverNow % TICK_MS));
  }

  #render() {
    const { ages, status } = this.store;
    const { serverNow: now, newestSeconds } = ages;
    setAttribute(this.root.body, "data-phase", status.connection.phase); // js/wall.js looks at it
    setText(this.parts.wallClock, `${clock(now, true)} ${zoneOf(now)}`);
    setText(this.parts.wallAge, newestSeconds === null ? "" : t("wall.age", { age: age(newestSeconds) }));
    this.#countHidden();
    this.#rest();
    void this.awake.keep(this.root.visibilityState === "visible");
  }

  /** Jams that don't fit begin another column, which the list cuts off. */
  #countHidden() {
    const { jams, wallMore } = this.parts;
    const { right } = jams.getBoundingClientRect();
    const fitting = [...jams.children].filter((each) => each.getBoundingClientRect().left < right).length;
    const more = Number(jams.dataset.count ?? 0) - fitting;
    setText(wallMore, more > 0 ? t("jams.more", { count: more }) : "");
  }

  #rest() {
    this.root.body.toggleAttribute("data-rest", performance.now() - this.#movedAt >= REST_MS);
  }
}
