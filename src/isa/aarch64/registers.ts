/** Registers of AArch64 as operands and as text. */

import { assert } from "../../base/assert.ts";
import type { RegisterInfo } from "../isa.ts";

/** Number 31 is the zero register in "x" and "w", the stack pointer in "sp" and "wsp". */
export type GeneralRegister = { readonly kind: "x" | "w" | "sp" | "wsp"; readonly n: number };

/** A vector register, by the part that is loaded or stored: 8 to 128 bits. */
export type VectorRegister = { readonly kind: "b" | "h" | "s" | "d" | "q"; readonly n: number };

export type Register = GeneralRegister | VectorRegister;

const make =
  <Kind extends Register["kind"]>(kind: Kind, count: number) =>
  (n: number): { readonly kind: Kind; readonly n: number } => {
    assert(Number.isInteger(n) && n >= 0 && n < count, `${kind}${n}`);
    return { kind, n };
  };

type Maker<Kind extends Register["kind"]> = (n: number) => {
  readonly kind: Kind;
  readonly n: number;
};

/** x0 to x30. */
export const x: Maker<"x"> = make("x", 31);
/** w0 to w30: the low halves; writing one clears the high half. */
export const w: Maker<"w"> = make("w", 31);
export const b: Maker<"b"> = make("b", 32);
export const h: Maker<"h"> = make("h", 32);
export const s: Maker<"s"> = make("s", 32);
export const d: Maker<"d"> = make("d", 32);
export const q: Maker<"q"> = make("q", 32);

export const xzr: GeneralRegister = { kind: "x", n: 31 };
export const wzr: GeneralRegister = { kind: "w", n: 31 };
export const sp: GeneralRegister = { kind: "sp", n: 31 };
export const wsp: GeneralRegister = { kind: "wsp", n: 31 };
/** The link register, x30. */
export const lr: GeneralRegister = x(30);
/** The frame pointer, x29. */
export const fp: GeneralRegister = x(29);

export const registerName = ({ kind, n }: Register): string => {
  if (kind === "sp" || kind === "wsp") return kind;
  if (n === 31 && (kind === "x" || kind === "w")) return `${kind}zr`;
  return `${kind}${n}`;
};

/** Condition codes by number (Arm ARM C1.2.4). */
export const conditions: readonly string[] = [
  ...["eq", "ne", "cs", "cc", "mi", "pl", "vs", "vc"],
  ...["hi", "ls", "ge", "lt", "gt", "le", "al", "nv"],
];

/** A system register that a program may name, with its encoding op0, op1, CRn, CRm, op2. */
export type SystemRegister = {
  readonly name: string;
  /** The low bit of op0, then op1, CRn, CRm and op2: 15 bits. */
  readonly code: number;
  readonly bits: 32 | 64;
  readonly writable: boolean;
};

const system = (
  name: string,
  [op1, crn, crm, op2]: readonly [number, number, number, number],
  bits: 32 | 64,
  writable: boolean,
): SystemRegister => ({
  ...{ name, bits, writable },
  code: (1 << 14) | (op1 << 11) | (crn << 7) | (crm << 3) | op2,
});

/** Registers of user mode (Arm ARM D24.2); NZCV is put together from the flags. */
export const systemRegisters: readonly SystemRegister[] = [
  system("nzcv", [3, 4, 2, 0], 32, true),
  system("fpcr", [3, 4, 4, 0], 32, true),
  system("fpsr", [3, 4, 4, 1], 32, true),
  system("tpidr_el0", [3, 13, 0, 2], 64, true),
  system("tpidrro_el0", [3, 13, 0, 3], 64, false),
  system("ctr_el0", [3, 0, 0, 1], 64, false),
  system("dczid_el0", [3, 0, 0, 7], 64, false),
  system("cntfrq_el0", [3, 14, 0, 0], 64, false),
  system("cntvct_el0", [3, 14, 0, 2], 64, false),
];

/** What effects name: x0 to x30, sp, the four flags, v0 to v31, and the system registers. */
export const registers: readonly RegisterInfo[] = [
  ...Array.from({ length: 31 }, (_, n) => ({ name: `x${n}`, bits: 64, role: "general" as const })),
  { name: "sp", bits: 64, role: "general" },
  ...["n", "z", "c", "v"].map((name) => ({ name, bits: 1, role: "flag" as const })),
  ...Array.from({ length: 32 }, (_, n) => ({ name: `v${n}`, bits: 128, role: "vector" as const })),
  ...systemRegisters
    .filter(({ name }) => name !== "nzcv")
    .map(({ name, bits }) => ({ name, bits, role: "system" as const })),
];
