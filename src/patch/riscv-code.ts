/**
 * The RISC-V instructions that sites are made of, as bytes, and the arithmetic of AUIPC and JALR:
 * a distance is hi * 4096 + lo, lo being sign-extended, so hi is rounded (RISC-V ABIs, "PC-relative
 * addresses").
 */

import { bytesOf, type RiscvIsa, riscv32, riscv64 } from "../isa/riscv/isa.ts";
import type { Fields } from "../isa/table.ts";

/** Register numbers. */
export const RA = 1;
export const T0 = 5;
export const T1 = 6;

/** Largest and smallest lo: what one JALR reaches from where its base register points. */
export const loMax = 2047;
export const loMin = -2048;

/** hi and lo of a distance in bytes; hi is a multiple of 4096, ready for AUIPC. */
export function splitDistance(distance: bigint): { readonly hi: number; readonly lo: number } {
  const lo = BigInt.asIntN(12, distance);
  return { hi: Number(distance - lo), lo: Number(lo) };
}

/** An instruction's bytes, owned by the caller. */
const encode =
  (isa: RiscvIsa) =>
  (mnemonic: string, operands: Fields): Uint8Array =>
    bytesOf(isa.instruction(mnemonic, operands));

/** Encoders of one XLEN; each returns fresh bytes. */
export type RiscvCode = {
  readonly nop: () => Uint8Array;
  readonly cNop: () => Uint8Array;
  readonly mv: (rd: number, rs: number) => Uint8Array;
  /** `hi` is the distance's, a multiple of 4096. */
  readonly auipc: (rd: number, hi: number) => Uint8Array;
  readonly jalr: (rd: number, base: number, lo: number) => Uint8Array;
  readonly jal: (rd: number, distance: number) => Uint8Array;
};

const makeCode = (isa: RiscvIsa): RiscvCode => {
  const of = encode(isa);
  return {
    nop: () => of("addi", { rd: 0, rs1: 0, imm: 0 }),
    cNop: () => of("c.addi", { rd: 0, imm: 0 }),
    mv: (rd, rs) => of("addi", { rd, rs1: rs, imm: 0 }),
    auipc: (rd, hi) => of("auipc", { rd, imm: hi }),
    jalr: (rd, base, lo) => of("jalr", { rd, rs1: base, imm: lo }),
    jal: (rd, distance) => of("jal", { rd, imm: distance }),
  };
};

export const riscv64Code: RiscvCode = makeCode(riscv64);
export const riscv32Code: RiscvCode = makeCode(riscv32);
