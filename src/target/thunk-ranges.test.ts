import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dataAddr } from "../base/brand.ts";
import { ThunkRanges, thunkRangesBytes, unwinderTableOffset } from "./thunk-ranges.ts";

const page = 0x7000_0000_0000n;

/** A page of memory, and the pairs that a reader finds in it up to the closing 0. */
function pageOfMemory() {
  const bytes = new Uint8Array(thunkRangesBytes);
  const write = (address: bigint, value: Uint8Array): void => {
    bytes.set(value, Number(address - page));
  };
  const pairs = (): (readonly [bigint, bigint])[] => {
    const words = new BigUint64Array(bytes.buffer);
    const found: (readonly [bigint, bigint])[] = [];
    for (let at = 0; (words[at] ?? 0n) !== 0n; at += 2) {
      found.push([words[at] ?? 0n, words[at + 1] ?? 0n]);
    }
    return found;
  };
  return { ranges: new ThunkRanges({ write }, dataAddr(page)), pairs };
}

describe("ThunkRanges", () => {
  it("holds every range that was added and nothing else", () => {
    const cells = fc.uniqueArray(fc.integer({ min: 1, max: 400 }), { maxLength: 200 });
    fc.assert(
      fc.property(cells, (added) => {
        const { ranges, pairs } = pageOfMemory();
        for (const cell of added) ranges.add(BigInt(cell) * 4096n, BigInt(cell + 1) * 4096n);
        const isIn = (address: bigint): boolean =>
          pairs().some(([start, end]) => address >= start && address < end);
        for (let cell = 0; cell < 402; cell++) {
          expect(isIn(BigInt(cell) * 4096n + 100n)).toBe(added.includes(cell));
        }
      }),
      { numRuns: 50 },
    );
  });

  it("makes one pair of regions that touch, from either side", () => {
    const { ranges, pairs } = pageOfMemory();
    ranges.add(0x5000n, 0x6000n);
    ranges.add(0x4000n, 0x5000n);
    ranges.add(0x6000n, 0x9000n);
    expect(pairs()).toEqual([[0x4000n, 0x9000n]]);
  });

  it("refuses what the page has no room for, and keeps its closing pair", () => {
    const { ranges, pairs } = pageOfMemory();
    const add = (index: number): void =>
      ranges.add(BigInt(index) * 0x10000n, BigInt(index) * 0x10000n + 0x1000n);
    const most = unwinderTableOffset / 16 - 1;
    for (let index = 1; index <= most; index++) add(index);
    expect(() => add(most + 1)).toThrow("too many places");
    expect(pairs()).toHaveLength(most);
  });
});
