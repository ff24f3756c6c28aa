/**
 * What x86-64 instructions do, one function per opcode or group of opcodes that are alike. Source:
 * Intel SDM Vol. 2, the page of each instruction.
 */

import {
  binary,
  type Effect,
  type Expr,
  ite,
  type JumpKind,
  pc,
  reg,
  set,
  sext,
  type TrapCause,
  temp,
  zext,
} from "../effects.ts";
import { prefixBit } from "./decode-into.ts";
import * as alu from "./semantic-arithmetic.ts";
import { type Bits, nextAddress, type Operands, plus, pop, push } from "./semantic-operands.ts";

/** `undefined`: this use of the opcode is not known. */
export type Meaning = (o: Operands) => readonly Effect[] | undefined;

export const trap = (cause: TrapCause, code: bigint): Effect[] => [{ kind: "trap", cause, code }];
export const jumpTo = (target: Expr, as: JumpKind, when?: Expr): Effect => ({
  ...{ kind: "jump", target, as },
  ...(when === undefined ? {} : { when }),
});

/** Distance of a direct branch, from its own address. */
export const branchTarget = (o: Operands): Expr => {
  const distance = o.immediate(64);
  const value = distance.op === "const" ? distance.value : 0n;
  return plus(pc, BigInt.asIntN(64, value) + BigInt(o.decoded.length));
};

export const byteOr = (o: Operands): Bits => ((o.decoded.parts.opcode & 1) === 0 ? 8 : o.bits);

export const aluForm: Meaning = (o) => {
  const { opcode } = o.decoded.parts;
  const name = alu.aluName(opcode >> 3);
  const bits = byteOr(o);
  const form = opcode & 7;
  if (form < 2) return alu.aluToE(name, o, bits, o.readRegister(bits, o.g));
  if (form < 4) {
    const { before, value } = o.readE(bits);
    const write = name === "cmp" ? [] : o.writeRegister(bits, o.g, temp("r"));
    return [...before, ...alu.compute(name, bits, o.readRegister(bits, o.g), value), ...write];
  }
  const write = name === "cmp" ? [] : o.writeRegister(bits, 0, temp("r"));
  return [...alu.compute(name, bits, o.readRegister(bits, 0), o.immediate(bits)), ...write];
};

export const aluImmediate: Meaning = (o) => {
  const bits = byteOr(o);
  return alu.aluToE(alu.aluName(o.digit), o, bits, o.immediate(bits));
};

export const moveToE: Meaning = (o) => o.writeE(byteOr(o), o.readRegister(byteOr(o), o.g));
export const moveToG: Meaning = (o) => {
  const { before, value } = o.readE(byteOr(o));
  return [...before, ...o.writeRegister(byteOr(o), o.g, value)];
};
export const moveImmediate: Meaning = (o) =>
  o.digit === 0 ? o.writeE(byteOr(o), o.immediate(byteOr(o))) : undefined;

/** MOVZX, MOVSX, MOVSXD: `from` bits into a register. */
export const extendTo =
  (from: Bits, signed: boolean): Meaning =>
  (o) => {
    const { before, value } = o.readE(from);
    const wide = signed ? sext(from, o.bits, value) : zext(from, value);
    return [...before, ...o.writeRegister(o.bits, o.g, wide)];
  };

export const exchange: Meaning = (o) => {
  const bits = byteOr(o);
  const g = o.readRegister(bits, o.g);
  if (o.isMemory) {
    return [alu.locked("swap", o, bits, g), ...o.writeRegister(bits, o.g, temp("e"))];
  }
  return exchangeRegisters(o, bits, o.g, o.e);
};

/** Both sides are written to one register where they are halves of it: not known here. */
export const exchangeRegisters = (
  o: Operands,
  bits: Bits,
  one: number,
  other: number,
): Effect[] | undefined => {
  const isSame = bits === 8 && (one & 3) === (other & 3) && one !== other;
  if (isSame) return undefined;
  return [
    ...o.writeRegister(bits, one, o.readRegister(bits, other)),
    ...(one === other ? [] : o.writeRegister(bits, other, o.readRegister(bits, one))),
  ];
};

export const exchangeAdd: Meaning = (o) => {
  const bits = byteOr(o);
  const g = o.readRegister(bits, o.g);
  if (!o.isMemory) {
    if (o.e === o.g || bits === 8) return undefined;
    const e = o.readRegister(bits, o.e);
    const swapped = o.writeRegister(bits, o.g, e);
    return [...alu.compute("add", bits, e, g), ...swapped, ...o.writeE(bits, temp("r"))];
  }
  const access: Effect[] = o.isLocked ? [alu.locked("add", o, bits, g)] : o.readE(bits).before;
  const store = o.isLocked ? [] : o.writeE(bits, temp("r"));
  const sum = alu.compute("add", bits, temp("e"), g);
  return [...access, ...sum, ...store, ...o.writeRegister(bits, o.g, temp("e"))];
};

/** Locked or not, memory is read and written; only the locked form is one access. */
export const compareExchange: Meaning = (o) => {
  const bits = byteOr(o);
  if (!o.isMemory) return undefined;
  const a = o.readRegister(bits, 0);
  const g = o.readRegister(bits, o.g);
  const access: Effect[] = o.isLocked ? [alu.locked("cas", o, bits, g, a)] : o.readE(bits).before;
  const same = binary("eq", bits, a, temp("e"));
  const store = o.isLocked ? [] : o.writeE(bits, ite(same, g, temp("e")));
  const flags = alu.compute("cmp", bits, a, temp("e"));
  // With equality the accumulator is left alone, its upper half too.
  const loaded = o
    .writeRegister(bits, 0, temp("e"))
    .flatMap((effect) =>
      effect.kind === "set" ? [set("rax", ite(same, reg("rax"), effect.value))] : [],
    );
  return [...access, ...flags, ...store, ...loaded];
};

export const group5: Meaning = (o) => {
  const { digit } = o;
  if (digit < 2) return alu.increment(o, byteOr(o), digit === 0 ? "add" : "sub");
  if ((o.decoded.parts.opcode & 1) === 0) return undefined;
  const { before, value } = o.readE(64);
  if (digit === 2) return [...before, ...push(nextAddress(o)), jumpTo(value, "call")];
  if (digit === 4) return [...before, jumpTo(value, "jump")];
  return digit === 6 ? [...before, ...push(value)] : undefined;
};

export const group3: Meaning = (o) => {
  const bits = byteOr(o);
  if (o.isLocked) return undefined;
  if (o.digit === 0) {
    const { before, value } = o.readE(bits);
    return [...before, ...alu.test(bits, value, o.immediate(bits))];
  }
  if (o.digit === 2) return alu.invertE(o, bits);
  return o.digit === 3 ? alu.negateE(o, bits) : undefined;
};

const shiftNames = { 4: "shl", 5: "shr", 7: "sar" } as const;
const isShift = (digit: number): digit is 4 | 5 | 7 => digit === 4 || digit === 5 || digit === 7;

export const shiftGroup: Meaning = (o) => {
  const { opcode, immediateBytes } = o.decoded.parts;
  const immediate = o.immediate(8);
  const amount = immediateBytes === 1 && immediate.op === "const" ? Number(immediate.value) : 1;
  const byRegister = (opcode & 0xfe) === 0xd2;
  if (byRegister || !isShift(o.digit)) return undefined;
  return alu.shift(shiftNames[o.digit], o, byteOr(o), amount);
};

export const popRegister: Meaning = (o) => {
  const target = o.writeRegister(64, o.z, temp("t"));
  // POP RSP leaves what was popped.
  return [...pop().filter(({ kind }) => kind === "load" || o.z !== 4), ...target];
};

const fences: Readonly<Record<number, readonly Effect[]>> = {
  232: [{ kind: "barrier", barrier: { name: "lfence" } }],
  240: [{ kind: "barrier", barrier: { name: "mfence" } }],
  248: [{ kind: "barrier", barrier: { name: "sfence" } }],
};

export const group15: Meaning = (o) => {
  const { pp, modrm } = o.decoded.parts;
  if (!o.isMemory) return pp === 0 ? fences[modrm] : undefined;
  const addr = o.address();
  if (o.digit === 7 && pp === 0) return [{ kind: "cache", fn: "clflush", addr }];
  if (o.digit === 7 && pp === 1) return [{ kind: "cache", fn: "clflushopt", addr }];
  return o.digit === 6 && pp === 1 ? [{ kind: "cache", fn: "clwb", addr }] : undefined;
};

export const hint = (name: string): Effect[] => [{ kind: "hint", name }];
export const halves = (name: string, value: Expr): Effect => set(name, zext(32, value));

export const cpuid: Meaning = () => [
  { kind: "barrier", barrier: { name: "serialize", by: "cpuid" } },
  ...["rax", "rbx", "rcx", "rdx"].map((name) => set(name, reg(`cpuid.e${name.slice(1)}`))),
];

/** To the same privilege: RIP, CS, RFLAGS, RSP and SS come off the stack. */
export const interruptReturn: Meaning = (o) => {
  if (o.bits !== 64) return undefined;
  const slot = (into: string, index: number): Effect => ({
    ...{ kind: "load", into, addr: plus(reg("rsp"), 8 * index), bytes: 8 },
  });
  return [
    ...[slot("t", 0), slot("flags", 2), slot("stack", 3)],
    ...alu.unpackFlags(temp("flags")),
    set("rsp", temp("stack")),
    { kind: "barrier", barrier: { name: "serialize", by: "iret" } },
    jumpTo(temp("t"), "return"),
  ];
};

export const isRep = (o: Operands): boolean => (o.decoded.parts.prefixes & prefixBit.rep) !== 0;
