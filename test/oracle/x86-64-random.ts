/**
 * Random instructions for the x86-64 oracles: for each form of the table, operands that it takes,
 * with the corners of every field (rsp and r12 as base, rbp and r13 without displacement, limits of
 * immediates) drawn more often than chance would.
 */
import { assert, ensure } from "../../src/base/assert.ts";
import { codeAddr } from "../../src/base/brand.ts";
import { Assembler } from "../../src/isa/x86-64/assembler.ts";
import { type Form, isMnemonic, type OperandCode } from "../../src/isa/x86-64/forms.ts";
import {
  type Mem,
  type MemMaker,
  type MemParts,
  mem,
  mem8,
  mem16,
  mem32,
  mem64,
  mem128,
  mem256,
  type Operand,
} from "../../src/isa/x86-64/operands.ts";
import { type GprSize, gpr, r8, xmm, ymm } from "../../src/isa/x86-64/registers.ts";

/** A repeatable source of choices; tests print the seed when they fail. */
export type Choices = {
  /** 0 to `count - 1`. */
  readonly below: (count: number) => number;
  readonly pick: <T>(from: readonly T[]) => T;
};

/** SplitMix32 (Steele et al., "Fast splittable pseudorandom number generators", 2014). */
export const choices = (seed: number): Choices => {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  };
  const below = (count: number): number => Math.floor((next() / 2 ** 32) * count);
  return { below, pick: (from) => ensure(from[below(from.length)], "a choice from something") };
};

/** The seed of this run: from PATCHBAY_SEED to repeat one, else from the clock. */
export const runSeed = (): number => Number(process.env["PATCHBAY_SEED"] ?? Date.now() % 2 ** 31);

const makers: Readonly<Record<number, MemMaker>> = {
  0: mem,
  8: mem8,
  16: mem16,
  32: mem32,
  64: mem64,
  128: mem128,
  256: mem256,
};

const origin = 0x401000n;

const randomMemory = (c: Choices, bits: number): Mem => {
  const make = ensure(makers[bits], `memory of ${bits} bits`);
  if (c.below(8) === 0) return make(codeAddr(origin + BigInt(c.below(2 ** 24)) - 0x80_0000n));
  const disp = c.pick([0, 0, 1, -1, 127, 128, -128, -129, c.below(2 ** 31), -c.below(2 ** 31) - 1]);
  const index = c.below(2) === 0 ? gpr(64, c.below(16)) : undefined;
  const parts: MemParts = {
    disp,
    ...(c.below(8) === 0 ? {} : { base: gpr(64, c.below(16)) }),
    ...(index === undefined || index.number === 4 ? {} : { index, scale: c.pick([1, 2, 4, 8]) }),
    ...(c.below(8) === 0 ? { seg: c.pick(["fs", "gs"] as const) } : {}),
  };
  return make(parts);
};

const randomBits = (c: Choices, bits: number): bigint => {
  let value = 0n;
  for (let i = 0; i < bits; i += 16) value = (value << 16n) | BigInt(c.below(2 ** 16));
  return BigInt.asIntN(bits, value);
};

const randomImmediate = (c: Choices, bits: number): bigint => {
  const n = BigInt(bits);
  const largest = (1n << (n - 1n)) - 1n;
  return c.pick([0n, 1n, -1n, 127n, -128n, largest, -largest - 1n, randomBits(c, bits)]);
};

const randomRegister = (c: Choices, bits: number): Operand => {
  if (bits === 8 && c.below(4) === 0) return c.pick([r8.ah, r8.ch, r8.dh, r8.bh]);
  const size: GprSize = bits === 8 || bits === 16 || bits === 32 ? bits : 64;
  return gpr(size, c.below(16));
};

const fixedOperand = (name: string, operandSize: GprSize): Operand => {
  if (name === "1") return 1;
  if (name === "AL") return r8.al;
  return name === "CL" ? r8.cl : gpr(operandSize, 0);
};

const immediateBits: Readonly<Record<string, number>> = { b: 8, sb: 8, w: 16, d: 32, q: 64 };

const randomOperand = (c: Choices, code: OperandCode, operandSize: GprSize): Operand => {
  if (code.kind === "fixed") return fixedOperand(code.name, operandSize);
  const bits = code.bits || (code.size === "" ? 0 : operandSize);
  const vector = code.size === "qq" ? ymm(c.below(16)) : xmm(c.below(16));
  switch (code.place) {
    case "E":
      return c.below(2) === 0 ? randomRegister(c, bits) : randomMemory(c, bits);
    case "M":
      return randomMemory(c, bits);
    case "W":
      return c.below(2) === 0 ? vector : randomMemory(c, bits);
    case "V":
    case "U":
    case "H":
      return vector;
    case "I":
      return randomImmediate(c, immediateBits[code.size] ?? Math.min(operandSize, 32));
    case "J":
      return origin + (code.size === "b" ? BigInt(c.below(100)) : BigInt(c.below(2 ** 30) + 256));
    default:
      return randomRegister(c, bits);
  }
};

/** An instruction with the bytes that the assembler made of it. */
export type Sample = {
  readonly mnemonic: string;
  readonly operands: readonly Operand[];
  readonly bytes: Uint8Array;
  /** The address after the instruction, for what is relative to it. */
  readonly end: bigint;
};

/** An instruction of this form with random operands, or undefined for ah to bh beside REX. */
export const randomSample = (c: Choices, form: Form): Sample | undefined => {
  const y = form.operands.some((code) => code.kind === "placed" && code.size === "y");
  const operandSize: GprSize = form.sized ? c.pick(y ? [32, 64] : [16, 32, 64]) : 64;
  const operands = form.operands.map((code) => randomOperand(c, code, operandSize));
  const a = new Assembler(codeAddr(origin));
  const { mnemonic } = form;
  assert(isMnemonic(mnemonic), mnemonic);
  const [first] = form.operands;
  const isShort = first?.kind === "placed" && first.place === "J" && first.size === "b";
  try {
    const [target] = operands;
    if (isShort && typeof target === "bigint") a.short(mnemonic, codeAddr(target));
    else a.i(mnemonic, ...operands);
  } catch (error) {
    assert(String(error).includes("exclude REX"), String(error));
    return undefined;
  }
  const { bytes } = a.finish();
  return { mnemonic: form.mnemonic, operands, bytes, end: origin + BigInt(bytes.length) };
};

const pointer: Readonly<Record<number, string>> = {
  0: "",
  8: "BYTE PTR ",
  16: "WORD PTR ",
  32: "DWORD PTR ",
  64: "QWORD PTR ",
  128: "XMMWORD PTR ",
  256: "YMMWORD PTR ",
};

const signed = (value: number | bigint): string => (value < 0 ? `${value}` : `+${value}`);

const memoryText = (memory: Mem, end: bigint): string => {
  const { seg, base, index, scale, disp, target } = memory;
  const head = `${ensure(pointer[memory.size], "a size")}${seg === undefined ? "" : `${seg}:`}`;
  if (typeof target === "bigint") return `${head}[rip${signed(target - end)}]`;
  const terms = [
    ...(base === undefined ? [] : [base.name]),
    ...(index === undefined ? [] : [`${index.name}*${scale}`]),
  ].join("+");
  assert(typeof disp === "number", "no holes here");
  return terms === "" ? `${head}[${disp}]` : `${head}[${terms}${signed(disp)}]`;
};

const operandText = (operand: Operand, sample: Sample): string => {
  if (typeof operand === "number") return `${operand}`;
  if (typeof operand === "bigint") {
    const isTarget = /^(j|call)/.test(sample.mnemonic);
    return isTarget ? `.+${operand - origin}` : `${operand}`;
  }
  if (operand.kind === "mem") return memoryText(operand, sample.end);
  assert(operand.kind === "gpr" || operand.kind === "vector", "no labels or holes here");
  return operand.name;
};

/** The instruction as GNU as reads it. */
export const sampleText = (sample: Sample): string => {
  const operands = sample.operands.map((operand) => operandText(operand, sample));
  return `${sample.mnemonic} ${operands.join(", ")}`;
};
