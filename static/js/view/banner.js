/** What an operator must know: the connection, Kafka, what was missed, replayed data. */
import { banner, exactly, gap, label, moment } from "./format.js";
import { parts, setAttribute, setText } from "./elements.js";

const NOTICE_MS = 20_000;

export class BannerView {
  constructor(root) {
    this.root = root;
    this.parts = parts(root);
    this.parts.dismiss.addEventListener("click", () => (this.dismissed = this.notice));
  }

  render(store, now) {
    const { connection, consumer } = store;
    const consumerSeconds = consumer ? store.consumerSeconds : 0;
    this.#renderBanner(banner({ connection, consumer, consumerSeconds, now, hasData: store.segments.size > 0 }));
    this.#renderNotice(store.notice, now);
  }

  #renderBanner(content) {
    this.parts.banner.hidden = content === null;
    if (content === null) return;
    setAttribute(this.parts.banner, "data-kind", content.kind);
    setText(this.parts.bannerTitle, content.title);
    setText(this.parts.bannerText, content.text);
  }

  #renderNotice(notice, now) {
    this.notice = notice;
    const shown = notice !== null && notice !== this.dismissed && now - notice.at < NOTICE_MS;
    this.parts.notice.hidden = !shown;
    if (shown) setText(this.parts.noticeText, notice.kind === "gap" ? gap(notice) : label(notice.message));
  }

  /** Tell the time of replayed data, null for none: that of the sums beside which it is shown. */
  renderReplay(time) {
    this.parts.replay.hidden = time === null;
    if (time === null) return;
    setText(this.parts.replayText, `Replayed data: it is ${moment(time)} in what you see`);
    setAttribute(this.parts.replayText, "title", exactly(time));
  }
}
