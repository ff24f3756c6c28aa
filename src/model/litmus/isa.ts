/** What the litmus runner asks of an architecture: text to bytes, bytes to effects, registers. */

import type { Effect } from "../../isa/effects.ts";
import type { LitmusArch } from "./test-file.ts";

/** A decoded instruction. */
export type Decoded = {
  /** Bytes. */
  readonly size: number;
  readonly text: string;
  readonly effects: readonly Effect[];
  /**
   * It picks one of its operands by a condition (AArch64 CSEL and its kin): what depends on the
   * condition is a pick dependency (Arm ARM B2.3.2), which is weaker than a data dependency.
   */
  readonly picks: boolean;
  /** Exception return: to the address in ELR_EL1. */
  readonly returns: boolean;
  /** In the list of instructions that may be changed while others execute them. */
  readonly listed: boolean;
  /** Acquires in the weaker, RCpc, sense (LDAPR). */
  readonly acquirePc: boolean;
};

/** What is at an address: an instruction, fewer bytes than one has, or bytes that are none. */
export type Decoding = Decoded | "incomplete" | "illegal";

/** An architecture's registers as effects name them. */
export type RegisterName = {
  readonly name: string;
  /** Bits that the name as written shows: 32 for W0. */
  readonly bits: 8 | 16 | 32 | 64;
};

/** Names that an instruction's operands may use. */
export type Names = {
  /** The address of a label of the same thread. */
  readonly label: (name: string) => bigint | undefined;
  /** The address of a variable, where instructions name them (x86-64). */
  readonly variable: (name: string) => bigint | undefined;
};

/** No names: for instructions that stand nowhere. */
export const noNames: Names = { label: () => undefined, variable: () => undefined };

export interface LitmusIsa {
  readonly arch: LitmusArch;
  readonly pointerBytes: 4 | 8;
  /** Register that calls push through; absent where calls use a link register. */
  readonly stackPointer?: string;
  /** A breakpoint's handler returns behind it (x86-64), not to it. */
  readonly breakpointReturnsBehind?: boolean;
  /** A register as tests write it; `undefined` where it is none. */
  register(name: string): RegisterName | undefined;
  /** The bytes of an instruction at `pc`; a string says why there are none. */
  assemble(text: string, pc: bigint, names: Names): Uint8Array | string;
  decode(bytes: Uint8Array, pc: bigint): Decoding;
}
