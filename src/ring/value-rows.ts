/**
 * Rows of statistics for the values of one argument or result of a function. They are rows as
 * functions have them, behind those of all functions. Which value has which row says a table of
 * keys that all threads share: a value is put where it hashes to, or into one of the next places,
 * and stays there. A value that finds no place goes with all others that found none.
 */
import type { ValueTable } from "../ftrace/ops.ts";
import { type ArenaShape, counterOffset, threadBitsBytes } from "./arena.ts";
import { siteCapacity } from "./statistics.ts";

/** Bits of a place in a table of keys. */
export const keyBits = 10;
const keySlots: number = 2 ** keyBits;
/** Places that a value may have. */
export const keyProbes = 32;
/** Of a table: a u64 for each place, 0 where it is free. */
export const keysBytes: number = keySlots * 8;
/** The row of 0, which is no key, and that of all values without a place. */
export const zeroRow: number = keySlots;
export const otherRow: number = keySlots + 1;
/** Rows of a table's values. */
export const rowsPerTable: number = keySlots + 2;

/** Multiplied by this, the upper bits of a value are its hash (2^64 over the golden ratio). */
export const hashFactor = 0x9e37_79b9_7f4a_7c15n;

/**
 * Where a user's tables are: their keys at the end of his counters, before his filter of threads.
 * @param count how many he asked for.
 */
export function valueTables(
  shape: ArenaShape,
  count: number,
  hasThreadFilter: boolean,
): readonly ValueTable[] {
  const end = counterOffset(shape) + shape.counterBytes - (hasThreadFilter ? threadBitsBytes : 0);
  return Array.from({ length: count }, (_, i) => ({
    keys: end - (count - i) * keysBytes,
    firstRow: siteCapacity(shape) - (count - i) * rowsPerTable,
  }));
}
