/**
 * Outlines of counties and coasts, and above them the roads: of the server's network, or else through the segments.
 *
 * @import { Store } from "../store.js"
 * @import { Heading, Place } from "../types.d.ts"
 * @import { Colours } from "./marks.js"
 */
import { headings, lines } from "../network.js";
import { Road } from "./marks.js";

const { L } = globalThis;

export class Roads {
  /** @type {any[]} */
  #roads = [];
  /** @type {L.Polyline | null} */
  #outlines = null;
  #hasNetwork = false;

  /** @param {{ map: L.Map, colours: Colours }} options */
  constructor({ map, colours }) {
    this.map = map;
    this.colours = colours;
    this.outlineRenderer = rendererOf(map, "outlines", "340");
    this.roadRenderer = rendererOf(map, "roads", "350");
  }

  /** @param {Place[][]} places */
  setOutlines(places) {
    const style = { color: this.colours.county, weight: 1.2, interactive: false, renderer: this.outlineRenderer };
    this.#outlines = L.polyline(places, style).addTo(this.map);
  }

  /**
   * Draw the roads of a network from now on.
   *
   * @param {Place[][]} places
   */
  setNetwork(places) {
    this.#hasNetwork = true;
    this.#show([places]);
  }

  /**
   * Draw the roads through the segments, unless there is a network. Return the directions of travel.
   *
   * @param {Store} store
   * @returns {Map<string, Heading> | null}
   */
  update(store) {
    if (this.#hasNetwork) return null;
    const found = lines(store.segments.values());
    this.#show(found.map(({ places }) => places));
    return headings(found);
  }

  /** @param {Colours} colours */
  recolour(colours) {
    this.colours = colours;
    for (const road of this.#roads) road.setStyle({ color: colours.road });
    this.#outlines?.setStyle({ color: colours.county });
  }

  /** Draw at once what waits for a frame. */
  drawNow() {
    for (const each of [this.outlineRenderer, this.roadRenderer]) {
      if (this.map.hasLayer(each)) /** @type {any} */ (each)._redraw();
    }
  }

  /** @param {(Place[] | Place[][])[]} all */
  #show(all) {
    for (const road of this.#roads) road.remove();
    const style = { color: this.colours.road, renderer: this.roadRenderer };
    this.#roads = all.map((places) => new Road(places, style).addTo(this.map));
  }
}

/**
 * @param {L.Map} map
 * @param {string} name
 * @param {string} zIndex
 */
function rendererOf(map, name, zIndex) {
  map.createPane(name).style.zIndex = zIndex;
  return L.canvas({ padding: 0.3, pane: name });
}
