/**
 * What the data-processing instructions of AArch64 do.
 *
 * Source: Arm Architecture Reference Manual for A-profile (DDI 0487), C6.2, and the shared
 * pseudocode that is named where it is followed.
 */

import {
  binary,
  bit,
  constant,
  type Effect,
  type Expr,
  isZero,
  ite,
  letTemp,
  reg,
  set,
  sext,
  temp,
  unary,
  zext,
} from "../effects.ts";
import {
  type Bits,
  extended,
  negate,
  readR,
  readRsp,
  shifted,
  writeR,
  writeRsp,
} from "./access.ts";
import { decodeBitmask } from "./bitmask.ts";
import { holds } from "./control.ts";

type Flags = { readonly n: Expr; readonly z: Expr; readonly c: Expr; readonly v: Expr };

const setFlags = ({ n, z, c, v }: Flags): Effect[] => [
  ...[set("n", n), set("z", z), set("c", c), set("v", v)],
];

/** Flags of the result, in temporary `r`, of adding or subtracting `a` and `b`. */
const flagsOfSum = (bits: Bits, subtract: boolean, a: Expr, b: Expr): Flags => {
  const r = temp("r");
  const changed = binary("xor", bits, a, r);
  const other = binary("xor", bits, subtract ? a : b, subtract ? b : r);
  const carry = binary("ltu", bits, subtract ? a : r, subtract ? b : a);
  return {
    n: bit(r, bits - 1),
    z: isZero(bits, r),
    c: subtract ? negate(carry) : carry,
    v: bit(binary("and", bits, changed, other), bits - 1),
  };
};

const flagsOfLogic = (bits: Bits): Flags => ({
  n: bit(temp("r"), bits - 1),
  z: isZero(bits, temp("r")),
  c: constant(0),
  v: constant(0),
});

/** ADD, ADDS, SUB, SUBS; with flags, register 31 as the destination is the zero register. */
const addSubtract = (
  bits: Bits,
  fn: "add" | "sub",
  flags: boolean,
  a: Expr,
  b: Expr,
  write: (value: Expr) => Effect[],
): Effect[] => {
  const sum = b.op === "const" && b.value === 0n ? zext(bits, a) : binary(fn, bits, a, b);
  if (!flags) return write(sum);
  return [
    letTemp("r", sum),
    ...setFlags(flagsOfSum(bits, fn === "sub", a, b)),
    ...write(temp("r")),
  ];
};

export const addImmediate = (
  bits: Bits,
  fn: "add" | "sub",
  flags: boolean,
  rd: number,
  rn: number,
  imm: number,
): Effect[] =>
  addSubtract(bits, fn, flags, readRsp(bits, rn), constant(imm), (value) =>
    flags ? writeR(bits, rd, value) : writeRsp(bits, rd, value),
  );

export const addShifted = (
  bits: Bits,
  fn: "add" | "sub",
  flags: boolean,
  rd: number,
  rn: number,
  operand: { readonly rm: number; readonly shift: number; readonly amount: number },
): Effect[] => {
  const b = shifted(bits, operand.rm, operand.shift, operand.amount);
  return addSubtract(bits, fn, flags, readR(bits, rn), b, (value) => writeR(bits, rd, value));
};

export const addExtended = (
  bits: Bits,
  fn: "add" | "sub",
  flags: boolean,
  rd: number,
  rn: number,
  operand: { readonly rm: number; readonly option: number; readonly amount: number },
): Effect[] => {
  const b = extended(bits, operand.rm, operand.option, operand.amount);
  return addSubtract(bits, fn, flags, readRsp(bits, rn), b, (value) =>
    flags ? writeR(bits, rd, value) : writeRsp(bits, rd, value),
  );
};

/** ADC, ADCS, SBC, SBCS (pseudocode AddWithCarry; SBC adds the inverse). */
export const addCarry = (
  bits: Bits,
  subtract: boolean,
  flags: boolean,
  rd: number,
  rn: number,
  rm: number,
): Effect[] => {
  const a = readR(bits, rn);
  const b = subtract ? unary("not", bits, readR(bits, rm)) : readR(bits, rm);
  const sum = binary("add", bits, binary("add", bits, a, b), reg("c"));
  if (!flags) return writeR(bits, rd, sum);
  const r = temp("r");
  const notAbove = negate(binary("ltu", bits, a, r));
  const carry = ite(reg("c"), notAbove, binary("ltu", bits, r, a));
  const over = binary("and", bits, binary("xor", bits, a, r), binary("xor", bits, b, r));
  const set4 = { n: bit(r, bits - 1), z: isZero(bits, r), c: carry, v: bit(over, bits - 1) };
  return [letTemp("r", sum), ...setFlags(set4), ...writeR(bits, rd, r)];
};

/** Logical operations on registers; `invert` for BIC, ORN, EON, BICS. */
export const logicShifted = (
  bits: Bits,
  fn: "and" | "or" | "xor",
  invert: boolean,
  flags: boolean,
  rd: number,
  rn: number,
  operand: { readonly rm: number; readonly shift: number; readonly amount: number },
): Effect[] => {
  const plain = shifted(bits, operand.rm, operand.shift, operand.amount);
  const b = invert ? unary("not", bits, plain) : plain;
  const value = fn === "or" && rn === 31 ? b : binary(fn, bits, readR(bits, rn), b);
  if (!flags) return writeR(bits, rd, value);
  return [letTemp("r", value), ...setFlags(flagsOfLogic(bits)), ...writeR(bits, rd, temp("r"))];
};

export const logicImmediate = (
  bits: Bits,
  fn: "and" | "or" | "xor",
  flags: boolean,
  rd: number,
  rn: number,
  mask: { readonly n: number; readonly immr: number; readonly imms: number },
): Effect[] => {
  const b = constant(decodeBitmask(mask, bits) ?? 0n);
  const value = fn === "or" && rn === 31 ? b : binary(fn, bits, readR(bits, rn), b);
  if (!flags) return writeRsp(bits, rd, value);
  return [letTemp("r", value), ...setFlags(flagsOfLogic(bits)), ...writeR(bits, rd, temp("r"))];
};

export const moveWide = (
  bits: Bits,
  fn: "zero" | "not" | "keep",
  rd: number,
  imm: number,
  hw: number,
): Effect[] => {
  const field = BigInt(imm) << BigInt(16 * hw);
  if (fn === "zero") return writeR(bits, rd, constant(field));
  if (fn === "not") return writeR(bits, rd, constant(BigInt.asUintN(bits, ~field)));
  const others = BigInt.asUintN(bits, ~(0xffffn << BigInt(16 * hw)));
  const kept = binary("and", bits, readR(bits, rd), constant(others));
  return writeR(bits, rd, binary("or", bits, kept, constant(field)));
};

/** SBFM, UBFM, BFM: a field of `rn` goes to the bottom, or from the bottom upwards. */
export const bitfield = (
  bits: Bits,
  fn: "signed" | "unsigned" | "insert",
  rd: number,
  rn: number,
  immr: number,
  imms: number,
): Effect[] => {
  const source = readR(bits, rn);
  const down = imms >= immr;
  const width = down ? imms - immr + 1 : imms + 1;
  const to = down ? 0 : bits - immr;
  const moved = down && immr > 0 ? binary("shr", bits, source, constant(immr)) : source;
  const field = fn === "signed" ? sext(width, bits, moved) : zext(width, moved);
  const placed = to === 0 ? field : binary("shl", bits, field, constant(to));
  if (fn !== "insert") return writeR(bits, rd, placed);
  const hole = BigInt.asUintN(bits, ~(((1n << BigInt(width)) - 1n) << BigInt(to)));
  const kept = binary("and", bits, readR(bits, rd), constant(hole));
  return writeR(bits, rd, binary("or", bits, kept, placed));
};

export const extract = (bits: Bits, rd: number, rn: number, rm: number, lsb: number): Effect[] => {
  if (lsb === 0) return writeR(bits, rd, readR(bits, rm));
  const low = binary("shr", bits, readR(bits, rm), constant(lsb));
  const high = binary("shl", bits, readR(bits, rn), constant(bits - lsb));
  return writeR(bits, rd, binary("or", bits, low, high));
};

/** Shifts by a register: the amount is taken modulo the register's size. */
export const shiftVariable = (
  bits: Bits,
  fn: "shl" | "shr" | "sar" | "ror",
  rd: number,
  rn: number,
  rm: number,
): Effect[] => {
  const amount = zext(bits === 64 ? 6 : 5, readR(bits, rm));
  return writeR(bits, rd, binary(fn, bits, readR(bits, rn), amount));
};

/** Division never traps: by zero it gives zero. */
export const divide = (
  bits: Bits,
  fn: "divs" | "divu",
  rd: number,
  rn: number,
  rm: number,
): Effect[] => {
  const divisor = readR(bits, rm);
  const quotient = binary(fn, bits, readR(bits, rn), divisor);
  return writeR(bits, rd, ite(isZero(bits, divisor), constant(0), quotient));
};

/** MADD and MSUB, and the long forms, whose factors are 32 bits wide, signed or unsigned. */
export const multiplyAdd = (
  bits: Bits,
  factors: "same" | "signed" | "unsigned",
  subtract: boolean,
  regs: { readonly rd: number; readonly rn: number; readonly rm: number; readonly ra: number },
): Effect[] => {
  const factor = (n: number): Expr => {
    if (factors === "same") return readR(bits, n);
    return factors === "signed" ? sext(32, 64, readR(64, n)) : zext(32, readR(64, n));
  };
  const product = binary("mul", bits, factor(regs.rn), factor(regs.rm));
  const fn = subtract ? "sub" : "add";
  return writeR(bits, regs.rd, binary(fn, bits, readR(bits, regs.ra), product));
};

export const multiplyHigh = (fn: "mulhs" | "mulhu", rd: number, rn: number, rm: number): Effect[] =>
  writeR(64, rd, binary(fn, 64, readR(64, rn), readR(64, rm)));

/** RBIT, REV, REV16, REV32, CLZ. */
export const reverse = (
  bits: Bits,
  fn: "rbit" | "rev" | "rev16" | "rev32" | "clz",
  rd: number,
  rn: number,
): Effect[] => {
  const a = readR(bits, rn);
  if (fn === "rev32") {
    return writeR(bits, rd, binary("ror", 64, unary("rev", 64, a), constant(32)));
  }
  if (fn !== "rev16") return writeR(bits, rd, unary(fn, bits, a));
  const low = constant(BigInt.asUintN(bits, 0x00ff00ff00ff00ffn));
  const up = binary("shl", bits, binary("and", bits, a, low), constant(8));
  const down = binary("and", bits, binary("shr", bits, a, constant(8)), low);
  return writeR(bits, rd, binary("or", bits, up, down));
};

/** CSEL, CSINC, CSINV, CSNEG. */
export const select = (
  bits: Bits,
  fn: "same" | "increment" | "invert" | "negate",
  rd: number,
  rn: number,
  rm: number,
  condition: number,
): Effect[] => {
  const other = readR(bits, rm);
  const changed = {
    same: other,
    increment: binary("add", bits, other, constant(1)),
    invert: unary("not", bits, other),
    negate: binary("sub", bits, constant(0), other),
  }[fn];
  return writeR(bits, rd, ite(holds(condition), readR(bits, rn), changed));
};

/** CCMP and CCMN: the flags of a comparison if the condition holds, else those stated. */
export const compareIf = (
  bits: Bits,
  subtract: boolean,
  rn: number,
  operand: { readonly rm: number } | { readonly imm: number },
  nzcv: number,
  condition: number,
): Effect[] => {
  const a = readR(bits, rn);
  const b = "rm" in operand ? readR(bits, operand.rm) : constant(operand.imm);
  const flags = flagsOfSum(bits, subtract, a, b);
  const when = holds(condition);
  const either = (flag: Expr, from: number): Expr => ite(when, flag, constant((nzcv >> from) & 1));
  return [
    letTemp("r", binary(subtract ? "sub" : "add", bits, a, b)),
    ...setFlags({
      n: either(flags.n, 3),
      z: either(flags.z, 2),
      c: either(flags.c, 1),
      v: either(flags.v, 0),
    }),
  ];
};
