/**
 * The segments of one road and direction as rows: in the direction of travel, with their distances from its start. Pure.
 *
 * Parts of a road follow each other without the distance between them, which is not known. A row without a length has
 * the mean length of the others in the diagram, and none in travel times.
 *
 * @import { Shown } from "./types.d.ts"
 * @typedef {{ id: string, shown: Shown, km: number | null, from: number, to: number, beginsPart: boolean }} Row
 * `from` and `to` are kilometres from the start
 */
import { corridorOf } from "./network.js";
import { Stretches } from "./stretches.js";

/** Rows that the page shows. */
export const MAX_ROWS = 400;

export class RoadRows {
  #stretches = new Stretches();

  /** @param {string} road a road and direction, or a whole name */
  constructor(road) {
    this.road = road;
  }

  /**
   * Use the lengths of a network.
   *
   * @param {Map<string, number>} km by segment
   */
  setLengths(km) {
    this.#stretches.setLengths(km);
  }

  /**
   * Tell whether a segment is on the road.
   *
   * @param {Pick<Shown, "road_name">} segment
   */
  has({ road_name: name }) {
    return corridorOf(name) === this.road;
  }

  /**
   * Return the rows of the segments on the road, at most MAX_ROWS, and how many more there are. `isOrdered` is false if
   * the order of travel is not known.
   *
   * @param {ReadonlyMap<string, Shown>} segments
   * @returns {{ rows: Row[], more: number, isOrdered: boolean }}
   */
  of(segments) {
    const own = new Map([...segments].filter(([, shown]) => this.has(shown)));
    const stretches = this.#stretches.of(own);
    const members = stretches.flatMap(({ ids, km }, part) =>
      ids.map((id, index) => ({ id, km: km?.[index] ?? null, beginsPart: part > 0 && index === 0 })),
    );
    const known = members.flatMap(({ km }) => km ?? []);
    const mean = known.length ? known.reduce((sum, km) => sum + km, 0) / known.length : 1;
    let to = 0;
    const rows = members.slice(0, MAX_ROWS).map((member) => {
      const from = to;
      to += member.km ?? mean;
      return { ...member, shown: /** @type {Shown} */ (own.get(member.id)), from, to };
    });
    return { rows, more: members.length - rows.length, isOrdered: stretches.every(({ isOrdered }) => isOrdered) };
  }
}
