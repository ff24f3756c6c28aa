import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PerfMap } from "./perf-map.ts";

describe("a perf map", () => {
  it("names code by its addresses", () => {
    const map = new PerfMap(
      "7f0010 20 JS:*fib /app/x.js:1:1\n0x7f0040 10 stub\nrubbish\n7f0060 0 x\n",
    );
    const names = [0x7f000fn, 0x7f0010n, 0x7f002fn, 0x7f0030n, 0x7f0044n, 0x7f0060n];
    expect(names.map((address) => map.find(address))).toEqual([
      ...[undefined, "JS:*fib /app/x.js:1:1", "JS:*fib /app/x.js:1:1"],
      ...[undefined, "stub", undefined],
    ]);
    expect(new PerfMap("").find(1n)).toBeUndefined();
  });

  it("gives the name that was written last, where code came in place of other code", () => {
    const piece = fc.record({ start: fc.nat({ max: 60 }), size: fc.integer({ min: 1, max: 12 }) });
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const line = ({ start, size }: { start: number; size: number }, i: number): string =>
          `${start.toString(16)} ${size.toString(16)} n${i}`;
        const map = new PerfMap(pieces.map(line).join("\n"));
        // A piece is gone as soon as another one overlaps it.
        const alive = pieces
          .map((one, i) => ({ ...one, i }))
          .filter(({ start, size, i }) =>
            pieces.every(
              (other, j) =>
                j <= i || other.start >= start + size || other.start + other.size <= start,
            ),
          );
        for (let address = 0; address < 80; address++) {
          const found = alive.find(({ start, size }) => address >= start && address < start + size);
          expect(map.find(BigInt(address))).toBe(found === undefined ? undefined : `n${found.i}`);
        }
      }),
    );
  });
});
