/** How far RISC-V's branches reach, and how an offset is split over AUIPC and its second half. */

import { assert } from "../../base/assert.ts";
import type { CodeAddr, DataAddr } from "../../base/brand.ts";
import type { Label, Part, Place } from "../assembler.ts";
import { type Reach, reach, reachOfField } from "../reach.ts";
import type { Computation } from "../table.ts";
import type { RiscvIsa } from "./isa.ts";

/** `auipc rd, hi` and then an instruction that adds `lo`, sign-extended from 12 bits. */
export type SplitOffset = {
  /** Units of 4096; the field of AUIPC as a signed number, -2^19 to 2^19 - 1. */
  readonly hi: number;
  /** -2048 to 2047. */
  readonly lo: number;
};

const pairMin = -(2n ** 31n) - 2048n;
const pairMax = 2n ** 31n - 2049n;

/**
 * Splits a distance (RISC-V ABIs Specification, "PC-Relative Symbol Addresses"): lo is the sign
 * extension of the low 12 bits and hi makes up for it. The distance has to be one that
 * `canReachPair` allows; on RV32 every distance is, modulo 2^32.
 */
export function splitOffset(distance: bigint): SplitOffset {
  assert(distance >= pairMin && distance <= pairMax, `auipc does not reach ${distance}`);
  const lo = Number(BigInt.asIntN(12, distance));
  const hi = Number((distance + 0x800n) >> 12n);
  return { hi, lo };
}

/**
 * Whether `mnemonic`, an instruction with a target operand (`jal`, `beq`, `c.j`, `c.beqz`...) at
 * `from`, can jump to `to`.
 */
export function canReach(isa: RiscvIsa, mnemonic: string, from: CodeAddr, to: CodeAddr): Reach {
  const distance = BigInt.asIntN(isa.xlen, to - from);
  return reachOfField(isa.table.form(mnemonic), "imm", distance);
}

/**
 * Whether AUIPC at `from` with JALR, ADDI, a load or a store names `to`.
 * @param align 2 for a jump: JALR clears bit 0.
 */
export function canReachPair(
  isa: RiscvIsa,
  from: CodeAddr,
  to: CodeAddr | DataAddr,
  align: 1 | 2 = 2,
): Reach {
  const distance = BigInt.asIntN(isa.xlen, to - from);
  if (isa.xlen === 32) return reach(distance, -(2n ** 31n), 2n ** 31n - 1n, BigInt(align));
  return reach(distance, pairMin, pairMax, BigInt(align));
}

/**
 * Whether an instruction that adds 12 bits to what a *fixed* AUIPC at `auipc` left in a register
 * names `to`: the range that a site has whose AUIPC is not rewritten.
 * @param hi the AUIPC's field.
 */
export function canReachFixed(
  isa: RiscvIsa,
  auipc: CodeAddr,
  hi: number,
  to: CodeAddr | DataAddr,
): Reach {
  const base = BigInt.asUintN(isa.xlen, auipc + BigInt(hi) * 4096n);
  return reach(BigInt.asIntN(isa.xlen, to - base), -2048n, 2047n, 1n);
}

/** In the table, AUIPC's immediate is a multiple of 4096; the assembler wraps it at the word. */
const highPart: Computation = {
  value: (target, from) => (target - from + 0x800n) & -4096n,
  absolute: false,
};
const lowPart: Computation = {
  value: (target, from) => BigInt.asIntN(12, target - from),
  absolute: false,
};

/** `%pcrel_hi(place)`: the operand of AUIPC. */
export const pcrelHigh = (place: Place): Part => ({ kind: "part", place, computation: highPart });

/** `%pcrel_lo`: the low 12 bits of the same distance, counted from the AUIPC at `from`. */
export const pcrelLow = (place: Place, from: Label): Part => ({
  ...{ kind: "part", place, from },
  computation: lowPart,
});
