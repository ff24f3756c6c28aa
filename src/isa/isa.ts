/**
 * What every ISA offers to the layers above: decoding, what an instruction does, text.
 *
 * Encoding is not part of the common interface: each ISA's assembler has its own instructions.
 */

import type { Effect } from "./effects.ts";

export type IsaName = "x86-64" | "aarch64" | "riscv64" | "riscv32";

/** A register that effects may name. */
export type RegisterInfo = {
  readonly name: string;
  /** Width of its value. */
  readonly bits: number;
  readonly role: "general" | "flag" | "vector" | "system";
};

/** One decoded instruction; each ISA narrows the operands to its own named fields. */
export interface Instruction {
  /** Name as the manual and the disassemblers write it, without operands: `jalr`, `b.eq`. */
  readonly mnemonic: string;
  /** Length in bytes. */
  readonly size: number;
  readonly operands: Readonly<Record<string, unknown>>;
}

export interface Isa<I extends Instruction = Instruction> {
  readonly name: IsaName;
  /** Size of a pointer and of a general register: 4 or 8. */
  readonly wordBytes: 4 | 8;
  /** Every instruction's address is a multiple of this: 1, 2 or 4. */
  readonly instructionAlign: 1 | 2 | 4;
  /** Every register that effects name; the program counter is not one of them. */
  readonly registers: readonly RegisterInfo[];
  readonly stackPointer: string;

  /**
   * The instruction at `bytes[offset]`; `undefined` where the bytes are no instruction of the
   * table, or end too early. `bytes` is borrowed.
   */
  decode(bytes: Uint8Array, offset: number): I | undefined;

  /** What it does. Independent of where it stands: its address is the expression `pc`. */
  effects(insn: I): readonly Effect[];

  /** The instruction as text, at address `pc` (branch targets are shown as addresses). */
  format(insn: I, pc: bigint): string;
}

/** Why a branch can't be encoded: what every `canReach` answers when the answer is no. */
export type ReachRefusal =
  | {
      readonly kind: "outOfRange";
      /** Target minus the place that the distance is counted from, in bytes. */
      readonly distance: bigint;
      /** Last distance that could be encoded in that direction (negative when backwards). */
      readonly limit: bigint;
    }
  | {
      readonly kind: "misaligned";
      readonly distance: bigint;
      /** The distance has to be a multiple of this. */
      readonly align: bigint;
    };
