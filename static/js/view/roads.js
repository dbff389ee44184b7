/**
 * Outlines of counties and coasts, and above them the roads: of the server's network, or else through the segments. The
 * piece of each segment has the colour of its category at the chosen time.
 *
 * @import { Piece } from "../network.js"
 * @import { Store } from "../store.js"
 * @import { Heading, Place } from "../types.d.ts"
 * @import { Colours } from "./marks.js"
 */
import { NOT_CURRENT } from "../categories.js";
import { headings, lines, piecesOf } from "../network.js";
import { Road } from "./marks.js";

const { L } = globalThis;

export class Roads {
  /** @type {any} Road has Leaflet's class system, whose types are any */
  #road = null;
  /** @type {Piece[]} */
  #pieces = [];
  /** @type {Set<string>} */
  #ids = new Set();
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
   * @param {Piece[]} pieces
   */
  setNetwork(pieces) {
    this.#hasNetwork = true;
    this.#show(pieces);
  }

  /**
   * Tell whether a segment is drawn as a piece of a road.
   *
   * @param {string} id
   */
  has(id) {
    return this.#ids.has(id);
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
    this.#show(found.flatMap(piecesOf));
    return headings(found);
  }

  /**
   * Give each piece the colour of its segment, or the one of a road if predictions are hidden. Segments that do not match
   * the filter are faint.
   *
   * @param {Store} store
   * @param {{ matching: Set<string> | null, isColoured: boolean }} given `matching` is null for no filter
   */
  restyle(store, { matching, isColoured }) {
    this.#road?.setLooks(
      this.#pieces.map(({ id }) => {
        const shown = isColoured ? store.segments.get(id) : undefined;
        return { category: shown ? store.group(shown) : NOT_CURRENT, isFaint: matching !== null && !matching.has(id) };
      }),
    );
  }

  /** @param {Colours} colours */
  recolour(colours) {
    this.colours = colours;
    this.#road?.setColours(colours);
    this.#outlines?.setStyle({ color: colours.county });
  }

  /** Draw at once what waits for a frame. */
  drawNow() {
    for (const each of [this.outlineRenderer, this.roadRenderer]) {
      if (this.map.hasLayer(each)) /** @type {any} */ (each)._redraw();
    }
  }

  /** @param {Piece[]} pieces */
  #show(pieces) {
    this.#road?.remove();
    this.#pieces = pieces;
    this.#ids = new Set(pieces.map(({ id }) => id));
    this.#road = new Road(pieces.map(({ places }) => places), { renderer: this.roadRenderer });
    this.#road.setColours(this.colours);
    this.#road.addTo(this.map);
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
