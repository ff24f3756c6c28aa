/**
 * Events as bytes: what `ring/layout.ts` lays out in words, for whoever makes or looks at single
 * events. Loops over millions of them work on the u32 halves of a slot instead, as
 * `trace/thread-reader.ts` does.
 *
 * In u32 halves of a slot, little-endian: kind = low & 3, time = (low >>> 2) + (high & 255) * 2^30,
 * site = high >>> 8.
 */
import { assert } from "../base/assert.ts";
import { type EventKind, siteBits, siteShift, timeBits, timeShift } from "./layout.ts";

/** 2^38: the clock's low bits in an event start over after so many ticks (91 s at 3 GHz). */
export const timeWrap: number = 2 ** timeBits;

/**
 * The highest site id is nobody's: a plain event of kind `unwound` with it is a filler, which every
 * reader skips. A producer that overwrites fills up to the end of a block with it, so that no long
 * event lies across `blockSlots` and a reader can start at any block.
 */
export const fillerSite: number = 2 ** siteBits - 1;

/** Slots in a block of a ring that overwrites: long events never cross a multiple of it. */
export const blockSlots = 512;

/** One plain event; only the low 38 bits of `time` (in ticks) go in. */
export function encodeEvent(kind: EventKind, time: bigint, site: number): bigint {
  assert(Number.isInteger(site) && site >= 0 && site < 2 ** siteBits, `site ${site} is in range`);
  const low38 = BigInt.asUintN(timeBits, time);
  return BigInt(kind) | (low38 << BigInt(timeShift)) | (BigInt(site) << BigInt(siteShift));
}

/** The time bits (ticks, modulo 2^38) of the event in `slot`. */
export const eventTime = (slot: bigint): bigint =>
  BigInt.asUintN(timeBits, slot >> BigInt(timeShift));

/**
 * The full time of an event that happened at or before `now` and less than 2^38 ticks earlier.
 * @param time ticks of the event, modulo 2^38; see `eventTime`.
 * @param now the same clock, all of its bits, read after the event was seen.
 */
export const fullTime = (time: bigint, now: bigint): bigint =>
  now - BigInt.asUintN(timeBits, now - time);
