/**
 * Operands of RISC-V instructions: how assembler arguments, fields and text map to each other.
 * A row of the table names its operands as the manual's assembly does: `rd, imm(rs1)`.
 */

import { ensure } from "../../base/assert.ts";
import { distance, type Fields, type Slot } from "../table.ts";
import { fName, type Register, xName } from "./registers.ts";
import { csrs } from "./semantics.ts";

/** A memory operand: `offset(base)`. */
export type Mem = { readonly kind: "mem"; readonly base: Register; readonly offset: number };

export const mem = (base: Register, offset = 0): Mem => ({ kind: "mem", base, offset });

/**
 * An assembler's argument: a register, a number (an immediate, or the distance of a branch from
 * its own address), a memory operand, or a name (a CSR, the access types of a fence: "rw").
 */
export type Arg = Register | Mem | number | string;

export type RiscvSlot = Slot<Arg>;

const register = (kind: "x" | "f", field: string): RiscvSlot => ({
  parse: (arg) => (typeof arg === "object" && arg.kind === kind ? { [field]: arg.n } : undefined),
  text: (fields) => (kind === "x" ? xName : fName)(ensure(fields[field], field)),
});

const immediate = (field: string): RiscvSlot => ({
  parse: (arg) => (typeof arg === "number" ? { [field]: arg } : undefined),
  text: (fields) => String(fields[field]),
  names: { field },
});

/** `imm(rs1)`; `fixedBase` where the base is not encoded (c.lwsp). */
const memory = (immField: string | undefined, fixedBase?: number): RiscvSlot => ({
  parse: (arg) => {
    if (typeof arg !== "object" || arg.kind !== "mem" || arg.base.kind !== "x") return undefined;
    if (fixedBase !== undefined && arg.base.n !== fixedBase) return undefined;
    if (immField === undefined && arg.offset !== 0) return undefined;
    return {
      ...(fixedBase === undefined ? { rs1: arg.base.n } : {}),
      ...(immField === undefined ? {} : { [immField]: arg.offset }),
    };
  },
  text: (fields) => {
    const offset = immField === undefined ? "" : String(fields[immField]);
    return `${offset}(${xName(fixedBase ?? ensure(fields["rs1"], "rs1"))})`;
  },
});

/** The upper 20 bits, as assembly writes them: 0 to 0xfffff, or negative for the sign. */
const upper: RiscvSlot = {
  parse: (arg) =>
    typeof arg === "number" && arg >= -0x80000 && arg <= 0xfffff
      ? { imm: (arg << 12) | 0 }
      : undefined,
  text: (fields) => `0x${(ensure(fields["imm"], "imm") >>> 12).toString(16)}`,
  names: { field: "imm" },
};

/** A branch: the argument is the distance, the text the address. */
const target = (xlen: 32 | 64): RiscvSlot => ({
  parse: (arg) => (typeof arg === "number" ? { imm: arg } : undefined),
  text: (fields, pc) => {
    const to = BigInt.asUintN(xlen, pc + BigInt(ensure(fields["imm"], "imm")));
    return `0x${to.toString(16)}`;
  },
  names: { field: "imm", computation: distance },
});

const csr: RiscvSlot = {
  parse: (arg) => {
    if (typeof arg === "number") return { csr: arg };
    const found = csrs.find((c) => c.name === arg);
    return found === undefined ? undefined : { csr: found.number };
  },
  text: ({ csr: number }) =>
    csrs.find((c) => c.number === number)?.name ?? `0x${number?.toString(16)}`,
};

const fenceLetters = "iorw";

/** Access types of a fence, in the order i, o, r, w; the empty set is written `0`. */
const fenceTypes = (field: string): RiscvSlot => ({
  parse: (arg) => {
    if (arg === 0) return { [field]: 0 };
    if (typeof arg !== "string" || !/^(?=.)i?o?r?w?$/.test(arg)) return undefined;
    const bits = Array.from(fenceLetters, (c, index) => (arg.includes(c) ? 8 >> index : 0));
    return { [field]: bits.reduce((sum, bit) => sum + bit, 0) };
  },
  text: (fields) => {
    const bits = ensure(fields[field], field);
    const letters = Array.from(fenceLetters).filter((_, index) => (bits & (8 >> index)) !== 0);
    return letters.join("") || "0";
  },
});

/** A register that is not encoded but written (c.addi16sp's `sp`). */
const literal = (n: number): RiscvSlot => ({
  parse: (arg) =>
    typeof arg === "object" && arg.kind === "x" && arg.n === n ? ({} satisfies Fields) : undefined,
  text: () => xName(n),
});

/** The slot that a row of the table names. */
export function slotNamed(name: string, xlen: 32 | 64): RiscvSlot {
  switch (name) {
    case "frd":
    case "frs2":
      return register("f", name.slice(1));
    case "rd":
    case "rs1":
    case "rs2":
      return register("x", name);
    case "imm(rs1)":
      return memory("imm");
    case "uimm(rs1)":
      return memory("uimm");
    case "uimm(sp)":
      return memory("uimm", 2);
    case "(rs1)":
      return memory(undefined);
    case "upper":
      return upper;
    case "target":
      return target(xlen);
    case "csr":
      return csr;
    case "pred":
    case "succ":
      return fenceTypes(name);
    case "sp":
      return literal(2);
    default:
      return immediate(name);
  }
}
