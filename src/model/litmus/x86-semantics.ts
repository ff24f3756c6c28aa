/**
 * What the x86-64 instructions of litmus tests do, from their text in Intel syntax (as
 * `isa/x86-64/format.ts` writes it): moves, integer arithmetic, branches, calls, locked
 * instructions, fences and serialising ones. Intel SDM Vol. 2, under each instruction's name.
 */

import {
  type AtomicOp,
  type BinaryOp,
  binary,
  bit,
  constant,
  type Effect,
  type Expr,
  isZero,
  ite,
  letTemp,
  pc,
  reg,
  set,
  temp,
  zext,
} from "../../isa/effects.ts";
import { conditions, r8, r16, r32, r64 } from "../../isa/x86-64/registers.ts";

/** A register by any of its names. */
export type X86Register = { readonly name: string; readonly bits: 8 | 16 | 32 | 64 };

type Operand =
  | ({ readonly kind: "register" } & X86Register)
  | { readonly kind: "memory"; readonly address: Expr; readonly bits: number }
  | { readonly kind: "number"; readonly value: bigint };

const numbersOf = new Map<string, { number: number; bits: 8 | 16 | 32 | 64 }>(
  [r8, r16, r32, r64].flatMap((bank) =>
    Object.values(bank)
      .filter((register) => !register.high)
      .map(({ name, number, size }) => [name, { number, bits: size }] as const),
  ),
);
const names64 = Object.values(r64).map(({ name }) => name);

/** The register called `name`, and the 64-bit register that it is a part of. */
export function findX86Register(name: string): X86Register | undefined {
  const found = numbersOf.get(name);
  const whole = found === undefined ? undefined : names64[found.number];
  return found === undefined || whole === undefined ? undefined : { name: whole, bits: found.bits };
}

const pointerBits: Readonly<Record<string, number>> = { byte: 8, word: 16, dword: 32, qword: 64 };

const add = (a: Expr, b: Expr): Expr => binary("add", 64, a, b);

/** `rax + rcx*4 - 0x10`. */
function parseAddress(text: string): Expr | undefined {
  let sum: Expr | undefined;
  for (const [, sign, term = ""] of text.replaceAll(" ", "").matchAll(/([+-]?)([\w*]+)/g)) {
    const [, base = "", scale] = /^([a-z]\w*)(?:\*(\d))?$/.exec(term) ?? [];
    const register = findX86Register(base);
    let value: Expr;
    if (register !== undefined) {
      const plain = reg(register.name);
      value = scale === undefined ? plain : binary("mul", 64, plain, constant(Number(scale)));
    } else if (/^(0x)?[\da-f]+$/.test(term)) {
      value = constant(BigInt.asUintN(64, sign === "-" ? -BigInt(term) : BigInt(term)));
    } else {
      return undefined;
    }
    sum = sum === undefined ? value : add(sum, value);
  }
  return sum;
}

function parseOperand(text: string): Operand | undefined {
  const register = findX86Register(text);
  if (register !== undefined) return { kind: "register", ...register };
  if (/^-?(0x[\da-f]+|\d+)$/.test(text)) {
    const value = text.startsWith("-") ? -BigInt(text.slice(1)) : BigInt(text);
    return { kind: "number", value };
  }
  const [, pointer, inside = ""] = /^(?:(\w+) ptr )?\[(.*)\]$/.exec(text) ?? [];
  const address = parseAddress(inside);
  if (address === undefined) return undefined;
  return { kind: "memory", address, bits: pointerBits[pointer ?? "qword"] ?? 64 };
}

const bytesOf = (bits: number): 1 | 2 | 4 | 8 =>
  bits === 8 ? 1 : bits === 16 ? 2 : bits === 32 ? 4 : 8;

/** Reads an operand; a load comes first and is the temporary `name`. */
function readOperand(operand: Operand, bits: number, name: string): [Effect[], Expr] {
  switch (operand.kind) {
    case "number":
      return [[], constant(BigInt.asUintN(bits, operand.value))];
    case "register":
      return [[], zext(bits, reg(operand.name))];
    case "memory":
      return [
        [{ kind: "load", into: name, addr: operand.address, bytes: bytesOf(operand.bits) }],
        temp(name),
      ];
    default:
      return operand satisfies never;
  }
}

/** Writes an operand: 32-bit registers clear their upper half, smaller ones keep it. */
function writeOperand(operand: Operand, bits: number, value: Expr): Effect[] {
  if (operand.kind === "memory") {
    return [{ kind: "store", addr: operand.address, value, bytes: bytesOf(bits) }];
  }
  if (operand.kind === "number") return [];
  if (bits >= 32) return [set(operand.name, zext(bits, value))];
  const kept = constant(BigInt.asUintN(64, -1n << BigInt(bits)));
  const upper = binary("and", 64, reg(operand.name), kept);
  return [set(operand.name, binary("or", 64, upper, zext(bits, value)))];
}

const bitsOf = (operands: readonly Operand[]): number => {
  for (const operand of operands) if (operand.kind !== "number") return operand.bits;
  return 64;
};

/** ZF, SF, CF and OF after `a fn b`; INC and DEC keep CF. */
function flags(bits: number, fn: BinaryOp, a: Expr, b: Expr, keepCarry: boolean): Effect[] {
  const result = temp("result");
  const sign = (value: Expr): Expr => bit(value, bits - 1);
  const xor = (x: Expr, y: Expr): Expr => binary("xor", 1, x, y);
  const logic = fn !== "add" && fn !== "sub";
  const carry = fn === "add" ? binary("ltu", bits, result, a) : binary("ltu", bits, a, b);
  const differ = xor(sign(a), sign(b));
  const inputs = fn === "add" ? xor(differ, constant(1)) : differ;
  const overflow = binary("and", 1, inputs, xor(sign(a), sign(result)));
  return [
    set("zf", isZero(bits, result)),
    set("sf", sign(result)),
    set("of", logic ? constant(0) : overflow),
    ...(keepCarry ? [] : [set("cf", logic ? constant(0) : carry)]),
  ];
}

const arithmetic: Readonly<Record<string, { fn: BinaryOp; writes: boolean; one?: boolean }>> = {
  add: { fn: "add", writes: true },
  sub: { fn: "sub", writes: true },
  and: { fn: "and", writes: true },
  or: { fn: "or", writes: true },
  xor: { fn: "xor", writes: true },
  cmp: { fn: "sub", writes: false },
  test: { fn: "and", writes: false },
  inc: { fn: "add", writes: true, one: true },
  dec: { fn: "sub", writes: true, one: true },
};

/** The operation of a locked instruction; subtraction is addition of the negative. */
const atomicOps: Readonly<Record<string, AtomicOp>> = {
  add: "add",
  sub: "add",
  inc: "add",
  dec: "add",
  and: "and",
  or: "or",
  xor: "xor",
};

function compute(mnemonic: string, operands: readonly Operand[], locked: boolean): Effect[] {
  const known = arithmetic[mnemonic];
  const [first, second] = operands;
  if (known === undefined || first === undefined) return [];
  const bits = bitsOf(operands);
  const right: Operand = known.one === true ? { kind: "number", value: 1n } : (second ?? first);
  const [loadRight, b] = readOperand(right, bits, "right");
  const op = atomicOps[mnemonic];
  const result = letTemp("result", binary(known.fn, bits, temp("left"), temp("operand")));
  const after = flags(bits, known.fn, temp("left"), temp("operand"), known.one === true);
  if (locked && first.kind === "memory" && op !== undefined) {
    const operand = known.fn === "sub" ? binary("sub", bits, constant(0), b) : b;
    const { address: addr } = first;
    const bytes = bytesOf(bits);
    return [
      ...loadRight,
      letTemp("operand", b),
      { kind: "atomic", fn: op, into: "left", addr, bytes, operand },
      result,
      ...after,
    ];
  }
  const [loadLeft, a] = readOperand(first, bits, "loaded");
  return [
    ...[...loadLeft, ...loadRight, letTemp("left", a), letTemp("operand", b), result],
    ...(known.writes ? writeOperand(first, bits, temp("result")) : []),
    ...after,
  ];
}

/** XCHG with memory (always locked), XADD, CMPXCHG. */
function exchange(mnemonic: string, operands: readonly Operand[], locked: boolean): Effect[] {
  const [first, second] = operands;
  if (first === undefined || second === undefined) return [];
  const bits = bitsOf(operands);
  const [, b] = readOperand(second, bits, "right");
  const bytes = bytesOf(bits);
  if (first.kind !== "memory") {
    const [, a] = readOperand(first, bits, "left");
    const moved = mnemonic === "xadd" ? binary("add", bits, a, b) : b;
    return [...writeOperand(second, bits, a), ...writeOperand(first, bits, moved)];
  }
  const { address: addr } = first;
  const old = temp("left");
  if (mnemonic === "cmpxchg") {
    const expected = zext(bits, reg("rax"));
    const accumulator: Operand = { kind: "register", name: "rax", bits: 64 };
    return [
      { kind: "atomic", fn: "cas", into: "left", addr, bytes, operand: b, expected },
      set("zf", binary("eq", bits, old, expected)),
      ...writeOperand(accumulator, bits, old),
    ];
  }
  if (mnemonic === "xadd" && !locked) {
    const [load] = readOperand(first, bits, "left");
    const sum = binary("add", bits, old, b);
    return [...load, ...writeOperand(first, bits, sum), ...writeOperand(second, bits, old)];
  }
  const fn = mnemonic === "xadd" ? "add" : "swap";
  return [
    { kind: "atomic", fn, into: "left", addr, bytes, operand: b },
    ...writeOperand(second, bits, old),
  ];
}

const not = (e: Expr): Expr => isZero(1, e);

/** A condition code as an expression over the flags (SDM Vol. 1, appendix B). */
function conditionOf(name: string): Expr | undefined {
  const [zf, sf, cf, of] = [reg("zf"), reg("sf"), reg("cf"), reg("of")];
  const less = binary("xor", 1, sf, of);
  const positive: Readonly<Record<string, Expr>> = {
    o: of,
    b: cf,
    e: zf,
    be: binary("or", 1, cf, zf),
    s: sf,
    l: less,
    le: binary("or", 1, zf, less),
  };
  const found = positive[name];
  if (found !== undefined) return found;
  const number = (conditions as readonly string[]).indexOf(name);
  const opposite = number < 0 ? undefined : positive[conditions[number ^ 1] ?? ""];
  return opposite === undefined ? undefined : not(opposite);
}

const stack = (offset: number): Expr =>
  add(reg("rsp"), constant(BigInt.asUintN(64, BigInt(offset))));

const push = (value: Expr): Effect[] => [
  { kind: "store", addr: stack(-8), value, bytes: 8 },
  set("rsp", stack(-8)),
];

function transfer(
  mnemonic: string,
  operands: readonly Operand[],
  size: number,
): Effect[] | undefined {
  const [operand] = operands;
  const [load, target] = operand === undefined ? [[], constant(0)] : readOperand(operand, 64, "to");
  const condition = mnemonic.startsWith("j") ? conditionOf(mnemonic.slice(1)) : undefined;
  if (condition !== undefined) return [{ kind: "jump", target, as: "jump", when: condition }];
  switch (mnemonic) {
    case "jmp":
      return [...load, { kind: "jump", target, as: "jump" }];
    case "call":
      return [...load, ...push(add(pc, constant(size))), { kind: "jump", target, as: "call" }];
    case "ret":
      return [
        { kind: "load", into: "to", addr: reg("rsp"), bytes: 8 },
        set("rsp", stack(8)),
        { kind: "jump", target: temp("to"), as: "return" },
      ];
    case "push":
      return [...load, ...push(target)];
    case "pop":
      if (operand === undefined) return undefined;
      return [
        { kind: "load", into: "to", addr: reg("rsp"), bytes: 8 },
        set("rsp", stack(8)),
        ...writeOperand(operand, 64, temp("to")),
      ];
    default:
      return undefined;
  }
}

function simple(mnemonic: string): Effect[] | undefined {
  switch (mnemonic) {
    case "nop":
    case "data16 nop":
    case "endbr64":
      return [];
    case "int3":
      return [{ kind: "trap", cause: "breakpoint", code: 3n }];
    case "ud2":
      return [{ kind: "trap", cause: "illegal", code: 0n }];
    case "mfence":
    case "lfence":
    case "sfence":
      return [{ kind: "barrier", barrier: { name: mnemonic } }];
    case "cpuid":
      return [
        { kind: "barrier", barrier: { name: "serialize", by: "cpuid" } },
        ...["rax", "rbx", "rcx", "rdx"].map((name) => set(name, constant(0))),
      ];
    case "serialize":
      return [{ kind: "barrier", barrier: { name: "serialize", by: "serialize" } }];
    case "iretq":
      return [{ kind: "barrier", barrier: { name: "serialize", by: "iret" } }];
    default:
      return undefined;
  }
}

function move(mnemonic: string, operands: readonly Operand[]): Effect[] | undefined {
  const [first, second] = operands;
  if (first === undefined || second === undefined) return undefined;
  if (mnemonic === "lea") {
    return second.kind === "memory"
      ? writeOperand(first, bitsOf([first]), second.address)
      : undefined;
  }
  const condition = mnemonic.startsWith("cmov") ? conditionOf(mnemonic.slice(4)) : undefined;
  if (mnemonic !== "mov" && mnemonic !== "movabs" && condition === undefined) return undefined;
  const bits = bitsOf(operands);
  const [load, value] = readOperand(second, bits, "right");
  const [, old] = readOperand(first, bits, "left");
  const moved = condition === undefined ? value : ite(condition, value, old);
  return [...load, ...writeOperand(first, bits, moved)];
}

/**
 * The effects of an instruction of `size` bytes; `undefined` where it is not one of those that
 * litmus tests may use.
 */
export function x86Effects(text: string, size: number): readonly Effect[] | undefined {
  const locked = text.startsWith("lock ");
  const [, mnemonic = "", rest = ""] = /^(\S+)\s*(.*)$/.exec(locked ? text.slice(5) : text) ?? [];
  if (mnemonic === "nop") return [];
  const plain = simple(text);
  if (plain !== undefined) return plain;
  const operands: Operand[] = [];
  for (const part of rest === "" ? [] : rest.split(", ")) {
    const operand = parseOperand(part);
    if (operand === undefined) return undefined;
    operands.push(operand);
  }
  const moved = transfer(mnemonic, operands, size) ?? move(mnemonic, operands);
  if (moved !== undefined) return moved;
  if (arithmetic[mnemonic] !== undefined) return compute(mnemonic, operands, locked);
  if (["xchg", "xadd", "cmpxchg"].includes(mnemonic)) return exchange(mnemonic, operands, locked);
  return undefined;
}
