/**
 * Operands of the x86-64 assembler beside registers: memory, labels, and holes (places of a
 * template that are filled in later, copy by copy).
 */
import { assert } from "../../base/assert.ts";
import type { CodeAddr, DataAddr } from "../../base/brand.ts";
import type { Gpr, Register } from "./registers.ts";

/** A place in the code under construction; made and bound by one assembler. */
export type Label = { readonly kind: "label"; readonly id: number };

/** A displacement, immediate or branch distance that is known only when a template is copied. */
export type Hole = { readonly kind: "hole"; readonly name: string; readonly size: HoleSize };
export type HoleSize = 1 | 2 | 4 | 8;

/** Bits that a memory operand spans; 0 where the instruction alone says it (lea, xsave). */
export type MemSize = 0 | 8 | 16 | 32 | 64 | 128 | 256;

/** A memory operand: `seg:[base + index*scale + disp]`, or `[rip + ...]` for a target. */
export type Mem = {
  readonly kind: "mem";
  readonly size: MemSize;
  readonly seg: "fs" | "gs" | undefined;
  readonly base: Gpr<64> | undefined;
  readonly index: Gpr<64> | undefined;
  readonly scale: Scale;
  /** Signed, 32 bits. Without base, index and target it is the whole address. */
  readonly disp: number | Hole;
  /** Set for rip-relative operands; `disp` is then added to it (a hole stands for all of it). */
  readonly target: Label | CodeAddr | DataAddr | undefined;
  /** True for `[rip + hole]`, whose value is an address filled in later. */
  readonly rip: boolean;
};
export type Scale = 1 | 2 | 4 | 8;

/** What `a.i` takes; numbers and bigints are immediates, or addresses where a branch goes. */
export type Operand = Register | Mem | Label | Hole | number | bigint;

export type MemParts = {
  readonly base?: Gpr<64>;
  readonly index?: Gpr<64>;
  readonly scale?: Scale;
  readonly disp?: number | Hole;
  readonly seg?: "fs" | "gs";
};

/**
 * Makes a memory operand of one size. The first argument is a base register, a label or an absolute
 * address (both rip-relative), a hole (rip-relative, to an address given per copy), or the parts
 * themselves.
 */
export type MemMaker = (
  place: Gpr<64> | Label | Hole | CodeAddr | DataAddr | MemParts,
  parts?: Omit<MemParts, "base">,
) => Mem;

const isParts = (place: Gpr<64> | Label | Hole | MemParts): place is MemParts => !("kind" in place);

const make = (size: MemSize, place: Parameters<MemMaker>[0], more: MemParts): Mem => {
  const target = typeof place === "bigint" || isLabel(place) ? place : undefined;
  const rip = target !== undefined || isHole(place);
  let parts = more;
  if (typeof place === "object" && !isLabel(place) && !isHole(place)) {
    parts = isParts(place) ? { ...place, ...more } : { ...more, base: place };
  }
  const { base, index, scale = 1, seg } = parts;
  const disp = isHole(place) ? place : (parts.disp ?? 0);
  assert(!rip || index === undefined, "rip-relative memory has no index");
  assert(index?.number !== 4, "rsp can't be an index");
  if (typeof disp === "number") assert((disp | 0) === disp, `displacement ${disp}`);
  return { kind: "mem", size, seg, base, index, scale, disp, target, rip };
};

const isLabel = (place: unknown): place is Label =>
  typeof place === "object" && place !== null && "kind" in place && place.kind === "label";
const isHole = (place: unknown): place is Hole =>
  typeof place === "object" && place !== null && "kind" in place && place.kind === "hole";

const maker =
  (size: MemSize): MemMaker =>
  (place, parts = {}) =>
    make(size, place, parts);

/** Memory of no stated size: for lea, xsave, fxsave, prefetches. */
export const mem: MemMaker = maker(0);
export const mem8: MemMaker = maker(8);
export const mem16: MemMaker = maker(16);
export const mem32: MemMaker = maker(32);
export const mem64: MemMaker = maker(64);
export const mem128: MemMaker = maker(128);
export const mem256: MemMaker = maker(256);
