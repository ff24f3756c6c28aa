import { describe, expect, it } from "vitest";
import { bucketCount, lowest, quantile } from "./histogram.ts";

describe("the buckets of a histogram", () => {
  it("begin an eighth of a power of two apart", () => {
    expect([0, 8, 9, 16, 17].map(lowest)).toEqual([1, 2, 2.25, 4, 4.5]);
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      expect(lowest(bucket + 1) / lowest(bucket)).toBeLessThanOrEqual(1.125);
    }
  });

  it("tell quantiles", () => {
    const counts = new Float64Array(bucketCount);
    expect(quantile(counts, 0.5)).toBe(0);
    counts[24] = 100;
    counts[80] = 1;
    expect(quantile(counts, 0.5)).toBeGreaterThanOrEqual(lowest(24));
    expect(quantile(counts, 0.5)).toBeLessThanOrEqual(lowest(25));
    expect(quantile(counts, 1)).toBe(lowest(81));
  });
});
