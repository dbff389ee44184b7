/** Keeps a display on a wall up to date. A module of its own, so that it also runs when those of the page can't be loaded. */
import { PageReload } from "./page-reload.js";

const { body } = document;

new PageReload({
  fetch: globalThis.fetch,
  page: location.href,
  own: document.getElementById("config")?.textContent ?? "",
  works: () => "phase" in body.dataset && body.dataset.phase !== "ended", // view/wall.js sets it
  reload: () => location.reload(),
}).start();
