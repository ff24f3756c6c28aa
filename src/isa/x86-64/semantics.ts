/**
 * What the x86-64 instructions do that sites, trampolines and the patching of both are made of, as
 * a user's program sees it; and x86-64 in the interface that all ISAs share.
 *
 * Instructions that are not here decode elsewhere (`decode.ts`) and are `undefined` here. So are
 * those whose meaning depends on the maker: near branches with 66 (SDM Vol. 2A, 2.2.1.2; AMD APM
 * Vol. 3, 1.2.3), and addresses of 32 bits.
 *
 * Source: Intel SDM Vol. 2, the page of each instruction.
 */

import { ensure } from "../../base/assert.ts";
import { codeAddr } from "../../base/brand.ts";
import type { Effect } from "../effects.ts";
import type { Instruction, Isa } from "../isa.ts";
import { type Decoded, decode } from "./decode.ts";
import { prefixBit } from "./decode-into.ts";
import { format } from "./format.ts";
import type { Meaning } from "./semantic-meanings.ts";
import { Operands, registers } from "./semantic-operands.ts";
import { afterEscape, oneByte } from "./semantic-table.ts";

/** An x86-64 instruction whose semantics are known. */
export interface X86Instruction extends Instruction {
  readonly operands: { readonly decoded: Decoded };
}

const maps = [oneByte, afterEscape].map((rows) => {
  const meanings = new Map<number, Meaning>();
  for (const [from, to, meaning] of rows) {
    for (let opcode = from; opcode <= to; opcode++) meanings.set(opcode, meaning);
  }
  return meanings;
});

/** Only these may be locked here, and only with memory as their destination. */
const isLockable = (o: Operands, effects: readonly Effect[]): boolean =>
  !o.isLocked || effects.some((effect) => effect.kind === "atomic");

/** What the instruction does; `undefined` where that is not known here. */
export const effectsOf = (decoded: Decoded): readonly Effect[] | undefined => {
  const { map, opcode, prefixes } = decoded.parts;
  if ((prefixes & prefixBit.addressSize) !== 0) return undefined;
  const o = new Operands(decoded);
  const effects = maps[map]?.get(opcode)?.(o);
  if (effects === undefined || !isLockable(o, effects)) return undefined;
  const jumps = effects.some((effect) => effect.kind === "jump");
  const stack = effects.some((effect) => effect.kind === "set" && effect.reg === "rsp");
  const shortened = (prefixes & prefixBit.operandSize) !== 0 && (jumps || stack);
  return shortened ? undefined : effects;
};

export const x86_64: Isa<X86Instruction> = {
  name: "x86-64",
  wordBytes: 8,
  instructionAlign: 1,
  registers,
  stackPointer: "rsp",
  decode: (bytes, offset) => {
    const decoded = decode(bytes, offset, codeAddr(0n));
    if (decoded === undefined || effectsOf(decoded) === undefined) return undefined;
    const [, mnemonic = ""] = /^(?:(?:lock|repn?e?|bnd|data16) )*(\S+)/.exec(format(decoded)) ?? [];
    return { mnemonic, size: decoded.length, operands: { decoded } };
  },
  effects: (insn) => ensure(effectsOf(insn.operands.decoded), "decoded, so its effects are known"),
  format: (insn, at) => {
    const { bytes } = insn.operands.decoded;
    return format(ensure(decode(bytes, 0, codeAddr(at)), "decoded before"));
  },
};
