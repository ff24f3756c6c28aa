import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ensure } from "../base/assert.ts";
import type { Mapping } from "../os/proc.ts";
import type { Range } from "./bootstrap.ts";
import { CodeRoom } from "./code-room.ts";

const reach = 0x800_0000n;
const page = 4096;

const text = {
  ...{ readable: true, writable: false, executable: true, shared: false },
  ...{ offset: 0, inode: 0, path: "" },
} as const;

/** Room in an address space that is empty at first. */
function roomOf() {
  const pieces: Range[] = [];
  const maps = (): Mapping[] =>
    pieces
      .map(({ start, bytes }) => ({ ...text, start, end: start + bytes }))
      .sort((a, b) => Number(a.start - b.start));
  const room = new CodeRoom({ reach, map: (piece) => pieces.push(piece) });
  const take = (pages: number, from: bigint, to = from): bigint =>
    ensure(room.take(maps, pages * page, [from, to]), "room");
  return { take, pieces };
}

describe("CodeRoom", () => {
  it("gives places that are mapped, in reach, and nobody else's", () => {
    const request = fc.record({
      pages: fc.integer({ min: 1, max: 600 }),
      first: fc.integer({ min: 1, max: 15 }),
      span: fc.integer({ min: 0, max: 8 }),
    });
    fc.assert(
      fc.property(fc.array(request, { maxLength: 60 }), (requests) => {
        const { take, pieces } = roomOf();
        const given: Range[] = [];
        for (const { pages, first, span } of requests) {
          const from = BigInt(first) << 24n;
          const to = from + (BigInt(span) << 22n);
          const [start, bytes] = [take(pages, from, to), BigInt(pages * page)];
          expect(start >= to - reach && start + bytes <= from + reach).toBe(true);
          const isMapped = pieces.some(
            (piece) => start >= piece.start && start + bytes <= piece.start + piece.bytes,
          );
          expect(isMapped).toBe(true);
          for (const other of given) {
            expect(start >= other.start + other.bytes || start + bytes <= other.start).toBe(true);
          }
          given.push({ start, bytes });
        }
      }),
      { numRuns: 200 },
    );
  });

  it("needs one piece for many small requests, and one of its own for a large one", () => {
    const { take, pieces } = roomOf();
    for (let i = 0; i < 256; i++) take(1, 1n << 30n);
    expect(pieces).toHaveLength(1);
    take(512, 1n << 30n);
    expect(pieces.map(({ bytes }) => bytes)).toEqual([1n << 20n, 2n << 20n]);
  });

  it("makes do with less where a whole piece has no room, and gives up without any", () => {
    const pieces: Range[] = [];
    const room = new CodeRoom({ reach, map: (one) => pieces.push(one) });
    const at = 1n << 30n;
    const [from, to] = [at - reach - 1n, at + reach + 1n];
    const holes = (bytes: bigint) => (): Mapping[] => [
      { ...text, start: 0n, end: at },
      { ...text, start: at + bytes, end: to },
    ];
    expect(room.take(holes(0x2000n), page, [at, at])).toBe(at);
    expect(pieces.map(({ bytes }) => bytes)).toEqual([4096n]);
    expect(room.take(() => [{ ...text, start: from & ~4095n, end: to }], page, [at, at])).toBe(
      undefined,
    );
  });
});
