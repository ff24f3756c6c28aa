/**
 * Buckets for durations: 8 to each power of two, so a quantile is right to 1/16 at the worst. The
 * thunks that count into such buckets (`codegen/x86-64/statistics.ts`) and the reports on traces
 * (`report/histograms.ts`) have the same ones.
 */

/** Buckets in one power of two, as a power of two. */
export const subBits = 3;
/** Durations from 1 tick to 2^38 - 1 (91 s at 3 GHz) have buckets of their own. */
export const octaves = 38;
export const bucketCount: number = octaves << subBits;

/** The least duration, in ticks, that falls into a bucket; 0 goes with 1. */
export function lowest(bucket: number): number {
  const sub = 1 << subBits;
  return 2 ** (bucket >> subBits) * (1 + (bucket & (sub - 1)) / sub);
}

/** The ticks that `share` (0 to 1) of the durations do not exceed; 0 without durations. */
export function quantile(counts: ArrayLike<number>, share: number): number {
  let sum = 0;
  for (let bucket = 0; bucket < counts.length; bucket++) sum += counts[bucket] ?? 0;
  const wanted = share * sum;
  let below = 0;
  for (let bucket = 0; bucket < counts.length; bucket++) {
    const count = counts[bucket] ?? 0;
    if (count > 0 && below + count >= wanted) {
      const part = (wanted - below) / count;
      return lowest(bucket) + (lowest(bucket + 1) - lowest(bucket)) * part;
    }
    below += count;
  }
  return 0;
}
