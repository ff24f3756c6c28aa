/**
 * Histograms of durations, one row per function, in the buckets of `ring/histogram.ts`. A bucket is
 * found without a branch, in the exponent and the highest bits of the number's binary form (IEEE
 * 754), because this is done for every call of a trace.
 */
import { bucketCount, quantile, subBits } from "../ring/histogram.ts";

/** High half of a double: 20 bits of the fraction below the exponent, whose bias is 1023. */
const shift = 20 - subBits;
const firstBucket = 1023 << subBits;

/** Below it, a bucket is found without a detour through memory. */
const shortTicks = 2 ** 31;

/** The bucket of a number below `shortTicks`: its highest bit, and those behind it. */
function shortBucket(ticks: number): number {
  const whole = ticks | 0;
  if (whole < 1) return 0;
  const zeros = Math.clz32(whole);
  const sub = ((whole << zeros) >>> (31 - subBits)) & ((1 << subBits) - 1);
  return ((31 - zeros) << subBits) | sub;
}

/** Durations that are counted together. */
const pendingMax = 4096;

export class Histograms {
  #counts: Uint32Array;
  /**
   * Places in `#counts` of durations that are not counted yet. The counts of many functions are in
   * no near cache; in a loop of nothing else the processor waits for many of them at a time.
   */
  readonly #pending: Int32Array = new Int32Array(pendingMax);
  #pendingCount = 0;
  readonly #scratch: Float64Array = new Float64Array(1);
  readonly #halves: Uint32Array = new Uint32Array(this.#scratch.buffer);

  /** @param rows for how many functions at first. */
  constructor(rows: number) {
    this.#counts = new Uint32Array(rows * bucketCount);
  }

  /** Makes room for `rows` functions. */
  grow(rows: number): void {
    const counts = new Uint32Array(rows * bucketCount);
    counts.set(this.#counts);
    this.#counts = counts;
  }

  /** Counts a duration of `ticks`; 0 goes with 1, what is too long with the longest. */
  add(row: number, ticks: number): void {
    const bucket = ticks < shortTicks ? shortBucket(ticks) : this.#longBucket(ticks);
    this.#pending[this.#pendingCount] = row * bucketCount + bucket;
    if (++this.#pendingCount === pendingMax) this.#count();
  }

  /** Counts what waits for it. */
  #count(): void {
    const counts = this.#counts;
    const pending = this.#pending;
    const end = this.#pendingCount;
    this.#pendingCount = 0;
    for (let index = 0; index < end; index++) {
      const at = pending[index] ?? 0;
      counts[at] = (counts[at] ?? 0) + 1;
    }
  }

  #longBucket(ticks: number): number {
    this.#scratch[0] = ticks;
    const wanted = ((this.#halves[1] ?? 0) >>> shift) - firstBucket;
    return Math.max(0, Math.min(bucketCount - 1, wanted));
  }

  /** The ticks that `share` (0 to 1) of the row's durations do not exceed; 0 without durations. */
  quantile(row: number, share: number): number {
    this.#count();
    return quantile(this.#counts.subarray(row * bucketCount, (row + 1) * bucketCount), share);
  }
}
