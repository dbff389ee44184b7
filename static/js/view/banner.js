/**
 * Banners: the state of the connection and of Kafka, missed predictions, replayed data.
 *
 * @import { Store } from "../store.js"
 * @import { Notice } from "../types.d.ts"
 */
import { t } from "../texts.js";
import { parts, setAttribute, setText } from "./elements.js";
import { age, exactly, label, momentWithZone } from "./format.js";
import { banner, gapText } from "./wording.js";

const NOTICE_MS = 20_000;

export class BannerView {
  /** @type {Notice | null} */
  #notice = null;
  /** @type {Notice | null} */
  #dismissed = null;

  /** @param {ParentNode} root */
  constructor(root) {
    this.parts = parts(root);
    this.parts.dismiss.addEventListener("click", () => (this.#dismissed = this.#notice));
  }

  /**
   * @param {Store} store the live one
   * @param {number} now
   */
  render({ status, segments }, now) {
    this.#renderBanner(banner({ status, now, hasData: segments.size > 0 }));
    this.#renderNotice(status.notice, now);
  }

  /**
   * Show the time of replayed data.
   *
   * @param {number | null} time that of the totals beside it; null if nothing is replayed
   * @param {number | null} silentSeconds how long no event came, if that is long
   */
  renderReplay(time, silentSeconds) {
    this.parts.replay.hidden = time === null;
    if (time === null) return;
    setText(this.parts.replayText, t("replay.of", { time: momentWithZone(time) }));
    setText(this.parts.replaySilence, silentSeconds === null ? "" : t("replay.silent", { age: age(silentSeconds) }));
    setAttribute(this.parts.replayText, "title", exactly(time));
  }

  /** @param {ReturnType<typeof banner>} content */
  #renderBanner(content) {
    this.parts.banner.hidden = content === null;
    if (content === null) return;
    setAttribute(this.parts.banner, "data-kind", content.kind);
    setText(this.parts.bannerTitle, content.title);
    setText(this.parts.bannerText, content.text);
  }

  /**
   * @param {Notice | null} notice
   * @param {number} now
   */
  #renderNotice(notice, now) {
    this.#notice = notice;
    const isShown = notice !== null && notice !== this.#dismissed && now - notice.at < NOTICE_MS;
    this.parts.notice.hidden = !isShown;
    if (isShown) setText(this.parts.noticeText, notice.kind === "gap" ? gapText(notice) : label(notice.message));
  }
}
