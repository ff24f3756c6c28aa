// table
/**
 * Opcodes of x86-64 and what they do: from, to, meaning. The tables of Intel SDM Vol. 2D, A-2 (one
 * byte) and A-3 (two bytes, after 0F).
 */

import { binary, constant, ite, reg, set, sext, temp, unary, zext } from "../effects.ts";
import * as alu from "./semantic-arithmetic.ts";
import * as meaning from "./semantic-meanings.ts";
import { type Bits, nextAddress, plus, pop, push } from "./semantic-operands.ts";

export type SemanticRow = readonly [from: number, to: number, meaning: meaning.Meaning];

/** One-byte opcodes, and those after 0F (SDM Vol. 2D, tables ). */
export const oneByte: readonly SemanticRow[] = [
  ...Array.from({ length: 8 }, (_, n): SemanticRow => [8 * n, 8 * n + 5, meaning.aluForm]),
  [0x50, 0x57, (o) => push(o.readRegister(64, o.z))],
  [0x58, 0x5f, meaning.popRegister],
  [0x63, 0x63, meaning.extendTo(32, true)],
  [0x68, 0x68, (o) => push(o.immediate(64))],
  [0x6a, 0x6a, (o) => push(o.immediate(64))],
  [
    0x70,
    0x7f,
    (o) => [meaning.jumpTo(meaning.branchTarget(o), "jump", alu.condition(o.decoded.parts.opcode))],
  ],
  [0x80, 0x81, meaning.aluImmediate],
  [0x83, 0x83, meaning.aluImmediate],
  [
    0x84,
    0x85,
    (o) => {
      const { before, value } = o.readE(meaning.byteOr(o));
      return [
        ...before,
        ...alu.test(meaning.byteOr(o), value, o.readRegister(meaning.byteOr(o), o.g)),
      ];
    },
  ],
  [0x86, 0x87, meaning.exchange],
  [0x88, 0x89, meaning.moveToE],
  [0x8a, 0x8b, meaning.moveToG],
  [0x8d, 0x8d, (o) => o.writeRegister(o.bits, o.g, zext(o.bits, o.offset()))],
  [
    0x90,
    0x90,
    (o) => {
      if (o.z !== 0) return meaning.exchangeRegisters(o, o.bits, 0, o.z);
      return meaning.isRep(o) ? meaning.hint("pause") : [];
    },
  ],
  [0x91, 0x97, (o) => meaning.exchangeRegisters(o, o.bits, 0, o.z)],
  [
    0x98,
    0x98,
    (o) => {
      const half: Bits = o.bits === 64 ? 32 : o.bits === 32 ? 16 : 8;
      return o.writeRegister(o.bits, 0, sext(half, o.bits, o.readRegister(half, 0)));
    },
  ],
  [
    0x99,
    0x99,
    (o) => {
      const sign = binary("sar", o.bits, o.readRegister(o.bits, 0), constant(o.bits - 1));
      return o.writeRegister(o.bits, 2, sign);
    },
  ],
  [0x9c, 0x9c, () => push(alu.packFlags())],
  [0x9d, 0x9d, () => [...pop(), ...alu.unpackFlags(temp("t"))]],
  [
    0xa8,
    0xa9,
    (o) =>
      alu.test(
        meaning.byteOr(o),
        o.readRegister(meaning.byteOr(o), 0),
        o.immediate(meaning.byteOr(o)),
      ),
  ],
  [0xb0, 0xb7, (o) => o.writeRegister(8, o.z, o.immediate(8))],
  [0xb8, 0xbf, (o) => o.writeRegister(o.bits, o.z, o.immediate(o.bits))],
  [0xc0, 0xc1, meaning.shiftGroup],
  [
    0xc2,
    0xc2,
    (o) => {
      const more = zext(16, o.immediate(64));
      return [
        ...pop(more.op === "const" ? Number(more.value) : 0),
        meaning.jumpTo(temp("t"), "return"),
      ];
    },
  ],
  [0xc3, 0xc3, () => [...pop(), meaning.jumpTo(temp("t"), "return")]],
  [0xc6, 0xc7, meaning.moveImmediate],
  [
    0xc9,
    0xc9,
    () => [
      { kind: "load", into: "t", addr: reg("rbp"), bytes: 8 },
      ...[set("rbp", temp("t")), set("rsp", plus(reg("rbp"), 8))],
    ],
  ],
  [0xcc, 0xcc, () => meaning.trap("breakpoint", 0n)],
  [0xcf, 0xcf, meaning.interruptReturn],
  [0xd0, 0xd1, meaning.shiftGroup],
  [0xe8, 0xe8, (o) => [...push(nextAddress(o)), meaning.jumpTo(meaning.branchTarget(o), "call")]],
  [0xe9, 0xe9, (o) => [meaning.jumpTo(meaning.branchTarget(o), "jump")]],
  [0xeb, 0xeb, (o) => [meaning.jumpTo(meaning.branchTarget(o), "jump")]],
  [0xf4, 0xf4, () => meaning.trap("illegal", 0n)],
  [0xf5, 0xf5, () => [set("cf", binary("eq", 1, reg("cf"), constant(0)))]],
  [0xf6, 0xf7, meaning.group3],
  [0xf8, 0xf9, (o) => [set("cf", constant(o.decoded.parts.opcode & 1))]],
  [0xfc, 0xfd, (o) => [set("df", constant(o.decoded.parts.opcode & 1))]],
  [0xfe, 0xff, meaning.group5],
];

export const afterEscape: readonly SemanticRow[] = [
  [
    0x01,
    0x01,
    (o) =>
      o.decoded.parts.modrm === 0xe8 && o.decoded.parts.pp === 0
        ? [{ kind: "barrier", barrier: { name: "serialize", by: "serialize" } }]
        : undefined,
  ],
  [0x05, 0x05, () => meaning.trap("syscall", 0n)],
  [0x0b, 0x0b, () => meaning.trap("illegal", 0n)],
  [0x0d, 0x0d, (o) => (o.isMemory ? meaning.hint("prefetchw") : undefined)],
  [0x18, 0x18, (o) => (o.isMemory ? meaning.hint("prefetch") : undefined)],
  [
    0x1e,
    0x1e,
    (o) =>
      o.decoded.parts.modrm === 0xfa && meaning.isRep(o) ? meaning.hint("endbr64") : undefined,
  ],
  [0x1f, 0x1f, (o) => (o.digit === 0 ? [] : undefined)],
  [
    0x31,
    0x31,
    () => [
      meaning.halves("rax", reg("tsc")),
      meaning.halves("rdx", binary("shr", 64, reg("tsc"), constant(32))),
    ],
  ],
  [
    0x40,
    0x4f,
    (o) => {
      const { before, value } = o.readE(o.bits);
      const when = alu.condition(o.decoded.parts.opcode);
      const old = o.readRegister(o.bits, o.g);
      return [...before, ...o.writeRegister(o.bits, o.g, ite(when, value, old))];
    },
  ],
  [
    0x80,
    0x8f,
    (o) => [meaning.jumpTo(meaning.branchTarget(o), "jump", alu.condition(o.decoded.parts.opcode))],
  ],
  [0x90, 0x9f, (o) => o.writeE(8, alu.condition(o.decoded.parts.opcode))],
  [0xa2, 0xa2, meaning.cpuid],
  [0xae, 0xae, meaning.group15],
  [0xb0, 0xb1, meaning.compareExchange],
  [0xb6, 0xb6, meaning.extendTo(8, false)],
  [0xb7, 0xb7, meaning.extendTo(16, false)],
  [0xbe, 0xbe, meaning.extendTo(8, true)],
  [0xbf, 0xbf, meaning.extendTo(16, true)],
  [0xc0, 0xc1, meaning.exchangeAdd],
  [
    0xc8,
    0xcf,
    (o) => {
      if (o.bits < 32) return undefined;
      return o.writeRegister(o.bits, o.z, unary("rev", o.bits, o.readRegister(o.bits, o.z)));
    },
  ],
];
