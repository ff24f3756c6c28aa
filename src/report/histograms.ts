/**
 * Histograms of durations, one row per function, in the buckets of `ring/histogram.ts`. A bucket is
 * found without a branch, in the exponent and the highest bits of the number's binary form (IEEE
 * 754), because this is done for every call of a trace.
 */
import { bucketCount, quantile, subBits } from "../ring/histogram.ts";

/** High half of a double: 20 bits of the fraction below the exponent, whose bias is 1023. */
const shift = 20 - subBits;
const firstBucket = 1023 << subBits;
const scratch: Float64Array = new Float64Array(1);
const halves: Uint32Array = new Uint32Array(scratch.buffer);

/** Below it, a bucket is found without a detour through memory. */
const shortTicks = 2 ** 31;

/** The bucket of a duration of `ticks`: 0 goes with 1, what is too long with the longest. */
const bucketOf = (ticks: number): number =>
  ticks < shortTicks ? shortBucket(ticks) : longBucket(ticks);

/** A number's highest bit, and those behind it. */
function shortBucket(ticks: number): number {
  const whole = ticks | 0;
  if (whole < 1) return 0;
  const zeros = Math.clz32(whole);
  const sub = ((whole << zeros) >>> (31 - subBits)) & ((1 << subBits) - 1);
  return ((31 - zeros) << subBits) | sub;
}

function longBucket(ticks: number): number {
  scratch[0] = ticks;
  return Math.min(bucketCount - 1, ((halves[1] ?? 0) >>> shift) - firstBucket);
}

/** A count that reaches it is carried. */
const carryAt = 2 ** 16;

export class Histograms {
  /**
   * The counts' low 16 bits: the fewer bytes there are, the more functions' counts fit into a near
   * cache.
   */
  #low: Uint16Array;
  /** What was carried, by place. */
  readonly #high: Map<number, number> = new Map();

  /** @param rows for how many functions at first. */
  constructor(rows: number) {
    this.#low = new Uint16Array(rows * bucketCount);
  }

  /** Makes room for `rows` functions. */
  grow(rows: number): void {
    const low = new Uint16Array(rows * bucketCount);
    low.set(this.#low);
    this.#low = low;
  }

  /** Counts a duration of `ticks`. */
  add(row: number, ticks: number): void {
    const place = row * bucketCount + bucketOf(ticks);
    const count = (this.#low[place] ?? 0) + 1;
    this.#low[place] = count;
    if (count === carryAt) this.#carry(place);
  }

  #carry(place: number): void {
    this.#high.set(place, (this.#high.get(place) ?? 0) + carryAt);
  }

  /** The ticks that `share` (0 to 1) of the row's durations do not exceed; 0 without durations. */
  quantile(row: number, share: number): number {
    const start = row * bucketCount;
    const counts = Float64Array.from(
      this.#low.subarray(start, start + bucketCount),
      (low, bucket) => low + (this.#high.get(start + bucket) ?? 0),
    );
    return quantile(counts, share);
  }
}
