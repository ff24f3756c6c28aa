/**
 * What an instruction does, as data: the language that the semantics of every ISA are written in.
 *
 * One description has three readers: the reference interpreter (`execute.ts`, bigint, slow and
 * plain), the model checker (which may compile it to anything) and the tests that hold both to an
 * emulator we did not write.
 *
 * Rules of evaluation
 * - An instruction is a list of effects, carried out in list order.
 * - Expressions are pure. A register in an expression means its value *before* the instruction,
 *   whatever was set by an earlier effect of the list; what is computed or loaded on the way is a
 *   temporary, seen by the effects after it.
 * - Every access to memory is one effect, so that the list shows the accesses and their order.
 * - A trap that is taken ends the instruction at once: effects before it have happened.
 * - At most one jump is taken; without one, execution goes on at pc + size.
 * - Values are unsigned: a value of n bits is a bigint in 0 to 2^n - 1.
 */

/** Operators on two values; operands are taken modulo 2^bits, and so is the result. */
export type BinaryOp =
  | "add"
  | "sub"
  | "mul"
  /** High half of the product: both signed, both unsigned, first signed and second unsigned. */
  | "mulhs"
  | "mulhu"
  | "mulhsu"
  /** Quotient and remainder, truncated towards zero; never evaluated with divisor 0. */
  | "divs"
  | "divu"
  | "rems"
  | "remu"
  | "and"
  | "or"
  | "xor"
  /** Shifts by the whole second operand: `bits` or more shifts everything out. */
  | "shl"
  | "shr"
  | "sar"
  /** Rotation to the right by the second operand modulo `bits`. */
  | "ror"
  /** Comparisons: 1 or 0. */
  | "eq"
  | "ltu"
  | "lts";

/** Operators on one value of `bits` bits. */
export type UnaryOp =
  | "not"
  /** Leading zeros: 0 to `bits`. */
  | "clz"
  /** The bits in reverse order. */
  | "rbit"
  /** The bytes in reverse order. */
  | "rev"
  /** Number of ones modulo 2, inverted: x86's parity flag of a byte. */
  | "parity";

/** A pure expression over the state before the instruction. */
export type Expr =
  | { readonly op: "const"; readonly value: bigint }
  | { readonly op: "reg"; readonly name: string }
  | { readonly op: "temp"; readonly name: string }
  /** Address of the instruction itself. */
  | { readonly op: "pc" }
  | {
      readonly op: "binary";
      readonly fn: BinaryOp;
      readonly bits: number;
      readonly a: Expr;
      readonly b: Expr;
    }
  | { readonly op: "unary"; readonly fn: UnaryOp; readonly bits: number; readonly a: Expr }
  /** The low `from` bits of `a`. */
  | { readonly op: "zext"; readonly from: number; readonly a: Expr }
  /** The low `from` bits of `a`, their sign extended to `to` bits. */
  | { readonly op: "sext"; readonly from: number; readonly to: number; readonly a: Expr }
  /** `yes` where `when` is not zero, else `no`. */
  | { readonly op: "ite"; readonly when: Expr; readonly yes: Expr; readonly no: Expr };

/** Size of one access to memory, in bytes; 16 only for vector registers and stack pairs. */
export type AccessBytes = 1 | 2 | 4 | 8 | 16;

/** Order that an access itself demands, beyond being there. */
export type AccessOrder = {
  readonly acquire?: boolean;
  readonly release?: boolean;
};

/** Access types of a RISC-V FENCE, as its pred and succ fields name them. */
export type FenceSet = {
  readonly input: boolean;
  readonly output: boolean;
  readonly read: boolean;
  readonly write: boolean;
};

/** Every barrier of every ISA, by the names of its manual. */
export type Barrier =
  /** Arm ARM C6.2 DMB, DSB: domain and the access types that are ordered. */
  | {
      readonly name: "dmb" | "dsb";
      readonly domain: "nsh" | "ish" | "osh" | "sy";
      readonly access: "ld" | "st" | "full";
    }
  | { readonly name: "isb" | "sb" }
  /** RISC-V Unprivileged, 2.7 "Memory Ordering Instructions". */
  | { readonly name: "fence"; readonly pred: FenceSet; readonly succ: FenceSet }
  | { readonly name: "fence.tso" | "fence.i" }
  /** Intel SDM 3A, 9.2.5 "Strengthening or Weakening the Memory-Ordering Model". */
  | { readonly name: "mfence" | "lfence" | "sfence" }
  /** Intel SDM 3A, 9.3 "Serializing Instructions". */
  | { readonly name: "serialize"; readonly by: "serialize" | "cpuid" | "iret" };

/** Cache maintenance by virtual address (or on everything, where `addr` is absent). */
export type CacheOp =
  | "dc cvau"
  | "dc cvac"
  | "dc civac"
  | "dc zva"
  | "ic ivau"
  | "ic ialluis"
  | "ic iallu"
  | "cbo.clean"
  | "cbo.flush"
  | "cbo.inval"
  | "cbo.zero"
  | "clflush"
  | "clflushopt"
  | "clwb";

export type TrapCause = "breakpoint" | "illegal" | "syscall" | "hypercall" | "monitorcall";

/** How a read-modify-write computes what it stores, from the old value and the operand. */
export type AtomicOp =
  | "swap"
  | "add"
  | "and"
  /** And with the inverse of the operand (AArch64 LDCLR). */
  | "clear"
  | "or"
  | "xor"
  | "maxs"
  | "mins"
  | "maxu"
  | "minu"
  /** Stores the operand if the old value is `expected`, else writes nothing. */
  | "cas";

/** Why a jump is made; what a return-address predictor or a shadow stack would see. */
export type JumpKind = "jump" | "call" | "return";

/** One thing an instruction does. */
export type Effect =
  | { readonly kind: "let"; readonly temp: string; readonly value: Expr }
  | { readonly kind: "set"; readonly reg: string; readonly value: Expr }
  /** Little-endian load, zero-extended, single-copy atomic where naturally aligned. */
  | ({
      readonly kind: "load";
      readonly into: string;
      readonly addr: Expr;
      readonly bytes: AccessBytes;
      /** Also takes a reservation (LDXR, LR). */
      readonly exclusive?: boolean;
      /** Ordered and seen like an instruction fetch, not like data (Zcmt's jump table). */
      readonly fetch?: boolean;
    } & AccessOrder)
  | ({
      readonly kind: "store";
      readonly addr: Expr;
      readonly value: Expr;
      readonly bytes: AccessBytes;
    } & AccessOrder)
  /** Stores if the reservation still holds; the temporary is 0 for done and 1 for not done. */
  | ({
      readonly kind: "storeExclusive";
      readonly into: string;
      readonly addr: Expr;
      readonly value: Expr;
      readonly bytes: AccessBytes;
    } & AccessOrder)
  /** One indivisible read-modify-write; the temporary receives the old value. */
  | ({
      readonly kind: "atomic";
      readonly fn: AtomicOp;
      readonly into: string;
      readonly addr: Expr;
      readonly bytes: AccessBytes;
      readonly operand: Expr;
      readonly expected?: Expr;
    } & AccessOrder)
  | {
      readonly kind: "jump";
      readonly target: Expr;
      readonly as: JumpKind;
      readonly when?: Expr;
    }
  | {
      readonly kind: "trap";
      readonly cause: TrapCause;
      /** Immediate of the instruction (BRK #imm), 0 where it has none. */
      readonly code: bigint;
      readonly when?: Expr;
    }
  | { readonly kind: "barrier"; readonly barrier: Barrier }
  | { readonly kind: "cache"; readonly fn: CacheOp; readonly addr?: Expr }
  /** No effect on registers or memory: `nop` itself has an empty list, this has a name to show. */
  | { readonly kind: "hint"; readonly name: string };

/** `value` modulo 2^bits, as a signed number. */
const signed = (bits: number, value: bigint): bigint => BigInt.asIntN(bits, value);

const arithmetic: Readonly<Record<BinaryOp, (bits: number, a: bigint, b: bigint) => bigint>> = {
  add: (_, a, b) => a + b,
  sub: (_, a, b) => a - b,
  mul: (_, a, b) => a * b,
  mulhs: (bits, a, b) => (signed(bits, a) * signed(bits, b)) >> BigInt(bits),
  mulhu: (bits, a, b) => (a * b) >> BigInt(bits),
  mulhsu: (bits, a, b) => (signed(bits, a) * b) >> BigInt(bits),
  divs: (bits, a, b) => signed(bits, a) / signed(bits, b),
  divu: (_, a, b) => a / b,
  rems: (bits, a, b) => signed(bits, a) % signed(bits, b),
  remu: (_, a, b) => a % b,
  and: (_, a, b) => a & b,
  or: (_, a, b) => a | b,
  xor: (_, a, b) => a ^ b,
  shl: (bits, a, b) => (b >= BigInt(bits) ? 0n : a << b),
  shr: (bits, a, b) => (b >= BigInt(bits) ? 0n : a >> b),
  sar: (bits, a, b) => signed(bits, a) >> (b >= BigInt(bits) ? BigInt(bits) : b),
  ror: (bits, a, b) => {
    const by = b % BigInt(bits);
    return (a >> by) | (a << (BigInt(bits) - by));
  },
  eq: (_, a, b) => (a === b ? 1n : 0n),
  ltu: (_, a, b) => (a < b ? 1n : 0n),
  lts: (bits, a, b) => (signed(bits, a) < signed(bits, b) ? 1n : 0n),
};

const digits = (bits: number, a: bigint): string => a.toString(2).padStart(bits, "0");

const unaryArithmetic: Readonly<Record<UnaryOp, (bits: number, a: bigint) => bigint>> = {
  not: (_, a) => ~a,
  clz: (bits, a) => BigInt(a === 0n ? bits : bits - a.toString(2).length),
  rbit: (bits, a) => BigInt(`0b${Array.from(digits(bits, a)).toReversed().join("")}`),
  rev: (bits, a) => BigInt(`0b${(digits(bits, a).match(/.{8}/g) ?? []).toReversed().join("")}`),
  parity: (bits, a) => BigInt(1 - (digits(bits, a).replaceAll("0", "").length % 2)),
};

/** The result of a binary operator; a divisor of 0 throws (semantics must test for it first). */
export function applyBinary(fn: BinaryOp, bits: number, a: bigint, b: bigint): bigint {
  const result = arithmetic[fn](bits, BigInt.asUintN(bits, a), BigInt.asUintN(bits, b));
  return BigInt.asUintN(bits, result);
}

export function applyUnary(fn: UnaryOp, bits: number, a: bigint): bigint {
  return BigInt.asUintN(bits, unaryArithmetic[fn](bits, BigInt.asUintN(bits, a)));
}

/** The value that a read-modify-write stores; `undefined` where a comparison failed: nothing. */
export function applyAtomic(
  fn: AtomicOp,
  bits: number,
  old: bigint,
  operand: bigint,
  expected: bigint | undefined,
): bigint | undefined {
  const less = (kind: "lts" | "ltu"): boolean => applyBinary(kind, bits, old, operand) === 1n;
  const value = {
    swap: () => operand,
    add: () => old + operand,
    and: () => old & operand,
    clear: () => old & ~operand,
    or: () => old | operand,
    xor: () => old ^ operand,
    maxs: () => (less("lts") ? operand : old),
    mins: () => (less("lts") ? old : operand),
    maxu: () => (less("ltu") ? operand : old),
    minu: () => (less("ltu") ? old : operand),
    cas: () => (old === BigInt.asUintN(bits, expected ?? 0n) ? operand : undefined),
  }[fn]();
  return value === undefined ? undefined : BigInt.asUintN(bits, value);
}

export const constant = (value: bigint | number): Expr => ({ op: "const", value: BigInt(value) });
export const reg = (name: string): Expr => ({ op: "reg", name });
export const temp = (name: string): Expr => ({ op: "temp", name });
export const pc: Expr = { op: "pc" };

/** A binary expression; two constants are computed at once (not divisions: they may not be run). */
export function binary(fn: BinaryOp, bits: number, a: Expr, b: Expr): Expr {
  if (a.op === "const" && b.op === "const" && !/^(div|rem)/.test(fn)) {
    return constant(applyBinary(fn, bits, a.value, b.value));
  }
  return { op: "binary", fn, bits, a, b };
}

export const unary = (fn: UnaryOp, bits: number, a: Expr): Expr => ({ op: "unary", fn, bits, a });

/** The low `from` bits of `a`; nothing is added where `a` has no more anyway. */
export function zext(from: number, a: Expr): Expr {
  if (a.op === "const") return constant(BigInt.asUintN(from, a.value));
  const narrow = (a.op === "binary" && a.bits <= from) || (a.op === "zext" && a.from <= from);
  return narrow ? a : { op: "zext", from, a };
}

export function sext(from: number, to: number, a: Expr): Expr {
  if (a.op === "const") return constant(BigInt.asUintN(to, BigInt.asIntN(from, a.value)));
  return { op: "sext", from, to, a };
}

export const ite = (when: Expr, yes: Expr, no: Expr): Expr => ({ op: "ite", when, yes, no });

/** Bit `index` of `a`. */
export const bit = (a: Expr, index: number): Expr =>
  zext(1, index === 0 ? a : binary("shr", index + 1, a, constant(index)));

/** 1 for 0, else 0, of a value of `bits` bits. */
export const isZero = (bits: number, a: Expr): Expr => binary("eq", bits, a, constant(0));

export const letTemp = (name: string, value: Expr): Effect => ({ kind: "let", temp: name, value });
export const set = (name: string, value: Expr): Effect => ({ kind: "set", reg: name, value });
