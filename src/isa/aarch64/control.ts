/**
 * What branches, traps, barriers and system instructions of AArch64 do, as a program at EL0 sees
 * it. Pointer authentication is not modelled: BRAA and its like jump without a check.
 *
 * Source: Arm Architecture Reference Manual for A-profile (DDI 0487), C6.2, and the shared
 * pseudocode that is named where it is followed.
 */

import {
  binary,
  bit,
  type CacheOp,
  constant,
  type Effect,
  type Expr,
  isZero,
  type JumpKind,
  pc,
  reg,
  set,
  type TrapCause,
} from "../effects.ts";
import { type Bits, negate, plus, readR, writeR } from "./access.ts";
import { systemRegisters } from "./registers.ts";

/** Whether a condition holds (pseudocode ConditionHolds): 1 or 0. */
export const holds = (condition: number): Expr => {
  const same = binary("eq", 1, reg("n"), reg("v"));
  const notZero = negate(reg("z"));
  const positive = [
    reg("z"),
    reg("c"),
    reg("n"),
    reg("v"),
    binary("and", 1, reg("c"), notZero),
    same,
    binary("and", 1, notZero, same),
    constant(1),
  ][condition >> 1];
  const base = positive ?? constant(1);
  return (condition & 1) === 1 && condition !== 15 ? negate(base) : base;
};

export const address = (rd: number, offset: number): Effect[] => writeR(64, rd, plus(pc, offset));

export const pageAddress = (rd: number, offset: number): Effect[] => {
  const page = binary("and", 64, pc, constant(0xfffffffffffff000n));
  return writeR(64, rd, plus(page, offset));
};

export const branch = (offset: number, link: boolean): Effect[] => [
  ...(link ? [set("x30", plus(pc, 4))] : []),
  { kind: "jump", target: plus(pc, offset), as: link ? "call" : "jump" },
];

export const branchRegister = (rn: number, as: JumpKind): Effect[] => [
  ...(as === "call" ? [set("x30", plus(pc, 4))] : []),
  { kind: "jump", target: readR(64, rn), as },
];

export const branchIf = (when: Expr, offset: number): Effect[] => [
  { kind: "jump", target: plus(pc, offset), as: "jump", when },
];

/** CBZ, CBNZ. */
export const branchZero = (bits: Bits, zero: boolean, rt: number, offset: number): Effect[] => {
  const isNull = isZero(bits, readR(bits, rt));
  return branchIf(zero ? isNull : negate(isNull), offset);
};

/** TBZ, TBNZ. */
export const branchBit = (set1: boolean, rt: number, index: number, offset: number): Effect[] => {
  const value = bit(readR(64, rt), index);
  return branchIf(set1 ? value : negate(value), offset);
};

export const trap = (cause: TrapCause, imm: number): Effect[] => [
  { kind: "trap", cause, code: BigInt(imm) },
];

const flagOrder = ["v", "c", "z", "n"];

/** MRS: an encoding that user mode can't read traps. */
export const readSystem = (rt: number, code: number): Effect[] => {
  const found = systemRegisters.find((register) => register.code === code);
  if (found === undefined) return trap("illegal", 0);
  if (found.name !== "nzcv") return writeR(64, rt, reg(found.name));
  const value = flagOrder.reduce(
    (sum, flag, i) => binary("or", 64, sum, binary("shl", 64, reg(flag), constant(28 + i))),
    constant(0),
  );
  return writeR(64, rt, value);
};

/** MSR. */
export const writeSystem = (rt: number, code: number): Effect[] => {
  const found = systemRegisters.find((register) => register.code === code);
  if (found === undefined || !found.writable) return trap("illegal", 0);
  if (found.name !== "nzcv") return [set(found.name, readR(found.bits, rt))];
  return flagOrder.map((flag, i) => set(flag, bit(readR(64, rt), 28 + i)));
};

/** Options of DMB and DSB by CRm (Arm ARM C6.2 DMB); others are reserved. */
export const barrierOptions: Readonly<Record<string, number>> = {
  ...{ oshld: 1, oshst: 2, osh: 3, nshld: 5, nshst: 6, nsh: 7 },
  ...{ ishld: 9, ishst: 10, ish: 11, ld: 13, st: 14, sy: 15 },
};

const domains = ["osh", "nsh", "ish", "sy"] as const;
const accesses = ["full", "ld", "st", "full"] as const;

export const barrier = (name: "dmb" | "dsb", option: number): Effect[] => {
  const domain = domains[option >> 2] ?? "sy";
  const access = accesses[option & 3] ?? "full";
  return [{ kind: "barrier", barrier: { name, domain, access } }];
};

/** DC and IC: one line by any address in it, or everything. */
export const cacheOperation = (fn: CacheOp, rt: number | undefined): Effect[] => [
  rt === undefined ? { kind: "cache", fn } : { kind: "cache", fn, addr: readR(64, rt) },
];
