/**
 * Finding sites in AArch64 programs: two no-ops, behind a landing pad where there is one. Compilers
 * put them before `paciasp`, so that the return address in x30 is a plain one; where they come
 * behind it, it is signed already, and a thunk can't put another one in its place.
 */

import { twoNops } from "./aarch64-layouts.ts";
import type { Layout } from "./layout.ts";
import type { RefusalReason } from "./site.ts";
import type { SiteDialect } from "./site-search.ts";

const wordBytes = 4;
const nop = 0xd503_201f;
/** BTI, BTI C, BTI J, BTI JC (Arm ARM C6.2, BTI): HINT #32, 34, 36, 38. */
const btiMask = 0xffff_ff3f;
const bti = 0xd503_241f;
/** PACIASP and PACIBSP, which are landing pads, too. */
const signs: readonly number[] = [0xd503_233f, 0xd503_237f];

/** The word at `bytes[at]`, unsigned; 0 where there is none. */
export const wordAt = (bytes: Uint8Array, at: number): number =>
  at < 0 || at + wordBytes > bytes.length
    ? 0
    : ((bytes[at] ?? 0) |
        ((bytes[at + 1] ?? 0) << 8) |
        ((bytes[at + 2] ?? 0) << 16) |
        ((bytes[at + 3] ?? 0) << 24)) >>>
      0;

const isPad = (word: number): boolean => (word & btiMask) >>> 0 === bti || signs.includes(word);

/** Bytes of the no-op at `bytes[at]`; 0: it is none. */
const nopSizeAt = (bytes: Uint8Array, at: number): number =>
  wordAt(bytes, at) === nop ? wordBytes : 0;

function layoutAt(bytes: Uint8Array, at: number): Layout | RefusalReason {
  if (nopSizeAt(bytes, at) === 0) return "not-nop";
  return nopSizeAt(bytes, at + wordBytes) === 0 ? "too-short" : twoNops;
}

/** Bytes of the landing pad at `bytes[at]`; 0: there is none. */
export const padSizeAt = (bytes: Uint8Array, at: number): number =>
  isPad(wordAt(bytes, at)) ? wordBytes : 0;

/** Why the return can't be hooked at a site at `at`, of the function that begins at `start`. */
export const whyEntriesOnlyAt = (
  bytes: Uint8Array,
  at: number,
  start: number,
): string | undefined =>
  start < at && signs.includes(wordAt(bytes, at - wordBytes))
    ? "its return address is signed before the site"
    : undefined;

export const aarch64Dialect: SiteDialect = {
  padSizeAt,
  padSizeMax: wordBytes,
  nopSizeAt,
  layoutAt,
  entriesOnlyAt: whyEntriesOnlyAt,
};
