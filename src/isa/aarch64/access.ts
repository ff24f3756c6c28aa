/** Registers of AArch64 as expressions: what every kind of instruction reads and writes. */

import {
  binary,
  constant,
  type Effect,
  type Expr,
  isZero,
  reg,
  set,
  sext,
  zext,
} from "../effects.ts";

export type Bits = 32 | 64;

/** X or W register `n`; 31 is the zero register. */
export const readR = (bits: Bits, n: number): Expr => {
  if (n === 31) return constant(0);
  return bits === 64 ? reg(`x${n}`) : zext(32, reg(`x${n}`));
};

/** The same, where 31 is the stack pointer. */
export const readRsp = (bits: Bits, n: number): Expr => {
  const full = reg(n === 31 ? "sp" : `x${n}`);
  return bits === 64 ? full : zext(32, full);
};

export const writeR = (bits: Bits, n: number, value: Expr): Effect[] =>
  n === 31 ? [] : [set(`x${n}`, bits === 64 ? value : zext(32, value))];

export const writeRsp = (bits: Bits, n: number, value: Expr): Effect[] => [
  set(n === 31 ? "sp" : `x${n}`, bits === 64 ? value : zext(32, value)),
];

export const negate = (a: Expr): Expr => isZero(1, a);
const number64 = (value: number): Expr => constant(BigInt.asUintN(64, BigInt(value)));
export const plus = (a: Expr, value: number): Expr =>
  value === 0 ? a : binary("add", 64, a, number64(value));

const shiftNames = ["shl", "shr", "sar", "ror"] as const;

/** Pseudocode ShiftReg. */
export const shifted = (bits: Bits, rm: number, shift: number, amount: number): Expr => {
  const value = readR(bits, rm);
  if (amount === 0) return value;
  return binary(shiftNames[shift & 3] ?? "shl", bits, value, constant(amount));
};

/** Pseudocode ExtendReg: UXTB, UXTH, UXTW, UXTX, SXTB, SXTH, SXTW, SXTX by `option`. */
export const extended = (bits: Bits, rm: number, option: number, amount: number): Expr => {
  const from = 8 << (option & 3);
  const whole = from >= bits;
  const value = readR(from === 64 ? 64 : bits, rm);
  const wide = whole ? zext(bits, value) : option < 4 ? zext(from, value) : sext(from, bits, value);
  return amount === 0 ? wide : binary("shl", bits, wide, constant(amount));
};
