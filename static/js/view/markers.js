/**
 * The markers of the map: one per segment with a place. They are made once, and restyled when their look changes.
 *
 * @import { Store } from "../store.js"
 * @import { Heading, Place, Shown } from "../types.d.ts"
 * @import { Colours } from "./marks.js"
 * @typedef {{ shape: string, ring: string | null, course: string | null, opacity: number, isQuiet: boolean }} Look
 */
import { NOT_CURRENT, CATEGORIES } from "../categories.js";
import { placeOf } from "../network.js";
import { isJam } from "../speeds.js";
import { setText } from "./elements.js";
import { label } from "./format.js";
import { Mark, MarksCanvas } from "./marks.js";

const { L } = globalThis;
const MIN_RADIUS = 4;
const MAX_RADIUS = 8;
const SELECTED_SCALE = 1.7;
const FAINT = 0.12;
/** @type {(keyof Look)[]} */
const LOOKS = ["shape", "ring", "course", "opacity", "isQuiet"];

export class Markers {
  /** @type {Map<string, any>} Mark has Leaflet's class system, whose types are any */
  #markers = new Map();
  /** @type {string | null} */
  #selected = null;
  /** @type {Map<string, Heading>} */
  #headings = new Map();
  #canvas = new MarksCanvas({ padding: 0.3, tolerance: 4 });
  #group = L.featureGroup();
  #name = document.createElement("span");
  #hint = L.tooltip({ direction: "top", offset: [0, -6] });

  /** @param {{ map: L.Map, onSelect(id: string): void }} options */
  constructor({ map, onSelect }) {
    this.map = map;
    this.#hint.setContent(this.#name);
    this.#group.on("click", ({ propagatedFrom }) => onSelect(propagatedFrom.segment));
    this.#group.on("mouseover", ({ propagatedFrom }) => this.#showHint(propagatedFrom));
    this.#group.on("mouseout", () => this.#hint.remove());
    map.on("zoomend", () => {
      for (const marker of this.#markers.values()) this.#resize(marker);
    });
  }

  get size() {
    return this.#markers.size;
  }

  /** The number of markers that are not faint. */
  get matching() {
    let count = 0;
    for (const { options } of this.#markers.values()) if (options.opacity === 1) count += 1;
    return count;
  }

  /** @returns {L.LatLng[]} */
  get places() {
    return [...this.#markers.values()].map((marker) => marker.getLatLng());
  }

  /**
   * Return the place of a segment's marker; null if it has none.
   *
   * @param {string | null} id
   * @returns {L.LatLng | null}
   */
  placeOf(id) {
    return (id !== null && this.#markers.get(id)?.getLatLng()) || null;
  }

  /** @param {boolean} isShown */
  show(isShown) {
    if (isShown) this.#group.addTo(this.map);
    else this.#group.remove();
  }

  /**
   * Update the marker of a segment.
   *
   * @param {Store} store
   * @param {string} id
   * @param {Set<string> | null} matching segments that match the filter; null for no filter
   * @param {boolean} isOnRoad whether the segment is drawn as a road, too
   */
  update(store, id, matching, isOnRoad) {
    const prediction = store.segments.get(id);
    const place = prediction && placeOf(prediction);
    if (!place) return this.#remove(id);
    const marker = this.#markers.get(id) ?? this.#add(id, place);
    const { lat, lng } = marker.getLatLng();
    if (lat !== place[0] || lng !== place[1]) marker.setLatLng(place);
    const own = lookOf(store, prediction);
    // On a road a mark is for what is bad or chosen.
    const isQuiet = isOnRoad && matching === null && own.ring === null && own.course === null && !isJam(own.shape);
    const look = { ...own, opacity: matching === null || matching.has(id) ? 1 : FAINT, isQuiet };
    if (marker.isOutdated || LOOKS.some((name) => marker.options[name] !== look[name])) {
      marker.isOutdated = false;
      marker.setStyle(look);
    }
  }

  /** @param {Store} store */
  removeMissing(store) {
    for (const id of this.#markers.keys()) if (!store.segments.has(id)) this.#remove(id);
  }

  /** @param {string | null} id */
  select(id) {
    const changed = [this.#selected, id];
    this.#selected = id;
    for (const each of changed) {
      const marker = each === null ? null : this.#markers.get(each);
      if (marker) this.#resize(marker);
    }
  }

  /** @param {Map<string, Heading>} headings */
  setHeadings(headings) {
    this.#headings = headings;
    for (const [id, marker] of this.#markers) {
      marker.options.heading = headings.get(id) ?? null;
      marker.redraw();
    }
  }

  /** @param {Colours} colours */
  recolour(colours) {
    this.#canvas.setColours(colours);
    for (const marker of this.#markers.values()) marker.isOutdated = true;
  }

  /** Draw at once what waits for a frame. */
  drawNow() {
    if (this.map.hasLayer(this.#canvas)) this.#canvas._redraw();
  }

  /**
   * @param {string} id
   * @param {Place} place
   */
  #add(id, place) {
    const options = { radius: this.#radius(), heading: this.#headings.get(id) ?? null, renderer: this.#canvas };
    const marker = Object.assign(new Mark(place, options), { segment: id, isOutdated: true });
    this.#markers.set(id, marker);
    this.#group.addLayer(marker);
    if (id === this.#selected) this.#resize(marker);
    return marker;
  }

  /** @param {string} id */
  #remove(id) {
    const marker = this.#markers.get(id);
    if (!marker) return;
    this.#group.removeLayer(marker);
    this.#markers.delete(id);
    this.#hint.remove();
  }

  /** Markers are smaller at low zoom, so that they don't hide each other. */
  #radius() {
    return Math.min(MAX_RADIUS, Math.max(MIN_RADIUS, 1.4 * (this.map.getZoom() - 6.5)));
  }

  /** @param {any} marker */
  #resize(marker) {
    const isSelected = marker.segment === this.#selected;
    marker.options.isSelected = isSelected;
    marker.setRadius(isSelected ? SELECTED_SCALE * this.#radius() : this.#radius());
  }

  /** @param {any} marker */
  #showHint(marker) {
    setText(this.#name, label(marker.segment));
    this.#hint.setLatLng(marker.getLatLng()).addTo(this.map);
  }
}

/**
 * Return the look of a segment: the shape is its category at the chosen time. A jam at the other one of now and the
 * predicted time is a ring, if it is worse.
 *
 * @param {Store} store
 * @param {Shown} shown
 */
function lookOf(store, shown) {
  const shape = store.group(shown);
  if (shape === NOT_CURRENT) return { shape, ring: null, course: null };
  const other = store.otherCategory(shown) ?? "";
  const isWorse = isJam(other) && CATEGORIES.indexOf(other) > CATEGORIES.indexOf(shape);
  return { shape, ring: isWorse ? other : null, course: store.scale.course(shown.current_speed, shown.predicted_speed) };
}
