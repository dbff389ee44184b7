/**
 * The map: a marker per segment, coloured and shaped by category, on the roads that the segments themselves make.
 *
 * Leaflet (static/vendor) draws on a canvas. Markers are made once and restyled when their look changes; what comes
 * between two frames is drawn together. A canvas takes no focus: keyboards and screen readers go through the table.
 */
import { CATEGORIES } from "../store.js";
import { FRESH } from "../freshness.js";
import { headings, lines, placeOf } from "../network.js";
import { parts, setAttribute, setText } from "./elements.js";
import { label, plural } from "./format.js";
import { Mark, MarksCanvas, Road } from "./marks.js";
import { PopupContent } from "./popup.js";

const { L } = globalThis;
const SMALLEST_RADIUS = 4;
const LARGEST_RADIUS = 8;
const SELECTED = 1.7;
const FAINT = 0.12;
const ROADS_EVERY_MS = 2_000;
const RESTYLE_MS = 1_000;
// The canvas is drawn anew for one marker that changed as for all: ten times a second is as live as an eye can use, and
// thousands of markers take longer than a frame.
const DRAW_MS = 100;
const DRAW_MS_PER_MARKER = 0.125;
const LOS_ANGELES = [[33.7, -118.7], [34.35, -117.7]];

export class MapView {
  #markers = new Map();
  #roads = [];
  #network = null;
  #roadNames = 0;
  #roadsAt = -Infinity;
  #restyledAt = -Infinity;
  #drawnAt = -Infinity;
  #waiting = new Set();
  #outlines = null;
  #isFitted = false;
  #selected = null;
  #query = null;

  /** `view` is where to look, { centre, zoom }, or null for all that there is; `onView` hears where the user looks. */
  constructor(root, { config, view, onSelect, onView }) {
    this.parts = parts(root);
    Object.assign(this, { onSelect, onView });
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.canvas = new MarksCanvas({ padding: 0.3, tolerance: 4 });
    this.map = L.map(this.parts.map, {
      trackResize: false, // see below
      attributionControl: Boolean(config.map_attribution),
      zoomSnap: 0.25,
      zoomAnimation: !still,
      inertia: !still,
      fadeAnimation: false,
    }).fitBounds(LOS_ANGELES, { animate: false });
    this.#isFitted = view !== null;
    if (view) this.map.setView(view.centre, view.zoom, { animate: false });
    this.map.attributionControl?.setPrefix(false);
    this.map.createPane("outlines").style.zIndex = "340";
    this.map.createPane("roads").style.zIndex = "350";
    this.outlineRenderer = L.canvas({ padding: 0.3, pane: "outlines" });
    this.roadRenderer = L.canvas({ padding: 0.3, pane: "roads" });
    if (config.map_tiles) L.tileLayer(config.map_tiles, { attribution: asText(config.map_attribution) }).addTo(this.map);
    this.marks = L.featureGroup();
    this.marks.on("click", ({ layer }) => onSelect(layer.id));
    this.marks.on("mouseover", ({ layer }) => this.#hint(layer));
    this.marks.on("mouseout", () => this.hint.remove());
    this.hint = L.tooltip({ direction: "top", offset: [0, -6] });
    this.hint.setContent(document.createElement("span"));
    this.popup = new PopupContent({ unit: config.speed_unit, onDetails: (id) => onSelect(id, true) });
    this.balloon = L.popup({ autoPanPadding: [10, 10], minWidth: 220, maxWidth: 310 });
    this.balloon.setContent(this.popup.element);
    this.balloon.on("remove", () => this.#selected !== null && !this.#isMoving && onSelect(null));
    this.map.on("zoomend", () => this.#resizeAll());
    // An own move that is animated ends later than it was begun.
    this.map.on("movestart", () => (this.#isOwnMove = this.#isMoving));
    this.map.on("moveend", () => this.#isMoving || this.#isOwnMove || this.#tellView());
    this.parts.showPredictions.addEventListener("change", () => this.#showMarkers());
    this.#showMarkers();
    const fill = () => this.#quietly(() => this.map.invalidateSize({ pan: false }));
    new ResizeObserver(fill).observe(this.parts.map);
    this.#readColours();
  }

  #isMoving = false;
  #isOwnMove = false;

  /**
   * Show what the store holds, and mark the segment that is asked for.
   *
   * `changed` are the segments that are new since the last time; `isShownElsewhere` tells whether the marked one is
   * shown in full, so that it needs no popup.
   */
  render(store, query, { replaced, segments: changed }, { matching, isShownElsewhere, now }) {
    const all = replaced || query !== this.#query || now - this.#restyledAt >= RESTYLE_MS;
    for (const id of changed) this.#waiting.add(id);
    const pause = Math.max(DRAW_MS, DRAW_MS_PER_MARKER * this.#markers.size);
    if (all || now - this.#drawnAt >= pause) this.#draw(store, { all, replaced }, matching, now);
    this.#query = query;
    // Filled before it is opened: an empty popup has no heading, and no size by which the map could move.
    if (query.segment !== null) this.popup.render(store, query.segment);
    this.#select(query.segment, isShownElsewhere);
  }

  #draw(store, { all, replaced }, matching, now) {
    if (replaced) this.#forgetGone(store);
    for (const id of this.#waiting) this.#restyle(store, id, matching);
    if (all) for (const id of store.segments.keys()) this.#restyle(store, id, matching);
    this.#waiting.clear();
    this.#drawnAt = now;
    if (all) this.#restyledAt = now;
    this.#drawRoads(store, now);
    this.#count(store);
  }

  /** Mark a segment, with its popup unless it is shown in full elsewhere; null for none. */
  #select(id, isShownElsewhere) {
    if (isShownElsewhere && this.balloon.isOpen()) this.#quietly(() => this.balloon.close());
    const marker = this.#markers.get(id); // none yet: then none is marked
    const isGone = !marker && id !== null && id === this.#selected; // the popup stays where it was, and says so
    if (isGone || (marker?.id ?? null) === this.#selected) return;
    const before = this.#markers.get(this.#selected);
    this.#selected = marker?.id ?? null;
    for (const each of [before, marker]) if (each) this.#resize(each);
    this.#quietly(() => {
      if (marker && !isShownElsewhere) this.balloon.setLatLng(marker.getLatLng()).openOn(this.map);
      else this.balloon.close();
      if (marker && !this.map.getBounds().contains(marker.getLatLng())) this.map.panTo(marker.getLatLng());
    });
  }

  #tellView() {
    const { lat, lng } = this.map.getCenter();
    this.onView({ centre: [lat, lng], zoom: this.map.getZoom() });
  }

  /** Do something to map or popup that isn't the user's doing. */
  #quietly(work) {
    this.#isMoving = true;
    work();
    this.#isMoving = false;
  }

  /** Far away markers are small, so that they don't hide each other. */
  #radius() {
    return Math.min(LARGEST_RADIUS, Math.max(SMALLEST_RADIUS, 1.4 * (this.map.getZoom() - 6.5)));
  }

  #resize(marker) {
    const isSelected = marker.id === this.#selected;
    marker.options.isSelected = isSelected;
    marker.setRadius(isSelected ? SELECTED * this.#radius() : this.#radius());
  }

  #resizeAll() {
    for (const marker of this.#markers.values()) this.#resize(marker);
  }

  #hint(marker) {
    setText(this.hint.getContent(), label(marker.id));
    this.hint.setLatLng(marker.getLatLng()).addTo(this.map);
  }

  /** Take up the colours of another theme. */
  recolour() {
    this.#readColours();
    for (const marker of this.#markers.values()) marker.look = null;
    for (const road of this.#roads) road.setStyle({ color: this.colours.road });
    this.#outlines?.setStyle({ color: this.colours.county });
    this.#restyledAt = -Infinity;
  }

  /** Draw at once what else waits for a frame: printing takes none. */
  drawNow() {
    for (const each of [this.outlineRenderer, this.roadRenderer, this.canvas]) {
      if (this.map.hasLayer(each)) each._redraw();
    }
  }

  #restyle(store, id, matching) {
    const prediction = store.segments.get(id);
    const place = prediction && placeOf(prediction);
    if (!place) return this.#remove(id);
    const marker = this.#markers.get(id) ?? this.#add(id, place);
    if (!isAt(marker, place)) marker.setLatLng(place);
    if (id === this.#selected && !isAt(this.balloon, place)) this.#quietly(() => this.balloon.setLatLng(place));
    const isFresh = store.freshness(prediction) === FRESH && CATEGORIES.includes(prediction.category);
    const shape = isFresh ? prediction.category : "not_current";
    const isFaint = matching !== null && !matching.has(id);
    const look = `${shape}${isFaint}`;
    if (marker.look === look) return undefined;
    marker.look = look;
    return marker.setStyle({ shape, opacity: isFaint ? FAINT : 1 });
  }

  #add(id, place) {
    const options = { radius: this.#radius(), heading: this.headings?.get(id) ?? null, renderer: this.canvas };
    const marker = Object.assign(new Mark(place, options), { id });
    this.#markers.set(id, marker);
    this.marks.addLayer(marker);
    if (id === this.#selected) this.#resize(marker); // it is back
    return marker;
  }

  #remove(id) {
    const marker = this.#markers.get(id);
    if (!marker) return;
    this.marks.removeLayer(marker);
    this.#markers.delete(id);
    this.hint.remove();
  }

  #forgetGone(store) {
    for (const id of this.#markers.keys()) if (!store.segments.has(id)) this.#remove(id);
  }

  #showMarkers() {
    if (this.parts.showPredictions.checked) this.marks.addTo(this.map);
    else this.marks.remove();
  }

  /** Draw borders and coasts under everything; `lines` are of [latitude, longitude]. */
  setOutlines(lines) {
    const style = { color: this.colours.county, weight: 1.2, interactive: false, renderer: this.outlineRenderer };
    this.#outlines = L.polyline(lines, style).addTo(this.map);
    setAttribute(this.parts.map, "data-outlines", String(lines.length));
  }

  /** Draw the roads of a network (`drawn` of network.js) in the place of those found among the segments. */
  setNetwork({ lines: places, headings: known }) {
    this.#network = known;
    this.#showRoads([places], known);
    this.#fit();
  }

  /** The lines are found anew when there are other segments than before, though not over and over. */
  #drawRoads(store, now) {
    if (this.#markers.size === this.#roadNames || now - this.#roadsAt < ROADS_EVERY_MS) return;
    [this.#roadNames, this.#roadsAt] = [this.#markers.size, now];
    if (!this.#network) {
      const found = lines(store.segments.values());
      this.#showRoads(found.map(({ places }) => places), headings(found));
    }
    this.#fit();
  }

  #showRoads(all, known) {
    this.headings = known;
    for (const road of this.#roads) road.remove();
    this.#roads = all.map((places) => this.#road(places));
    for (const [id, marker] of this.#markers) {
      marker.options.heading = this.headings.get(id) ?? null;
      marker.redraw();
    }
  }

  #road(places) {
    return new Road(places, { color: this.colours.road, renderer: this.roadRenderer }).addTo(this.map);
  }

  #fit() {
    if (this.#isFitted || this.#markers.size === 0) return;
    this.#isFitted = true;
    const places = [...this.#markers.values()].map((marker) => marker.getLatLng());
    const bounds = L.latLngBounds(places);
    this.#quietly(() => this.map.fitBounds(bounds, { padding: [24, 24], maxZoom: 14, animate: false }));
  }

  #count(store) {
    const off = store.segments.size - this.#markers.size;
    setText(this.parts.onMap, plural(this.#markers.size, "segment", "segments"));
    setText(this.parts.offMap, off ? `${off.toLocaleString("en")} not on the map` : "");
    setAttribute(this.parts.map, "data-markers", String(this.#markers.size));
    const faint = [...this.#markers.values()].filter(({ look }) => look.endsWith("true")).length;
    setAttribute(this.parts.map, "data-matching", String(this.#markers.size - faint));
  }

  #readColours() {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(`--${name}`).trim();
    this.colours = {
      free_flow: of("free"),
      moderate_traffic: of("moderate"),
      heavy_traffic: of("heavy"),
      severe_congestion: of("severe"),
      ground: of("hatch-ground"),
      line: of("hatch-line"),
      outline: of("outline"),
      road: of("road"),
      county: of("county"),
    };
    this.canvas.setColours(this.colours);
  }
}

function isAt(layer, [latitude, longitude]) {
  const there = layer.getLatLng();
  return there?.lat === latitude && there?.lng === longitude;
}

/** Leaflet takes an attribution for markup. */
function asText(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
