/** Registers of RISC-V by their ABI names (RISC-V ABIs Specification, "Register Convention"). */

import { ensure } from "../../base/assert.ts";
import type { RegisterInfo } from "../isa.ts";

/** An integer or floating-point register as an operand. */
export type Register = { readonly kind: "x" | "f"; readonly n: number };

/** ABI names of x0 to x31. */
export const xNames: readonly string[] = [
  ...["zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1"],
  ...["a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7"],
  ...["s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11"],
  ...["t3", "t4", "t5", "t6"],
];

/** ABI names of f0 to f31. */
export const fNames: readonly string[] = [
  ...["ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1"],
  ...["fa0", "fa1", "fa2", "fa3", "fa4", "fa5", "fa6", "fa7"],
  ...["fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10", "fs11"],
  ...["ft8", "ft9", "ft10", "ft11"],
];

export const x = (n: number): Register => ({ kind: "x", n });
export const f = (n: number): Register => ({ kind: "f", n });

export const zero: Register = x(0);
export const ra: Register = x(1);
export const sp: Register = x(2);
export const gp: Register = x(3);
export const tp: Register = x(4);
export const t0: Register = x(5);
export const t1: Register = x(6);
export const t2: Register = x(7);
export const s0: Register = x(8);
export const s1: Register = x(9);
export const a0: Register = x(10);
export const a1: Register = x(11);
export const a2: Register = x(12);
export const a3: Register = x(13);
export const a4: Register = x(14);
export const a5: Register = x(15);
export const a6: Register = x(16);
export const a7: Register = x(17);
export const s2: Register = x(18);
export const s3: Register = x(19);
export const s4: Register = x(20);
export const s5: Register = x(21);
export const s6: Register = x(22);
export const s7: Register = x(23);
export const s8: Register = x(24);
export const s9: Register = x(25);
export const s10: Register = x(26);
export const s11: Register = x(27);
export const t3: Register = x(28);
export const t4: Register = x(29);
export const t5: Register = x(30);
export const t6: Register = x(31);

/** Name of x`n` in effects and in text: `zero`, `ra`... */
export const xName = (n: number): string => ensure(xNames[n], `x${n}`);
export const fName = (n: number): string => ensure(fNames[n], `f${n}`);

/**
 * What effects name. x0 is not there: reading it is the constant 0. `fcsr` holds fflags and frm;
 * the counters are read-only in user mode.
 */
export const registersOf = (xlen: 32 | 64): readonly RegisterInfo[] => [
  ...xNames.slice(1).map((name) => ({ name, bits: xlen, role: "general" as const })),
  ...fNames.map((name) => ({ name, bits: 64, role: "vector" as const })),
  { name: "fcsr", bits: 8, role: "system" },
  { name: "jvt", bits: xlen, role: "system" },
  ...["cycle", "time", "instret"].map((name) => ({ name, bits: 64, role: "system" as const })),
];
