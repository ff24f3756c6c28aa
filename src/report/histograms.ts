/**
 * Histograms of durations, one row per function, with 8 buckets to each power of two: a quantile is
 * right to 1/16 at the worst. A bucket is found without a branch, in the exponent and the highest
 * bits of the number's binary form (IEEE 754), because this is done for every call of a trace.
 */

const subBits = 3;
/** Durations from 1 tick to 2^38 - 1 (91 s at 3 GHz) have buckets of their own. */
const octaves = 38;
const bucketsPerRow = octaves << subBits;
/** High half of a double: 20 bits of the fraction below the exponent, whose bias is 1023. */
const shift = 20 - subBits;
const firstBucket = 1023 << subBits;

export class Histograms {
  #counts: Uint32Array;
  readonly #scratch: Float64Array = new Float64Array(1);
  readonly #halves: Uint32Array = new Uint32Array(this.#scratch.buffer);

  /** @param rows for how many functions at first. */
  constructor(rows: number) {
    this.#counts = new Uint32Array(rows * bucketsPerRow);
  }

  /** Makes room for `rows` functions. */
  grow(rows: number): void {
    const counts = new Uint32Array(rows * bucketsPerRow);
    counts.set(this.#counts);
    this.#counts = counts;
  }

  /** Counts a duration of `ticks`; 0 goes with 1, what is too long with the longest. */
  add(row: number, ticks: number): void {
    this.#scratch[0] = ticks;
    const wanted = ((this.#halves[1] ?? 0) >>> shift) - firstBucket;
    const at = row * bucketsPerRow + Math.max(0, Math.min(bucketsPerRow - 1, wanted));
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
  }

  /** The ticks that `share` (0 to 1) of the row's durations do not exceed; 0 without durations. */
  quantile(row: number, share: number): number {
    const counts = this.#counts.subarray(row * bucketsPerRow, (row + 1) * bucketsPerRow);
    const wanted = share * counts.reduce((sum, count) => sum + count, 0);
    let below = 0;
    for (const [bucket, count] of counts.entries()) {
      if (count > 0 && below + count >= wanted) {
        const part = (wanted - below) / count;
        return lowest(bucket) + (lowest(bucket + 1) - lowest(bucket)) * part;
      }
      below += count;
    }
    return 0;
  }
}

/** The least duration that falls into a bucket. */
function lowest(bucket: number): number {
  const sub = 1 << subBits;
  return 2 ** (bucket >> subBits) * (1 + (bucket & (sub - 1)) / sub);
}
