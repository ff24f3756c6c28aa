/**
 * The semantics of x86-64 against this machine and against qemu-user: every opcode that has them,
 * with random prefixes, operands and registers.
 */
import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { ensure } from "../../src/base/assert.ts";
import { hexBytes } from "../../src/base/brand.ts";
import type { Effect } from "../../src/isa/effects.ts";
import { afterEscape, oneByte } from "../../src/isa/x86-64/semantic-table.ts";
import { type X86Instruction, x86_64 } from "../../src/isa/x86-64/semantics.ts";
import { makeRandom } from "./random.ts";
import type { Trial } from "./semantics/driver.ts";
import { compareWithMachine, distanceToPad } from "./semantics/harness.ts";
import { registersIn, registersOf } from "./semantics/reference.ts";
import { x86Driver } from "./semantics/x86-64-driver.ts";

const perOpcode = 6;
const random = makeRandom();
const hasQemu = spawnSync("qemu-x86_64", ["--version"]).status === 0;

/**
 * Left out: traps and returns from them, values that no one can foretell, what old processors lack,
 * and POPFQ, whose random flags would switch single steps on.
 */
const isRun = (insn: X86Instruction): boolean => {
  const effects = x86_64.effects(insn);
  const special = effects.some(
    ({ kind, ...effect }) =>
      kind === "trap" || ("barrier" in effect && effect.barrier.name === "serialize"),
  );
  const unknown = [...registersOf(effects)].some((name) => /^(cpuid|tsc)/.test(name));
  return !special && !unknown && insn.mnemonic !== "popfq";
};

const decodeAll = (bytes: readonly number[]): X86Instruction =>
  ensure(x86_64.decode(Uint8Array.from(bytes), 0), hexBytes(Uint8Array.from(bytes)));

/** Random prefixes and operands around an opcode; `undefined` where they make no instruction. */
const randomInstruction = (opcode: readonly number[]): X86Instruction | undefined => {
  const prefix: number[] = [];
  if (random.below(5) === 0) prefix.push(0x66);
  if (random.below(12) === 0) prefix.push(0xf0);
  if (random.below(12) === 0) prefix.push(0xf3);
  if (random.below(3) > 0) prefix.push(0x40 | random.below(16));
  const rest = Array.from({ length: 12 }, () => random.below(256));
  return x86_64.decode(Uint8Array.from([...prefix, ...opcode, ...rest]), 0);
};

/** The instruction with its branch distance set to one of the pads. */
const aimed = (insn: X86Instruction): X86Instruction => {
  const { bytes, parts, branch } = insn.operands.decoded;
  if (branch === undefined) return insn;
  const copy = bytes.slice();
  const distance = distanceToPad(12, insn.size, random) - insn.size;
  const view = new DataView(copy.buffer);
  if (branch.sizeBytes === 1) view.setInt8(parts.immediateOffset, distance);
  else view.setInt32(parts.immediateOffset, distance, true);
  return decodeAll([...copy]);
};

/**
 * Logic and shifts leave AF open (the effects clear it), shifts by more than one OF too, and short
 * registers that are shifted out of altogether CF.
 */
const openFlags = (insn: X86Instruction): readonly string[] => {
  const { map, opcode } = insn.operands.decoded.parts;
  const clearsAf = x86_64
    .effects(insn)
    .some((effect) => effect.kind === "set" && effect.reg === "af" && effect.value.op === "const");
  const isShift = map === 0 && (opcode === 0xc0 || opcode === 0xc1);
  return [...(clearsAf ? ["af"] : []), ...(isShift ? ["of", "cf"] : [])];
};

/** An indirect jump through memory, or a return, after what puts a pad's address there. */
const withTarget = (insn: X86Instruction): Trial<X86Instruction> | undefined => {
  const { bytes, parts } = insn.operands.decoded;
  if (insn.mnemonic === "ret") return { insns: [decodeAll([0x50]), insn], targets: ["rax"] };
  const isIndirect = /^(jmp|call)$/.test(insn.mnemonic) && parts.opcode === 0xff;
  if (!isIndirect || parts.modrm >= 0xc0) return undefined;
  // mov [the same], r15: the opcode and ModRM.reg change, and REX.R.
  const rex = 0x4c | (parts.rex & 3);
  const at = bytes.lastIndexOf(0xff, parts.displacementOffset - (parts.sib < 0 ? 2 : 3));
  const legacy = [...bytes.subarray(0, at)].filter((byte) => (byte & 0xf0) !== 0x40);
  const tail = [...bytes.subarray(at + 2)];
  const modrm = (parts.modrm & 0xc7) | 0x38;
  const move = x86_64.decode(Uint8Array.from([...legacy, rex, 0x89, modrm, ...tail]), 0);
  return move === undefined ? undefined : { insns: [move, insn], targets: ["r15"] };
};

const usesR15 = (insn: X86Instruction): boolean => x86_64.format(insn, 0n).includes("r15");

/** Absolute addresses, and those beside the instruction, are not mapped or not writable. */
const isFixedAccess = (effect: Effect): boolean =>
  "addr" in effect && effect.addr !== undefined && registersIn(effect.addr).size === 0;

const makeTrials = (): Trial<X86Instruction>[] => {
  const opcodes: (readonly number[])[] = [
    ...oneByte.flatMap(([from, to]): number[][] => [[from], [to]]),
    ...afterEscape.flatMap(([from, to]): number[][] => [
      [0x0f, from],
      [0x0f, to],
    ]),
    ...Array.from({ length: 16 }, (_, n) => [
      [0x70 + n],
      [0x0f, 0x80 + n],
      [0x0f, 0x90 + n],
    ]).flat(),
    ...Array.from({ length: 16 }, (_, n) => [0x0f, 0x40 + n]),
    ...[0x80, 0x81, 0x83, 0xf6, 0xf7, 0xff, 0xff, 0xff, 0xc1, 0xd1].map((opcode) => [opcode]),
  ];
  return opcodes.flatMap((opcode) => {
    const trials: Trial<X86Instruction>[] = [];
    for (let tries = 0; tries < 4000 && trials.length < perOpcode; tries++) {
      const insn = randomInstruction(opcode);
      if (insn === undefined || !isRun(insn)) continue;
      const text = x86_64.format(insn, 0n);
      // The stack pointer can't be the stack and the operand's address both.
      const isTwofold = /^(bnd |rep |repne )*(push|call|jmp) .*rsp/.test(text);
      // qemu 7.2 takes more than 32767 bytes for a negative number; processors do not.
      const isLongReturn = /ret 0x[89a-f]...$/.test(text);
      if (isTwofold || isLongReturn || x86_64.effects(insn).some(isFixedAccess)) continue;
      const sequence = usesR15(insn) ? undefined : withTarget(insn);
      const viaMemory = /(^| )((jmp|call) .*\[|ret)/.test(x86_64.format(insn, 0n));
      if (sequence === undefined && viaMemory) continue;
      trials.push(sequence ?? { insns: [aimed(insn)], open: openFlags(insn) });
    }
    return trials;
  });
};

const machines = [
  { name: "this machine", emulator: [], runs: process.arch === "x64" },
  { name: "qemu-x86_64", emulator: ["qemu-x86_64", "-cpu", "max"], runs: hasQemu },
];

describe.each(machines)(`$name, seed ${random.seed}`, ({ emulator, runs }) => {
  it.skipIf(!runs)("does what the effects say", () => {
    const trials = makeTrials();
    expect(compareWithMachine(x86Driver(emulator), trials, random)).toEqual([]);
    expect(trials.length).toBeGreaterThan(500);
  });
});
