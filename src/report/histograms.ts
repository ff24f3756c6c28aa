/**
 * Histograms of durations, one row per function, in the buckets of `ring/histogram.ts`. A bucket is
 * found without a branch, in the exponent and the highest bits of the number's binary form (IEEE
 * 754), because this is done for every call of a trace.
 */
import { bucketCount, quantile, subBits } from "../ring/histogram.ts";

/** What loops need of another module, as this one's: see CONTRIBUTING.md, "What bites". */
const rowLength = bucketCount;
const bits = subBits;

/** High half of a double: 20 bits of the fraction below the exponent, whose bias is 1023. */
const shift = 20 - subBits;
const firstBucket = 1023 << subBits;
const scratch: Float64Array = new Float64Array(1);
const halves: Uint32Array = new Uint32Array(scratch.buffer);

/** Below it, a bucket is found without a detour through memory. */
const shortTicks = 2 ** 31;

/** The bucket of a duration of `ticks`: 0 goes with 1, what is too long with the longest. */
const bucketOf = (ticks: number): number =>
  ticks < shortTicks ? shortBucket(ticks | 0) : longBucket(ticks);

/** A number's highest bit, and those behind it. */
function shortBucket(ticks: number): number {
  const zeros = Math.clz32(ticks | 1);
  const sub = ((ticks << zeros) >>> (31 - bits)) & ((1 << bits) - 1);
  return ((31 - zeros) << bits) | sub;
}

function longBucket(ticks: number): number {
  scratch[0] = ticks;
  return Math.min(rowLength - 1, ((halves[1] ?? 0) >>> shift) - firstBucket);
}

/** The index in `low` of the count of such durations in that row. */
export const placeOf = (row: number, ticks: number): number => row * rowLength + bucketOf(ticks);

/** A count in `low` that reaches it starts over and is carried. */
const carryAt = 2 ** 16;

export class Histograms {
  /**
   * The counts' low 16 bits: the fewer bytes there are, the more functions' counts fit into a near
   * cache. Public for the one loop that can't afford `add`; another array after `grow`.
   */
  low: Uint16Array;
  /** What was carried, by place. */
  readonly #high: Map<number, number> = new Map();

  /** @param rows for how many functions at first. */
  constructor(rows: number) {
    this.low = new Uint16Array(rows * rowLength);
  }

  /** Makes room for `rows` functions. */
  grow(rows: number): void {
    const low = new Uint16Array(rows * rowLength);
    low.set(this.low);
    this.low = low;
  }

  /** Counts a duration of `ticks`. */
  add(row: number, ticks: number): void {
    const place = placeOf(row, ticks);
    const count = ((this.low[place] ?? 0) + 1) & 0xffff;
    this.low[place] = count;
    if (count === 0) this.carry(place);
  }

  /** A count in `low` has started over. */
  carry(place: number): void {
    this.#high.set(place, (this.#high.get(place) ?? 0) + carryAt);
  }

  /** The ticks that `share` (0 to 1) of the row's durations do not exceed; 0 without durations. */
  quantile(row: number, share: number): number {
    const start = row * rowLength;
    const counts = Float64Array.from(
      this.low.subarray(start, start + rowLength),
      (low, bucket) => low + (this.#high.get(start + bucket) ?? 0),
    );
    return quantile(counts, share);
  }
}
