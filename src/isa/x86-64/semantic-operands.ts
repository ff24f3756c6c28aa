/**
 * Operands of x86-64 instructions as expressions and effects: registers and their parts, memory,
 * immediates (Intel SDM Vol. 1, 3.4 and 3.7; Vol. 2A, chapter 2).
 */

import { ensure } from "../../base/assert.ts";
import {
  type AccessBytes,
  binary,
  constant,
  type Effect,
  type Expr,
  pc,
  reg,
  set,
  temp,
  zext,
} from "../effects.ts";
import type { RegisterInfo } from "../isa.ts";
import { type Decoded, isRipRelative } from "./decode.ts";
import { prefixBit } from "./decode-into.ts";
import { gpr } from "./registers.ts";

export type Bits = 8 | 16 | 32 | 64;

export const flagNames = ["cf", "pf", "af", "zf", "sf", "df", "of"] as const;
export type FlagName = (typeof flagNames)[number];

/**
 * What effects name: the general registers by their 64-bit names, flags, the segment bases, the
 * time stamp counter, and what CPUID answers.
 */
export const registers: readonly RegisterInfo[] = [
  ...Array.from({ length: 16 }, (_, n) => ({
    ...{ name: gpr(64, n).name, bits: 64, role: "general" as const },
  })),
  ...flagNames.map((name) => ({ name, bits: 1, role: "flag" as const })),
  ...["fsbase", "gsbase", "tsc"].map((name) => ({ name, bits: 64, role: "system" as const })),
  ...["cpuid.eax", "cpuid.ebx", "cpuid.ecx", "cpuid.edx"].map((name) => ({
    ...{ name, bits: 32, role: "system" as const },
  })),
];

const number64 = (value: number | bigint): Expr => constant(BigInt.asUintN(64, BigInt(value)));

/** `a` plus a constant, of 64 bits. */
export const plus = (a: Expr, value: number | bigint): Expr =>
  BigInt(value) === 0n ? a : binary("add", 64, a, number64(value));

/** One instruction, and what its parts mean. */
export class Operands {
  readonly decoded: Decoded;
  /** Of the operands that are not bytes: by REX.W and 66. */
  readonly bits: Bits;

  constructor(decoded: Decoded) {
    this.decoded = decoded;
    const { rex, prefixes } = decoded.parts;
    const is16 = (prefixes & prefixBit.operandSize) !== 0;
    this.bits = (rex & 8) !== 0 ? 64 : is16 ? 16 : 32;
  }

  get isMemory(): boolean {
    const { modrm } = this.decoded.parts;
    return modrm >= 0 && modrm < 0xc0;
  }

  get isLocked(): boolean {
    return (this.decoded.parts.prefixes & prefixBit.lock) !== 0;
  }

  /** ModRM.reg without REX: the digit of an opcode group. */
  get digit(): number {
    return (this.decoded.parts.modrm >> 3) & 7;
  }

  /** Number of the register in ModRM.reg. */
  get g(): number {
    return this.digit | ((this.decoded.parts.rex & 4) << 1);
  }

  /** Number of the register in ModRM.rm, where it is not memory. */
  get e(): number {
    return (this.decoded.parts.modrm & 7) | ((this.decoded.parts.rex & 1) << 3);
  }

  /** Number of the register in the low bits of the opcode. */
  get z(): number {
    return (this.decoded.parts.opcode & 7) | ((this.decoded.parts.rex & 1) << 3);
  }

  /** The immediate, its sign extended to 64 bits, modulo 2^bits. */
  immediate(bits: Bits): Expr {
    const { immediateOffset, immediateBytes } = this.decoded.parts;
    return constant(BigInt.asUintN(bits, this.#signed(immediateOffset, immediateBytes)));
  }

  #signed(offset: number, sizeBytes: number): bigint {
    const { bytes } = this.decoded;
    let value = 0n;
    for (let i = sizeBytes - 1; i >= 0; i--) {
      value = (value << 8n) | BigInt(ensure(bytes[offset + i], "a byte of the instruction"));
    }
    return BigInt.asIntN(8 * sizeBytes, value);
  }

  /** Without REX, byte registers 4 to 7 are bits 15 to 8 of registers 0 to 3. */
  #isHigh(bits: Bits, number: number): boolean {
    const hasRex = (this.decoded.parts.prefixes & prefixBit.rex) !== 0;
    return bits === 8 && !hasRex && number >= 4 && number < 8;
  }

  /** A general register or its part. */
  readRegister(bits: Bits, number: number): Expr {
    if (this.#isHigh(bits, number)) {
      const whole = reg(gpr(64, number - 4).name);
      return zext(8, binary("shr", 64, whole, constant(8)));
    }
    const whole = reg(gpr(64, number).name);
    return bits === 64 ? whole : zext(bits, whole);
  }

  /** Writing 32 bits clears the upper half; 8 and 16 bits leave the rest as it was. */
  writeRegister(bits: Bits, number: number, value: Expr): Effect[] {
    const high = this.#isHigh(bits, number);
    const { name } = gpr(64, high ? number - 4 : number);
    if (bits === 64) return [set(name, value)];
    if (bits === 32) return [set(name, zext(32, value))];
    const mask = ((1n << BigInt(bits)) - 1n) << (high ? 8n : 0n);
    const placed = high ? binary("shl", 64, zext(8, value), constant(8)) : zext(bits, value);
    const kept = binary("and", 64, reg(name), number64(~mask));
    return [set(name, binary("or", 64, kept, placed))];
  }

  /** The address of the memory operand, with the segment's base. */
  address(): Expr {
    const { parts } = this.decoded;
    const { prefixes } = parts;
    const segment =
      (prefixes & prefixBit.fs) !== 0 ? "fsbase" : (prefixes & prefixBit.gs) !== 0 ? "gsbase" : "";
    const offset = this.offset();
    return segment === "" ? offset : binary("add", 64, reg(segment), offset);
  }

  /** The same without the segment: what LEA computes. */
  offset(): Expr {
    const { parts, length } = this.decoded;
    const { modrm, sib, rex, displacementOffset, displacementBytes } = parts;
    const displacement = this.#signed(displacementOffset, displacementBytes);
    if (isRipRelative(parts)) return plus(pc, displacement + BigInt(length));
    if (sib < 0) return plus(reg(gpr(64, this.e).name), displacement);
    const low = sib & 7;
    const hasBase = low !== 5 || modrm >= 0x40;
    const number = ((sib >> 3) & 7) | ((rex & 2) << 2);
    const index = number === 4 ? undefined : reg(gpr(64, number).name);
    const shift = sib >> 6;
    const scaled =
      index === undefined || shift === 0 ? index : binary("shl", 64, index, constant(shift));
    const base = hasBase ? reg(gpr(64, low | ((rex & 1) << 3)).name) : undefined;
    if (base === undefined)
      return scaled === undefined ? number64(displacement) : plus(scaled, displacement);
    return plus(scaled === undefined ? base : binary("add", 64, base, scaled), displacement);
  }

  /** The operand in ModRM.rm; memory is loaded into the temporary `name`. */
  readE(bits: Bits, name = "e"): { readonly before: Effect[]; readonly value: Expr } {
    if (!this.isMemory) return { before: [], value: this.readRegister(bits, this.e) };
    const addr = this.address();
    return {
      before: [{ kind: "load", into: name, addr, bytes: toBytes(bits) }],
      value: temp(name),
    };
  }

  writeE(bits: Bits, value: Expr): Effect[] {
    if (!this.isMemory) return this.writeRegister(bits, this.e, value);
    return [{ kind: "store", addr: this.address(), value, bytes: toBytes(bits) }];
  }
}

export const toBytes = (bits: Bits): AccessBytes =>
  (({ 8: 1, 16: 2, 32: 4, 64: 8 }) as const)[bits];

/** The address of the next instruction. */
export const nextAddress = (o: Operands): Expr => plus(pc, o.decoded.length);

/** Pushes 8 bytes. */
export const push = (value: Expr): Effect[] => {
  const top = plus(reg("rsp"), -8);
  return [{ kind: "store", addr: top, value, bytes: 8 }, set("rsp", top)];
};

/** Loads the top of the stack into the temporary `t` and takes `more` bytes beside it off. */
export const pop = (more = 0): Effect[] => [
  { kind: "load", into: "t", addr: reg("rsp"), bytes: 8 },
  set("rsp", plus(reg("rsp"), 8 + more)),
];
