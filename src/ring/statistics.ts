/**
 * What a thread's thunks count into, where calls are not recorded but counted: in the place of a
 * ring's slots, and written by that thread and its signal handlers alone. Every change is one
 * instruction, so a handler in between does no harm; a reader sees each number whole.
 *
 *     0        the header of a ring, with `selfTicks`
 *     4096     calls: a u64 for each site
 *     behind   a row for each site that says what its calls took
 */
import { type ArenaShape, pageBytes } from "./arena.ts";
import { bucketCount } from "./histogram.ts";
import { eventBytes, ringHeaderBytes } from "./layout.ts";

/** In the header, u64: self time of all calls of the thread that have returned, in ticks. */
export const selfTicksOffset = 128;

type StatisticsRow = {
  /** Of calls that have returned. */
  readonly total: number;
  readonly self: number;
  readonly longest: number;
  /** All bits of the shortest time inverted, so that 0 stands for none. */
  readonly shortestInverted: number;
  /** Of durations; their sum is the number of calls that have returned. */
  readonly buckets: number;
  readonly bytes: number;
};

const rowBytes: number = 64 + bucketCount * 8;

/** Byte offsets in a row; every field is a u64, times are in ticks. */
export const statisticsRow: StatisticsRow = {
  total: 0,
  self: 8,
  longest: 16,
  shortestInverted: 24,
  buckets: 64,
  bytes: rowBytes,
};

const siteBytes = 8 + rowBytes;

/** Slots that statistics of `siteCount` sites take, whole pages. */
export const statisticsSlots = (siteCount: number): number =>
  (Math.ceil((siteCount * siteBytes + 64) / pageBytes) * pageBytes) / eventBytes;

/** Sites that there is room for. */
export const siteCapacity = ({ slotCount }: Pick<ArenaShape, "slotCount">): number =>
  Math.floor((slotCount * eventBytes - 64) / siteBytes);

/** Offset of the calls from the beginning of a ring. */
export const callsOffset: number = ringHeaderBytes;

/** Offset of the first row from the beginning of a ring. */
export const rowsOffset = (shape: Pick<ArenaShape, "slotCount">): number =>
  (callsOffset + siteCapacity(shape) * 8 + 63) & ~63;
