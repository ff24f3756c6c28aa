/**
 * Where generated code with hooked returns lies in the target: a page of pairs of addresses,
 * [start, end), closed by a pair of 0, which `codegen/x86-64/tail.ts` goes through. Regions that
 * touch are one pair, so there are few however many regions there are. Threads read the page while
 * it grows: a pair's start is what makes it count, and is written last.
 */
import type { DataAddr } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { unwinderRow, unwinderStubs } from "../codegen/x86-64/personality.ts";

/** Bytes of the page; mapped by whoever makes a `ThunkRanges`, readable and zero. */
export const thunkRangesBytes = 4096;
/** The end of the page is the table of unwinders, see `codegen/x86-64/personality.ts`. */
export const unwinderTableOffset: number = thunkRangesBytes - unwinderStubs * unwinderRow.bytes;
const pairBytes = 16;

/** What writes to the target's memory. */
export type RangesMemory = { write(address: bigint, bytes: Uint8Array): void };

export class ThunkRanges {
  readonly #memory: RangesMemory;
  readonly #page: DataAddr;
  readonly #pairs: { start: bigint; end: bigint }[] = [];

  constructor(memory: RangesMemory, page: DataAddr) {
    this.#memory = memory;
    this.#page = page;
  }

  /** Adds [`start`, `end`), before the code there is used. */
  add(start: bigint, end: bigint): void {
    const below = this.#pairs.findIndex((pair) => pair.end === start);
    const above = this.#pairs.findIndex((pair) => pair.start === end);
    const index = below >= 0 ? below : above >= 0 ? above : this.#pairs.length;
    if (index >= unwinderTableOffset / pairBytes - 1) {
      throw new PatchbayError({
        code: "unsupported",
        doing: "place generated code near the program's",
        why: "the functions lie in too many places far from each other",
        hint: "trace fewer functions at once",
      });
    }
    const pair = (this.#pairs[index] ??= { start, end });
    if (index === below) pair.end = end;
    else pair.start = start;
    this.#write(index, 8, pair.end);
    this.#write(index, 0, pair.start);
  }

  #write(index: number, offset: number, value: bigint): void {
    const bytes = new Uint8Array(new BigUint64Array([value]).buffer);
    this.#memory.write(this.#page + BigInt(index * pairBytes + offset), bytes);
  }
}
