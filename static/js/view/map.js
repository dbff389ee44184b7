/**
 * The map: a marker per segment on the roads, and a popup for the selected one.
 *
 * Leaflet (static/vendor) draws on a canvas, which takes no focus: keyboards and screen readers use the table.
 *
 * @import { Piece } from "../network.js"
 * @import { Store } from "../store.js"
 * @import { Config, Heading, MapPosition, Place, Query } from "../types.d.ts"
 * @typedef {{ replaced: boolean, segments: Iterable<string> }} Changes
 */
import { t } from "../texts.js";
import { parts, setAttribute, setText } from "./elements.js";
import { Markers } from "./markers.js";
import { readColours } from "./marks.js";
import { PopupContent } from "./popup.js";
import { Roads } from "./roads.js";

const { L } = globalThis;
const ROADS_EVERY_MS = 2_000;
const RESTYLE_MS = 1_000;
// Each change redraws the whole canvas, which takes longer than a frame with thousands of markers.
const DRAW_MS = 100;
const DRAW_MS_PER_MARKER = 0.125;
/** Before segments are known the map shows no place in particular. */
const WORLD = { centre: /** @type {Place} */ ([20, 0]), zoom: 1.5 };
const CLOSEST = 14;
const NARROW = "(max-width: 900px)";

export class MapView {
  #segmentsOfRoads = 0;
  #roadsAt = -Infinity;
  #restyledAt = -Infinity;
  #drawnAt = -Infinity;
  /** @type {Set<string>} */
  #changed = new Set();
  /** Whether the user chose what the map shows. */
  #isChosen = false;
  /** @type {L.LatLngBounds | null} what the map was fitted to */
  #fitted = null;
  /** @type {string | null} */
  #selected = null;
  /** @type {Query | null} */
  #query = null;
  #isProgrammatic = false;
  #isProgrammaticMove = false;
  /** @type {boolean | null} */
  #hasMarkers = null;

  /**
   * @param {ParentNode} root
   * @param {object} options
   * @param {Config} options.config
   * @param {MapPosition | null} options.view where to look; null for all segments
   * @param {(id: string | null, withDetails?: boolean) => void} options.onSelect
   * @param {(view: MapPosition) => void} options.onView called when the user has moved the map
   * @param {(isShown: boolean) => void} options.onPredictions called when the user shows or hides the markers
   */
  constructor(root, { config, view, onSelect, onView, onPredictions }) {
    this.parts = parts(root);
    this.onView = onView;
    this.map = makeMap(this.parts.map, config, view);
    this.#isChosen = view !== null;
    const colours = readColours();
    this.roads = new Roads({ map: this.map, colours });
    this.markers = new Markers({ map: this.map, onSelect });
    this.markers.recolour(colours);
    this.facts = new PopupContent({ unit: config.speed_unit, onDetails: (id) => onSelect(id, true) });
    this.popup = L.popup({ ...popupRoom(), minWidth: 220, maxWidth: 310 }).setContent(this.facts.element);
    this.popup.on("add", () => {
      this.popup.getElement()?.querySelector(".leaflet-popup-close-button")?.setAttribute("aria-label", t("map.close_popup"));
    });
    this.popup.on("remove", () => {
      if (this.#selected !== null && !this.#isProgrammatic) onSelect(null);
    });
    // An animated move by the program ends later than the call that started it.
    this.map.on("movestart", () => (this.#isProgrammaticMove = this.#isProgrammatic));
    this.#noteBounds();
    this.map.on("moveend resize", () => this.#noteBounds());
    this.map.on("moveend", () => this.#onMoveEnd());
    const { showPredictions } = this.parts;
    showPredictions.addEventListener("change", () => {
      this.#showMarkers(showPredictions.checked);
      onPredictions(showPredictions.checked);
    });
    new ResizeObserver(() => this.#resize()).observe(this.parts.map);
  }

  /**
   * Show what the store holds, and mark the selected segment: marks and roads in a step each, as each of the two canvases
   * takes half a frame or more to draw.
   *
   * @param {Store} store
   * @param {Query} query
   * @param {Changes} changes
   * @param {{ matching: Set<string> | null, isShownElsewhere: boolean, now: number }} given the segments that match the
   *   filter (null for no filter); whether the drawer shows the selected segment, which then needs no popup
   * @returns {Generator<void, void>}
   */
  *render(store, query, { replaced, segments }, { matching, isShownElsewhere, now }) {
    const restylesAll = replaced || query !== this.#query || now - this.#restyledAt >= RESTYLE_MS;
    for (const id of segments) this.#changed.add(id);
    const pauseMs = Math.max(DRAW_MS, DRAW_MS_PER_MARKER * this.markers.size);
    if (restylesAll || now - this.#drawnAt >= pauseMs) {
      if (replaced) this.markers.removeMissing(store);
      const ids = restylesAll ? new Set([...this.#changed, ...store.segments.keys()]) : this.#changed;
      for (const id of ids) this.markers.update(store, id, matching, this.roads.has(id));
      this.#changed.clear();
      this.#drawnAt = now;
      if (restylesAll) this.#restyledAt = now;
      yield;
      this.roads.restyle(store, { matching, isColoured: query.predictions });
      this.#renderRoads(store, now);
      this.#renderCounts(store);
    }
    this.#query = query;
    this.#showMarkers(query.predictions);
    this.#renderSelection(store, query.segment, isShownElsewhere);
  }

  /** Use the colours of the current theme. */
  recolour() {
    const colours = readColours();
    this.markers.recolour(colours);
    this.roads.recolour(colours);
    this.#restyledAt = -Infinity;
  }

  /** Draw at once what waits for a frame: while printing there are no frames. */
  drawNow() {
    this.roads.drawNow();
    this.markers.drawNow();
  }

  /** @param {Place[][]} lines */
  setOutlines(lines) {
    this.roads.setOutlines(lines);
    setAttribute(this.parts.map, "data-outlines", String(lines.length));
  }

  /**
   * Draw the roads of a network instead of those through the segments.
   *
   * @param {{ pieces: Piece[], headings: Map<string, Heading> }} network
   */
  setNetwork({ pieces, headings }) {
    this.roads.setNetwork(pieces);
    this.markers.setHeadings(headings);
    this.#restyledAt = -Infinity;
    this.#fit(L.latLngBounds(pieces.flatMap(({ places }) => places)));
  }

  /**
   * Fit the map to segments that the user has chosen.
   *
   * @param {string[]} ids
   */
  fitTo(ids) {
    const bounds = L.latLngBounds(ids.flatMap((id) => this.markers.placeOf(id) ?? []));
    if (!bounds.isValid()) return;
    this.#isChosen = true;
    this.map.fitBounds(bounds, { padding: [48, 48], maxZoom: CLOSEST });
    if (matchMedia(NARROW).matches) this.parts.map.scrollIntoView({ block: "center" });
  }

  /** @param {boolean} isShown */
  #showMarkers(isShown) {
    if (isShown === this.#hasMarkers) return;
    this.#hasMarkers = isShown;
    this.parts.showPredictions.checked = isShown;
    this.markers.show(isShown);
  }

  /**
   * @param {Store} store
   * @param {string | null} id
   * @param {boolean} isShownElsewhere
   */
  #renderSelection(store, id, isShownElsewhere) {
    // Filled before it opens: an empty popup has no heading, and no size by which the map could move.
    if (id !== null) this.facts.render(store, id);
    if (isShownElsewhere && this.popup.isOpen()) this.#programmatically(() => this.popup.close());
    const place = this.markers.placeOf(id);
    if (place === null && id !== null && id === this.#selected) return; // it left the view: the popup stays, and says so
    const selected = place === null ? null : id;
    if (selected === this.#selected) return this.#movePopup(place);
    this.#selected = selected;
    this.markers.select(selected);
    this.#programmatically(() => {
      if (place && !isShownElsewhere) this.popup.setLatLng(place).openOn(this.map);
      else this.popup.close();
      if (place && !this.map.getBounds().contains(place)) this.map.panTo(place);
    });
  }

  /** @param {L.LatLng | null} place */
  #movePopup(place) {
    const current = this.popup.getLatLng();
    if (place && current && !current.equals(place, 0)) this.#programmatically(() => this.popup.setLatLng(place));
  }

  #noteBounds() {
    setAttribute(this.parts.map, "data-bounds", this.map.getBounds().toBBoxString());
  }

  #onMoveEnd() {
    if (this.#isProgrammatic || this.#isProgrammaticMove) return;
    this.#isChosen = true;
    const { lat, lng } = this.map.getCenter();
    this.onView({ centre: [lat, lng], zoom: this.map.getZoom() });
  }

  /**
   * Change map or popup without the effects of a change by the user.
   *
   * @param {() => void} change
   */
  #programmatically(change) {
    this.#isProgrammatic = true;
    change();
    this.#isProgrammatic = false;
  }

  /**
   * @param {Store} store
   * @param {number} now
   */
  #renderRoads(store, now) {
    if (this.markers.size === this.#segmentsOfRoads || now - this.#roadsAt < ROADS_EVERY_MS) return;
    this.#segmentsOfRoads = this.markers.size;
    this.#roadsAt = now;
    const headings = this.roads.update(store);
    if (headings) this.markers.setHeadings(headings);
    this.#restyledAt = -Infinity;
    this.#fit();
  }

  /**
   * Show all segments, until the user moves the map.
   *
   * @param {L.LatLngBounds} bounds
   */
  #fit(bounds = L.latLngBounds(this.markers.places)) {
    if (this.#isChosen || this.#selected !== null || !bounds.isValid() || this.#fitted?.contains(bounds)) return;
    this.#fitted = bounds;
    this.#programmatically(() => this.map.fitBounds(bounds, { padding: [24, 24], maxZoom: CLOSEST, animate: false }));
  }

  #resize() {
    this.#programmatically(() => this.map.invalidateSize({ pan: false }));
    const bounds = this.#fitted;
    this.#fitted = null;
    if (bounds) this.#fit(bounds);
    this.#fitted ??= bounds;
  }

  /** @param {Store} store */
  #renderCounts(store) {
    const { size, matching } = this.markers;
    const missing = store.segments.size - size;
    setText(this.parts.onMap, t("segments", { count: size }));
    setText(this.parts.offMap, missing ? t("map.missing", { count: missing }) : "");
    setAttribute(this.parts.map, "data-markers", String(size));
    setAttribute(this.parts.map, "data-matching", String(matching));
  }
}

/**
 * @param {HTMLElement} element
 * @param {Config} config
 * @param {MapPosition | null} view
 */
function makeMap(element, config, view) {
  const moves = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  const map = L.map(element, {
    trackResize: false, // an observer of the element does it
    zoomControl: false,
    attributionControl: Boolean(config.map_attribution),
    zoomSnap: 0.25,
    zoomAnimation: moves,
    inertia: moves,
    fadeAnimation: false,
    // With one finger a phone scrolls the page; two fingers move the map.
    dragging: !matchMedia("(pointer: coarse)").matches,
  });
  const { centre, zoom } = view ?? WORLD;
  map.setView(centre, zoom, { animate: false });
  const position = matchMedia(NARROW).matches ? "bottomright" : "topleft";
  L.control.zoom({ position, zoomInTitle: t("map.zoom_in"), zoomOutTitle: t("map.zoom_out") }).addTo(map);
  map.attributionControl?.setPrefix(false);
  if (config.map_tiles) L.tileLayer(config.map_tiles, { attribution: escaped(config.map_attribution) }).addTo(map);
  return map;
}

/** Return the room that a popup leaves at the edges of the map, for the zoom buttons, too. */
function popupRoom() {
  const edge = L.point(10, 10);
  if (matchMedia(NARROW).matches) return { autoPanPaddingTopLeft: edge, autoPanPaddingBottomRight: L.point(10, 90) };
  return { autoPanPaddingTopLeft: L.point(56, 10), autoPanPaddingBottomRight: edge };
}

/**
 * Leaflet sets an attribution as markup.
 *
 * @param {string} text
 */
function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
