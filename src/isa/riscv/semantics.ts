/**
 * What RISC-V instructions do, in user mode. One function per kind of instruction; the table says
 * which one, with what.
 *
 * Sources: "The RISC-V Instruction Set Manual, Volume I: Unprivileged Architecture"; the rows of
 * the table name the sections.
 */

import {
  type AccessBytes,
  type AccessOrder,
  type AtomicOp,
  type BinaryOp,
  binary,
  constant,
  type Effect,
  type Expr,
  type FenceSet,
  isZero,
  ite,
  pc,
  reg,
  set,
  sext,
  temp,
  zext,
} from "../effects.ts";
import { fName, xName } from "./registers.ts";

export type Xlen = 32 | 64;

const readX = (n: number): Expr => (n === 0 ? constant(0) : reg(xName(n)));
const writeX = (n: number, value: Expr): Effect[] => (n === 0 ? [] : [set(xName(n), value)]);

/** Integer division never traps: the two cases that have no quotient. */
const divide = (fn: "divs" | "divu" | "rems" | "remu", bits: number, a: Expr, b: Expr): Expr => {
  const byZero = fn.startsWith("div") ? constant(BigInt.asUintN(bits, -1n)) : a;
  const normal = binary(fn, bits, a, b);
  return ite(isZero(bits, b), zext(bits, byZero), normal);
};

const isDivision = (fn: BinaryOp): fn is "divs" | "divu" | "rems" | "remu" =>
  fn === "divs" || fn === "divu" || fn === "rems" || fn === "remu";

const isShift = (fn: BinaryOp): boolean => fn === "shl" || fn === "shr" || fn === "sar";

const fenceSet = (bits: number): FenceSet => ({
  input: (bits & 8) !== 0,
  output: (bits & 4) !== 0,
  read: (bits & 2) !== 0,
  write: (bits & 1) !== 0,
});

const signedConstant = (xlen: Xlen, value: number): Expr =>
  constant(BigInt.asUintN(xlen, BigInt(value)));

const plus = (xlen: Xlen, a: Expr, value: number): Expr =>
  value === 0 ? a : binary("add", xlen, a, signedConstant(xlen, value));

const clearBit0 = (xlen: Xlen, a: Expr): Expr => binary("and", xlen, a, signedConstant(xlen, -2));

const compute = (fn: BinaryOp, width: Xlen, a: Expr, b: Expr): Expr => {
  if (isDivision(fn)) return divide(fn, width, a, b);
  return binary(fn, width, a, isShift(fn) ? zext(width === 64 ? 6 : 5, b) : b);
};

/** A result of `width` bits as a register's value: 32 bits are sign-extended on RV64. */
const extend = (xlen: Xlen, width: Xlen, value: Expr): Expr =>
  width === xlen ? value : sext(width, xlen, value);

/** Register with register; `width` is 32 for the ...W instructions. */
export const op = (
  xlen: Xlen,
  fn: BinaryOp,
  rd: number,
  rs1: number,
  rs2: number,
  width: Xlen = xlen,
): Effect[] => writeX(rd, extend(xlen, width, compute(fn, width, readX(rs1), readX(rs2))));

/** Register with immediate. */
export const opImm = (
  xlen: Xlen,
  fn: BinaryOp,
  rd: number,
  rs1: number,
  imm: number,
  width: Xlen = xlen,
): Effect[] => {
  const move = fn === "add" && imm === 0 && width === xlen;
  const operand = signedConstant(xlen, imm);
  const value = move ? readX(rs1) : compute(fn, width, readX(rs1), operand);
  return writeX(rd, extend(xlen, width, value));
};

export const lui = (xlen: Xlen, rd: number, imm: number): Effect[] =>
  writeX(rd, signedConstant(xlen, imm));

export const auipc = (xlen: Xlen, rd: number, imm: number): Effect[] =>
  writeX(rd, plus(xlen, pc, imm));

/** The link registers of the return-address-stack hints. */
const isLink = (n: number): boolean => n === 1 || n === 5;

/** @param size of the instruction: what it links is the address after it. */
export const jal = (xlen: Xlen, rd: number, offset: number, size: 2 | 4): Effect[] => [
  ...writeX(rd, plus(xlen, pc, size)),
  { kind: "jump", target: plus(xlen, pc, offset), as: isLink(rd) ? "call" : "jump" },
];

export const jalr = (xlen: Xlen, rd: number, rs1: number, imm: number, size: 2 | 4): Effect[] => {
  const target = clearBit0(xlen, plus(xlen, readX(rs1), imm));
  const isReturn = !isLink(rd) && isLink(rs1);
  const as = isReturn ? "return" : isLink(rd) ? "call" : "jump";
  return [...writeX(rd, plus(xlen, pc, size)), { kind: "jump", target, as }];
};

/** Conditional branches. `taken` is the result of the comparison that jumps. */
export const branch = (
  xlen: Xlen,
  fn: "eq" | "ltu" | "lts",
  taken: 0 | 1,
  rs1: number,
  rs2: number,
  offset: number,
): Effect[] => {
  const holds = binary(fn, xlen, readX(rs1), readX(rs2));
  const when = taken === 1 ? holds : isZero(1, holds);
  return [{ kind: "jump", target: plus(xlen, pc, offset), as: "jump", when }];
};

/** What was loaded, as a register's value. */
const loaded = (xlen: Xlen, bytes: AccessBytes, signed: boolean): Expr =>
  signed && 8 * bytes < xlen ? sext(8 * bytes, xlen, temp("t")) : temp("t");

/** Loads. */
export const load = (
  xlen: Xlen,
  rd: number,
  rs1: number,
  imm: number,
  bytes: AccessBytes,
  signed: boolean,
): Effect[] => [
  { kind: "load", into: "t", addr: plus(xlen, readX(rs1), imm), bytes },
  ...writeX(rd, loaded(xlen, bytes, signed)),
];

export const store = (
  xlen: Xlen,
  rs2: number,
  rs1: number,
  imm: number,
  bytes: AccessBytes,
): Effect[] => [{ kind: "store", addr: plus(xlen, readX(rs1), imm), value: readX(rs2), bytes }];

/** FLW, FLD; a single is NaN-boxed in the wider register. */
export const loadF = (xlen: Xlen, rd: number, rs1: number, imm: number, bytes: 4 | 8): Effect[] => {
  const boxed = binary("or", 64, temp("t"), constant(0xffffffff00000000n));
  return [
    { kind: "load", into: "t", addr: plus(xlen, readX(rs1), imm), bytes },
    set(fName(rd), bytes === 8 ? temp("t") : boxed),
  ];
};

export const storeF = (
  xlen: Xlen,
  rs2: number,
  rs1: number,
  imm: number,
  bytes: 4 | 8,
): Effect[] => [
  { kind: "store", addr: plus(xlen, readX(rs1), imm), value: reg(fName(rs2)), bytes },
];

/** Load-reserved. */
export const lr = (
  xlen: Xlen,
  rd: number,
  rs1: number,
  bytes: AccessBytes,
  order: AccessOrder,
): Effect[] => [
  { kind: "load", into: "t", addr: readX(rs1), bytes, exclusive: true, ...order },
  ...writeX(rd, loaded(xlen, bytes, true)),
];

/** Store-conditional: rd is 0 when the store was done. */
export const sc = (
  rd: number,
  rs1: number,
  rs2: number,
  bytes: AccessBytes,
  order: AccessOrder,
): Effect[] => [
  { kind: "storeExclusive", into: "t", addr: readX(rs1), value: readX(rs2), bytes, ...order },
  ...writeX(rd, temp("t")),
];

/** Atomic memory operations. */
export const amo = (
  xlen: Xlen,
  fn: AtomicOp,
  rd: number,
  rs1: number,
  rs2: number,
  bytes: AccessBytes,
  order: AccessOrder,
): Effect[] => [
  { kind: "atomic", fn, into: "t", addr: readX(rs1), bytes, operand: readX(rs2), ...order },
  ...writeX(rd, loaded(xlen, bytes, true)),
];

/** Zcmt: the entry is fetched like an instruction, from the table that the CSR jvt names. */
export const tableJump = (xlen: Xlen, index: number, link: boolean): Effect[] => {
  const bytes = xlen === 32 ? 4 : 8;
  const base = binary("and", xlen, reg("jvt"), signedConstant(xlen, -64));
  const addr = plus(xlen, base, index * bytes);
  return [
    { kind: "load", into: "t", addr, bytes, fetch: true },
    ...(link ? writeX(1, plus(xlen, pc, 2)) : []),
    { kind: "jump", target: clearBit0(xlen, temp("t")), as: link ? "call" : "jump" },
  ];
};

export const trap = (cause: "breakpoint" | "illegal" | "syscall"): Effect[] => [
  { kind: "trap", cause, code: 0n },
];

export const fence = (pred: number, succ: number): Effect[] => [
  { kind: "barrier", barrier: { name: "fence", pred: fenceSet(pred), succ: fenceSet(succ) } },
];

export const fenceTso = (): Effect[] => [{ kind: "barrier", barrier: { name: "fence.tso" } }];
export const fenceI = (): Effect[] => [{ kind: "barrier", barrier: { name: "fence.i" } }];

/** Zicbom and Zicboz (CMO specification): one cache block, named by any address inside it. */
export const cacheBlock = (
  fn: "cbo.clean" | "cbo.flush" | "cbo.inval" | "cbo.zero",
  rs1: number,
): Effect[] => [{ kind: "cache", fn, addr: readX(rs1) }];

/** A CSR that user mode may touch: how it is read, and written where it can be. */
export type Csr = {
  readonly number: number;
  readonly name: string;
  readonly read: (xlen: Xlen) => Expr;
  readonly write?: (value: Expr) => Effect;
};

const fcsrField = (from: number, width: number): Pick<Csr, "read" | "write"> => {
  const field = ((1n << BigInt(width)) - 1n) << BigInt(from);
  return {
    read: () => zext(width, binary("shr", 8, reg("fcsr"), constant(from))),
    write: (value) => {
      const kept = binary("and", 8, reg("fcsr"), constant(0xffn & ~field));
      const placed = binary("and", 8, binary("shl", 8, value, constant(from)), constant(field));
      return set("fcsr", binary("or", 8, kept, placed));
    },
  };
};

const counter = (number: number, name: string): Csr[] => [
  { number, name, read: (xlen) => zext(xlen, reg(name)) },
  {
    number: number + 0x80,
    name: `${name}h`,
    read: () => binary("shr", 64, reg(name), constant(32)),
  },
];

/** CSRs of user mode (Zicsr, Zicntr, F; Zcmt for jvt). */
export const csrs: readonly Csr[] = [
  { number: 0x001, name: "fflags", ...fcsrField(0, 5) },
  { number: 0x002, name: "frm", ...fcsrField(5, 3) },
  { number: 0x003, name: "fcsr", read: () => reg("fcsr"), write: (v) => set("fcsr", zext(8, v)) },
  { number: 0x017, name: "jvt", read: () => reg("jvt"), write: (v) => set("jvt", v) },
  ...counter(0xc00, "cycle"),
  ...counter(0xc01, "time"),
  ...counter(0xc02, "instret"),
];

/**
 * CSRRW, CSRRS, CSRRC. The source is a register, or a constant of 5 bits; whether the CSR is
 * written depends on the *encoding* of the source, not on its value.
 */
export const csrAccess = (
  xlen: Xlen,
  fn: "write" | "set" | "clear",
  rd: number,
  number: number,
  source: { readonly rs1: number } | { readonly uimm: number },
): Effect[] => {
  const csr = csrs.find((c) => c.number === number && (xlen === 32 || !c.name.endsWith("h")));
  const encoded = "rs1" in source ? source.rs1 : source.uimm;
  const writes = fn === "write" || encoded !== 0;
  if (csr === undefined || (writes && csr.write === undefined)) return trap("illegal");
  const operand = "rs1" in source ? readX(source.rs1) : constant(source.uimm);
  const old = csr.read(xlen);
  const all = constant(BigInt.asUintN(xlen, -1n));
  const value = {
    write: operand,
    set: binary("or", xlen, old, operand),
    clear: binary("and", xlen, old, binary("xor", xlen, operand, all)),
  }[fn];
  return [...writeX(rd, old), ...(writes && csr.write ? [csr.write(value)] : [])];
};
