/**
 * AArch64 instructions whose meaning depends on where they stand, found by their encoding alone:
 * only two groups of the instruction set have such. So an instruction need not be known to be
 * moved, and no branch can hide among others.
 *
 * Source: Arm Architecture Reference Manual for A-profile (DDI 0487), C4.1: "PC-rel. addressing",
 * "Branches, Exception Generating and System instructions", "Load register (literal)".
 */

/** What an instruction has to do with its place; distances in bytes. */
export type PlaceUse =
  /** Nothing: it does the same anywhere. */
  | { readonly kind: "none" }
  /** ADR, ADRP: puts an address into a general register (31: nowhere). */
  | { readonly kind: "address"; readonly register: number; readonly target: number }
  /** LDR, LDRSW of a literal into a general register. `load`: the same from [X0] into X0. */
  | {
      readonly kind: "load";
      readonly register: number;
      readonly target: number;
      readonly load: number;
    }
  /** PRFM of a literal. */
  | { readonly kind: "prefetch" }
  /** B, and BL with `links`. */
  | { readonly kind: "branch"; readonly target: number; readonly links: boolean }
  /** B.cond, CBZ, CBNZ, TBZ, TBNZ. `over`: the same one over the next instruction. */
  | { readonly kind: "condition"; readonly target: number; readonly over: number }
  /** SVC. */
  | { readonly kind: "systemCall" }
  /** It can't run elsewhere, or is not known to: a call through a register, a breakpoint. */
  | { readonly kind: "fixed" }
  /** No instruction has that encoding. */
  | { readonly kind: "undefined" };

const wordBytes = 4;
const pageBytes = 4096;
/** Bits 28 to 25 tell the groups apart (C4.1, "A64 instruction set encoding"). */
const groupOf = (word: number): number => (word >>> 25) & 15;
const isBranchGroup = (word: number): boolean => (groupOf(word) & 14) === 10;

const is = (word: number, mask: number, match: number): boolean =>
  (word & mask) >>> 0 === match >>> 0;

/** B and BL; B.cond and BC.cond; CBZ and CBNZ; TBZ and TBNZ. */
const isBranch = (word: number): boolean => is(word, 0x7c00_0000, 0x1400_0000);
const isConditional = (word: number): boolean => is(word, 0xff00_0000, 0x5400_0000);
const isCompare = (word: number): boolean => is(word, 0x7e00_0000, 0x3400_0000);
const isTest = (word: number): boolean => is(word, 0x7e00_0000, 0x3600_0000);

/** Whether it is BL. */
export const isBranchLink = (word: number): boolean => is(word, 0xfc00_0000, 0x9400_0000);

/** A signed field of `size` bits from bit `from` on, in words, as bytes. */
const wordsAt = (word: number, from: number, size: number): number =>
  ((word << (32 - from - size)) >> (32 - size)) * wordBytes;

/** Bytes from a direct branch to where it goes; undefined for what is none. */
export function branchDistance(word: number): number | undefined {
  if (!isBranchGroup(word)) return undefined;
  if (isBranch(word)) return wordsAt(word, 0, 26);
  if (isConditional(word) || isCompare(word)) return wordsAt(word, 5, 19);
  return isTest(word) ? wordsAt(word, 5, 14) : undefined;
}

/** Whether it is ADR or ADRP. */
export const isAddress = (word: number): boolean => is(word, 0x1f00_0000, 0x1000_0000);

/** The address that the ADR or ADRP at `at` makes. Addresses are below 2^53. */
export function addressOf(word: number, at: number): number {
  const distance = (((word >>> 5) & 0x7ffff) << 13) >> 11;
  const low = (word >>> 29) & 3;
  const isPage = word >>> 31 === 1;
  return isPage ? at - (at % pageBytes) + (distance | low) * pageBytes : at + (distance | low);
}

const isLiteral = (word: number): boolean => is(word, 0x3b00_0000, 0x1800_0000);
/** LDR Wt, LDR Xt, LDRSW Xt from [X0], by the opc of the literal form; PRFM is the fourth. */
const loads = [0xb940_0000, 0xf940_0000, 0xb980_0000] as const;

function literalUse(word: number, at: number): PlaceUse {
  const isVector = ((word >>> 26) & 1) === 1;
  // A vector register can't hold the address.
  if (isVector) return { kind: "fixed" };
  const load = loads[word >>> 30];
  if (load === undefined) return { kind: "prefetch" };
  return { kind: "load", register: word & 31, target: at + wordsAt(word, 5, 19), load };
}

/** BR, RET, BRAA: to an address in a register, the same from anywhere; by bits 24 to 21. */
const registerJumps: ReadonlySet<number> = new Set([0b0000, 0b0010, 0b1000]);
const isJumpByRegister = (word: number): boolean =>
  is(word, 0xfe00_0000, 0xd600_0000) && registerJumps.has((word >>> 21) & 15);

function branchGroupUse(word: number, at: number): PlaceUse {
  const distance = branchDistance(word);
  if (distance !== undefined) {
    const target = at + distance;
    if (isBranch(word)) return { kind: "branch", target, links: isBranchLink(word) };
    const field = isTest(word) ? 0x3fff << 5 : 0x7ffff << 5;
    return { kind: "condition", target, over: ((word & ~field) | (2 << 5)) >>> 0 };
  }
  if (is(word, 0xffe0_001f, 0xd400_0001)) return { kind: "systemCall" };
  // Hints, barriers, flags and system registers.
  if (is(word, 0xff00_0000, 0xd500_0000)) return { kind: "none" };
  return { kind: isJumpByRegister(word) ? "none" : "fixed" };
}

/** What the instruction `word` (unsigned) at `at` has to do with its place. */
export function placeUse(word: number, at: number): PlaceUse {
  const group = groupOf(word);
  // Group 0 is SME where bit 31 is set, UDF and reserved where it is not.
  if (group === 1 || group === 3 || (group === 0 && word >>> 31 === 0))
    return { kind: "undefined" };
  if (isBranchGroup(word)) return branchGroupUse(word, at);
  if (isAddress(word)) return { kind: "address", register: word & 31, target: addressOf(word, at) };
  return isLiteral(word) ? literalUse(word, at) : { kind: "none" };
}
