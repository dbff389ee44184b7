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
import { plural } from "./format.js";
import { PopupContent } from "./popup.js";

const { L } = globalThis;
const SMALLEST_RADIUS = 4;
const LARGEST_RADIUS = 8;
const SELECTED = 1.7;
const OFFSET_PX = 3;
const ROADS_EVERY_MS = 2_000;
const RESTYLE_MS = 1_000;
const LOS_ANGELES = [[33.7, -118.7], [34.35, -117.7]];
const SHAPES = {
  free_flow: (ctx, x, y, r) => ctx.arc(x, y, r, 0, 2 * Math.PI),
  moderate_traffic: (ctx, x, y, r) => ctx.rect(x - 0.88 * r, y - 0.88 * r, 1.76 * r, 1.76 * r),
  heavy_traffic: (ctx, x, y, r) => polygon(ctx, [[x, y - 1.15 * r], [x + 1.1 * r, y + 0.85 * r], [x - 1.1 * r, y + 0.85 * r]]),
  severe_congestion: (ctx, x, y, r) => polygon(ctx, [[x, y - 1.25 * r], [x + 1.25 * r, y], [x, y + 1.25 * r], [x - 1.25 * r, y]]),
  not_current: (ctx, x, y, r) => ctx.arc(x, y, 0.85 * r, 0, 2 * Math.PI),
};

function polygon(ctx, points) {
  points.forEach(([x, y], index) => (index ? ctx.lineTo(x, y) : ctx.moveTo(x, y)));
  ctx.closePath();
}

/** A marker of a category's shape, a little to the right of the way the traffic goes. */
const Marker = L.CircleMarker.extend({
  options: { weight: 1.2, opacity: 1, fillOpacity: 1, shape: "free_flow", heading: null },

  _updatePath() {
    const renderer = this._renderer;
    if (!renderer._drawing || this._empty()) return;
    const { x, y } = this._drawnAt();
    renderer._ctx.beginPath();
    SHAPES[this.options.shape](renderer._ctx, x, y, this._radius);
    renderer._fillStroke(renderer._ctx, this);
  },

  _drawnAt() {
    const [east, north] = this.options.heading ?? [0, 0];
    return this._point.add(L.point(north * OFFSET_PX, east * OFFSET_PX));
  },

  _containsPoint(point) {
    return point.distanceTo(this._drawnAt()) <= this._radius + this._clickTolerance();
  },
});

export class MapView {
  #markers = new Map();
  #roads = [];
  #network = null;
  #roadNames = 0;
  #roadsAt = -Infinity;
  #restyledAt = -Infinity;
  #isFitted = false;
  #selected = null;
  #query = null;

  /** `view` is where to look, { centre, zoom }, or null for all that there is; `onView` hears where the user looks. */
  constructor(root, { config, view, onSelect, onView }) {
    this.parts = parts(root);
    Object.assign(this, { onSelect, onView });
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.map = L.map(this.parts.map, {
      renderer: L.canvas({ padding: 0.3, tolerance: 4 }),
      attributionControl: Boolean(config.map_attribution),
      zoomSnap: 0.25,
      zoomAnimation: !still,
      inertia: !still,
      fadeAnimation: false,
    }).fitBounds(LOS_ANGELES, { animate: false });
    this.#isFitted = view !== null;
    if (view) this.map.setView(view.centre, view.zoom, { animate: false });
    this.map.attributionControl?.setPrefix(false);
    this.map.createPane("roads").style.zIndex = "350";
    this.roadRenderer = L.canvas({ padding: 0.3, pane: "roads" });
    if (config.map_tiles) L.tileLayer(config.map_tiles, { attribution: asText(config.map_attribution) }).addTo(this.map);
    this.popup = new PopupContent({ unit: config.speed_unit, onDetails: (id) => onSelect(id, true) });
    this.balloon = L.popup({ autoPanPadding: [10, 10], minWidth: 220, maxWidth: 280 });
    this.balloon.setContent(this.popup.element);
    this.balloon.on("remove", () => this.#selected !== null && !this.#isMoving && onSelect(null));
    this.map.on("zoomend", () => this.#resize());
    this.map.on("moveend", () => this.#isMoving || this.#tellView());
    this.parts.showPredictions.addEventListener("change", () => this.#showMarkers());
    const fill = () => this.#quietly(() => this.map.invalidateSize({ pan: false }));
    new ResizeObserver(fill).observe(this.parts.map);
    this.#readColours();
  }

  #isMoving = false;
  #isOpening = false;

  /** Show what the store holds; `changed` are the segments that are new since the last time. */
  render(store, query, { replaced, segments: changed }, matching, now) {
    const all = replaced || query !== this.#query || now - this.#restyledAt >= RESTYLE_MS;
    if (replaced) this.#forgetGone(store);
    for (const id of all ? store.segments.keys() : changed) this.#restyle(store, id, matching);
    if (all) this.#restyledAt = now;
    this.#query = query;
    this.#drawRoads(store, now);
    this.#count(store);
    this.#follow(store, now);
  }

  /** Mark a segment, with its popup unless it is shown in full elsewhere; null for none. */
  select(id, isShownElsewhere) {
    if (isShownElsewhere && this.balloon.isOpen()) this.#quietly(() => this.balloon.close());
    const marker = this.#markers.get(id);
    if (id === this.#selected || (id !== null && !marker)) return; // a marker may come yet
    const before = this.#markers.get(this.#selected);
    this.#selected = id;
    before?.setRadius(this.#radius());
    marker?.setRadius(SELECTED * this.#radius()).bringToFront();
    this.#quietly(() => {
      this.#isOpening = Boolean(marker) && !isShownElsewhere;
      if (this.#isOpening) this.balloon.setLatLng(marker.getLatLng()).openOn(this.map);
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

  #resize() {
    const radius = this.#radius();
    for (const [id, marker] of this.#markers) marker.setRadius(id === this.#selected ? SELECTED * radius : radius);
  }

  /** Take up the colours of another theme. */
  recolour() {
    this.#readColours();
    for (const marker of this.#markers.values()) marker.look = null;
    for (const road of this.#roads) road.setStyle({ color: this.colours.road });
    this.#restyledAt = -Infinity;
  }

  #restyle(store, id, matching) {
    const prediction = store.segments.get(id);
    const place = prediction && placeOf(prediction);
    if (!place) return this.#remove(id);
    const marker = this.#markers.get(id) ?? this.#add(id, place);
    const there = marker.getLatLng();
    if (there.lat !== place[0] || there.lng !== place[1]) marker.setLatLng(place);
    const isFresh = store.freshness(prediction) === FRESH && CATEGORIES.includes(prediction.category);
    const shape = isFresh ? prediction.category : "not_current";
    const isFaint = matching !== null && !matching.has(id);
    const look = `${shape}${isFaint}`;
    if (marker.look === look) return undefined;
    marker.look = look;
    marker.options.shape = shape;
    const opacity = isFaint ? 0.12 : 1;
    return marker.setStyle({ color: this.colours.outline, fillColor: this.colours[shape], opacity, fillOpacity: opacity });
  }

  #add(id, place) {
    const marker = new Marker(place, { radius: this.#radius(), heading: this.headings?.get(id) ?? null });
    marker.on("click", () => this.onSelect(id));
    this.#markers.set(id, marker);
    if (this.parts.showPredictions.checked) marker.addTo(this.map);
    return marker;
  }

  #remove(id) {
    this.#markers.get(id)?.remove();
    this.#markers.delete(id);
  }

  #forgetGone(store) {
    for (const id of this.#markers.keys()) if (!store.segments.has(id)) this.#remove(id);
  }

  #showMarkers() {
    for (const marker of this.#markers.values()) {
      if (this.parts.showPredictions.checked) marker.addTo(this.map);
      else marker.remove();
    }
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
    const style = { color: this.colours.road, weight: 3, opacity: 0.9, interactive: false, renderer: this.roadRenderer };
    return L.polyline(places, style).addTo(this.map);
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

  #follow(store, now) {
    const prediction = store.segments.get(this.#selected);
    if (!prediction) return;
    this.popup.render(store, prediction, now);
    if (this.#isOpening) this.balloon.update(); // now that it has its size: the map moves so that all of it is seen
    this.#isOpening = false;
  }

  #readColours() {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(`--${name}`).trim();
    this.colours = {
      free_flow: of("free"),
      moderate_traffic: of("moderate"),
      heavy_traffic: of("heavy"),
      severe_congestion: of("severe"),
      not_current: hatch(of("hatch-ground"), of("hatch-line")),
      outline: of("outline"),
      road: of("road"),
    };
  }
}

/** Leaflet takes an attribution for markup. */
function asText(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

function hatch(ground, line) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 4;
  const ctx = tile.getContext("2d");
  ctx.fillStyle = ground;
  ctx.fillRect(0, 0, 4, 4);
  ctx.strokeStyle = line;
  ctx.lineWidth = 1.3;
  ctx.beginPath();
  ctx.moveTo(0, 4);
  ctx.lineTo(4, 0);
  ctx.stroke();
  return ctx.createPattern(tile, "repeat");
}
