/** Arithmetic, logic and flags of x86-64 as effects (Intel SDM Vol. 1, 3.4.3 and 7.3). */

import {
  type AtomicOp,
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
  temp,
  unary,
  zext,
} from "../effects.ts";
import { type Bits, type FlagName, type Operands, toBytes } from "./semantic-operands.ts";

const negate = (a: Expr): Expr => isZero(1, a);
const result = temp("r");

/** ZF, SF and PF of the result in the temporary `r`. */
const resultFlags = (bits: Bits): Effect[] => [
  set("zf", isZero(bits, result)),
  set("sf", bit(result, bits - 1)),
  set("pf", unary("parity", 8, zext(8, result))),
];

const overflow = (bits: Bits, x: Expr, y: Expr): Effect =>
  set("of", bit(binary("and", bits, x, y), bits - 1));

const halfCarry = (a: Expr, b: Expr): Effect =>
  set("af", bit(binary("xor", 8, binary("xor", 8, a, b), result), 4));

/** Flags of `a + b`, with the carry that went in. */
const sumFlags = (bits: Bits, a: Expr, b: Expr, carryIn: boolean): Effect[] => {
  const less = binary("ltu", bits, result, a);
  const notAbove = negate(binary("ltu", bits, a, result));
  return [
    set("cf", carryIn ? ite(reg("cf"), notAbove, less) : less),
    overflow(bits, binary("xor", bits, a, result), binary("xor", bits, b, result)),
    halfCarry(a, b),
  ];
};

/** Flags of `a - b`, with the borrow that went in. */
const differenceFlags = (bits: Bits, a: Expr, b: Expr, carryIn: boolean): Effect[] => {
  const less = binary("ltu", bits, a, b);
  const notAbove = negate(binary("ltu", bits, b, a));
  return [
    set("cf", carryIn ? ite(reg("cf"), notAbove, less) : less),
    overflow(bits, binary("xor", bits, a, b), binary("xor", bits, a, result)),
    halfCarry(a, b),
  ];
};

/** AF is undefined after logic; processors clear it. */
const logicFlags: readonly Effect[] = (["cf", "of", "af"] as const).map((flag: FlagName) =>
  set(flag, constant(0)),
);

/** The operation that a group's digit, or bits 5 to 3 of the opcode, stand for. */
const aluNames = ["add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"] as const;
export type AluName = (typeof aluNames)[number];
export const aluName = (number: number): AluName => aluNames[number & 7] ?? "cmp";

/** The result of `a op b` in the temporary `r`, and all flags. */
export const compute = (name: AluName, bits: Bits, a: Expr, b: Expr): Effect[] => {
  const carry = zext(1, reg("cf"));
  const value = {
    add: () => binary("add", bits, a, b),
    or: () => binary("or", bits, a, b),
    adc: () => binary("add", bits, binary("add", bits, a, b), carry),
    sbb: () => binary("sub", bits, binary("sub", bits, a, b), carry),
    and: () => binary("and", bits, a, b),
    sub: () => binary("sub", bits, a, b),
    xor: () => binary("xor", bits, a, b),
    cmp: () => binary("sub", bits, a, b),
  }[name]();
  const carryIn = name === "adc" || name === "sbb";
  const isSum = name === "add" || name === "adc";
  const isLogic = name === "or" || name === "and" || name === "xor";
  const flags = isLogic
    ? logicFlags
    : isSum
      ? sumFlags(bits, a, b, carryIn)
      : differenceFlags(bits, a, b, carryIn);
  return [letTemp("r", value), ...resultFlags(bits), ...flags];
};

/** How a locked instruction changes memory: SUB adds the negative. */
const atomics: Readonly<Partial<Record<AluName, AtomicOp>>> = {
  ...{ add: "add", sub: "add", or: "or", and: "and", xor: "xor" },
};

/** One indivisible access; locked ones order everything before and after (SDM Vol. 3A, 9.2.3.9). */
export const locked = (
  fn: AtomicOp,
  o: Operands,
  bits: Bits,
  operand: Expr,
  expected?: Expr,
): Effect => ({
  ...{ kind: "atomic", fn, into: "e", addr: o.address(), bytes: toBytes(bits), operand },
  ...(expected === undefined ? {} : { expected }),
  ...{ acquire: true, release: true },
});

/** `op E, b`; `undefined` where LOCK does not go with it. */
export const aluToE = (name: AluName, o: Operands, bits: Bits, b: Expr): Effect[] | undefined => {
  if (o.isLocked) {
    const fn = atomics[name];
    if (fn === undefined || !o.isMemory) return undefined;
    const operand = name === "sub" ? binary("sub", bits, constant(0), b) : b;
    return [locked(fn, o, bits, operand), ...compute(name, bits, temp("e"), b)];
  }
  const { before, value } = o.readE(bits);
  const write = name === "cmp" ? [] : o.writeE(bits, result);
  return [...before, ...compute(name, bits, value, b), ...write];
};

/** INC and DEC leave CF alone. */
export const increment = (o: Operands, bits: Bits, by: "add" | "sub"): Effect[] | undefined =>
  aluToE(by, o, bits, constant(1))?.filter((e) => e.kind !== "set" || e.reg !== "cf");

export const negateE = (o: Operands, bits: Bits): Effect[] => {
  const { before, value } = o.readE(bits);
  return [...before, ...compute("sub", bits, constant(0), value), ...o.writeE(bits, result)];
};

export const invertE = (o: Operands, bits: Bits): Effect[] => {
  const { before, value } = o.readE(bits);
  return [...before, ...o.writeE(bits, unary("not", bits, value))];
};

export const test = (bits: Bits, a: Expr, b: Expr): Effect[] => compute("and", bits, a, b);

/**
 * SHL, SHR, SAR by a constant; by 0 nothing happens. OF is undefined for amounts above 1; AF is
 * undefined.
 */
export const shift = (
  name: "shl" | "shr" | "sar",
  o: Operands,
  bits: Bits,
  amount: number,
): Effect[] => {
  const count = amount & (bits === 64 ? 63 : 31);
  const { before, value } = o.readE(bits);
  // Writing 32 bits clears the upper half even so.
  if (count === 0) return [...before, ...o.writeE(bits, value)];
  const shifted = binary(name, bits, value, constant(count));
  const outBit = name === "shl" ? bits - count : count - 1;
  const inRange = outBit >= 0 && outBit < bits;
  const lost = name === "sar" ? bits - 1 : undefined;
  const carry = inRange ? bit(value, outBit) : lost === undefined ? constant(0) : bit(value, lost);
  const top = bit(value, bits - 1);
  const over = {
    shl: binary("xor", 1, bit(result, bits - 1), carry),
    shr: top,
    sar: constant(0),
  }[name];
  return [
    ...[...before, letTemp("r", shifted), ...resultFlags(bits)],
    ...[set("cf", carry), set("of", over), set("af", constant(0))],
    ...o.writeE(bits, result),
  ];
};

/** Whether condition `number` (of Jcc, SETcc, CMOVcc) holds: 1 or 0 (SDM Vol. 1, appendix B). */
export const condition = (number: number): Expr => {
  const differ = binary("xor", 1, reg("sf"), reg("of"));
  const holds = [
    reg("of"),
    reg("cf"),
    reg("zf"),
    binary("or", 1, reg("cf"), reg("zf")),
    reg("sf"),
    reg("pf"),
    differ,
    binary("or", 1, differ, reg("zf")),
  ][(number >> 1) & 7];
  const base = holds ?? constant(0);
  return (number & 1) === 1 ? negate(base) : base;
};

const flagBits: Readonly<Record<FlagName, number>> = {
  ...{ cf: 0, pf: 2, af: 4, zf: 6, sf: 7, df: 10, of: 11 },
};

/** RFLAGS as PUSHFQ stores it: bit 1 is always set, interrupts are on in a user's program. */
export const packFlags = (): Expr =>
  Object.entries(flagBits).reduce(
    (sum, [flag, at]) => binary("or", 64, sum, binary("shl", 64, reg(flag), constant(at))),
    constant(0x202),
  );

export const unpackFlags = (value: Expr): Effect[] =>
  Object.entries(flagBits).map(([flag, at]) => set(flag, bit(value, at)));
