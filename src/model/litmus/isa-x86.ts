/**
 * x86-64 for the litmus runner. Text is AT&T syntax, as in herd's X86_64 tests (source first,
 * suffixes b, w, l and q), and besides: `nop5` for a NOP of 5 bytes, `.balign 8`, `jmp .+8` (from
 * the instruction's own address; rel32), `short jmp .+3` (rel8), several instructions of a literal
 * joined by `;`.
 */

import { codeAddr } from "../../base/brand.ts";
import type { Effect } from "../../isa/effects.ts";
import { Assembler } from "../../isa/x86-64/assembler.ts";
import { decode } from "../../isa/x86-64/decode.ts";
import { instructionBytesMax } from "../../isa/x86-64/decode-into.ts";
import { format } from "../../isa/x86-64/format.ts";
import { getForms } from "../../isa/x86-64/forms.ts";
import {
  type MemMaker,
  mem,
  mem8,
  mem16,
  mem32,
  mem64,
  type Operand,
} from "../../isa/x86-64/operands.ts";
import { type Gpr, gpr, r8, r16, r32, r64 } from "../../isa/x86-64/registers.ts";
import { effectsOf } from "../../isa/x86-64/semantics.ts";
import { lockable, type Mnemonic } from "../../isa/x86-64/table.ts";
import type { Decoding, LitmusIsa, Names, RegisterName } from "./isa.ts";
import { parseNumber } from "./lexer.ts";

type Size = 8 | 16 | 32 | 64;

const suffixes: Readonly<Record<string, Size>> = { b: 8, w: 16, l: 32, q: 64 };
const makers: Readonly<Record<Size, MemMaker>> = { 8: mem8, 16: mem16, 32: mem32, 64: mem64 };

const isMnemonic = (name: string): name is Mnemonic => getForms(name).length > 0;

const registers: readonly Gpr[] = [r8, r16, r32, r64].flatMap((bank) => Object.values(bank));

const findRegister = (name: string): Gpr | undefined =>
  registers.find((register) => register.name === name && !register.high);

/** `8(%rax)`, `[rax]`, `(x)`, `x`: memory of `size` bits. */
function parseMemory(text: string, size: Size | 0, names: Names): Operand | string {
  const make = size === 0 ? mem : makers[size];
  const [, offset = "", inside] = /^(-?\w*)[[(]%?([\w.]+)[)\]]$/.exec(text) ?? [];
  const place = inside ?? text;
  const register = findRegister(place);
  if (register === undefined) {
    const address = names.variable(place);
    if (address === undefined) return `${place} is neither a register nor a variable`;
    return make({ disp: Number(address) });
  }
  return make(gpr(64, register.number), offset === "" ? {} : { disp: Number(parseNumber(offset)) });
}

const isMemory = (text: string): boolean => /[[(]/.test(text);

/** The size that an instruction's registers or its suffix say. */
function sizeOf(operands: readonly string[], suffix: Size | undefined): Size {
  for (const text of operands) {
    const register = findRegister(text.replace("%", ""));
    if (!isMemory(text) && register !== undefined) return register.size;
  }
  return suffix ?? 32;
}

function parseOperand(text: string, size: Size | 0, names: Names): Operand | string {
  if (text.startsWith("$")) {
    const digits = text.slice(1);
    if (/^-?(0x[\da-f]+|\d+)$/i.test(digits)) return Number(parseNumber(digits));
    return names.variable(digits) ?? `there is no ${digits}`;
  }
  const register = isMemory(text) ? undefined : findRegister(text.replace("%", ""));
  if (register !== undefined) return register;
  if (/^-?\d+$/.test(text)) return Number(parseNumber(text));
  return parseMemory(text, size, names);
}

/** Where a branch goes: a label, `.+8`, or `*%rax`. */
function parseTarget(text: string, pc: bigint, names: Names): Operand | string {
  const relative = /^\.([+-]\d+)$/.exec(text)?.[1];
  if (relative !== undefined) return codeAddr(pc + BigInt(relative));
  if (text.startsWith("*")) return parseOperand(text.slice(1), 64, names);
  const address = names.label(text);
  return address === undefined ? `there is no label ${text}` : codeAddr(address);
}

/** `movl` is `mov` with 32 bits (and `movq` not the vector instruction); `jl`, `call` stay. */
function splitMnemonic(name: string): { mnemonic: Mnemonic; suffix: Size | undefined } | undefined {
  const stem = name.slice(0, -1);
  const suffix = suffixes[name.slice(-1)];
  if (suffix !== undefined && isMnemonic(stem)) return { mnemonic: stem, suffix };
  return isMnemonic(name) ? { mnemonic: name, suffix: undefined } : undefined;
}

/** Assembles one instruction; a string says why not. */
function emit(a: Assembler, text: string, names: Names): string | undefined {
  const words = text.trim().toLowerCase();
  const nop = /^nop(\d+)$/.exec(words)?.[1];
  const align = /^\.balign (\d+)$/.exec(words)?.[1];
  if (nop !== undefined) a.nop(Number(nop));
  else if (align !== undefined) a.align(Number(align));
  if (nop !== undefined || align !== undefined) return undefined;
  const [, prefix, name = ""] = /^(?:(lock|short);? )?([\w]+)/.exec(words) ?? [];
  // Labels and variables keep their case.
  const rest = text
    .trim()
    .slice(prefix === undefined ? 0 : prefix.length + 1)
    .trim();
  const operands = rest
    .slice(rest.toLowerCase().indexOf(name) + name.length)
    .split(",")
    .map((operand) => operand.replaceAll(/\s/g, ""))
    .filter((operand) => operand !== "");
  const found = splitMnemonic(name);
  if (found === undefined) return "no such instruction";
  const { mnemonic, suffix } = found;
  const branch = /^(j\w+|call)$/.test(mnemonic);
  const size = mnemonic === "lea" ? 0 : sizeOf(operands, suffix);
  const parsed: Operand[] = [];
  for (const operand of operands.toReversed()) {
    const made = branch ? parseTarget(operand, a.here, names) : parseOperand(operand, size, names);
    if (typeof made === "string") return made;
    parsed.push(made);
  }
  if (prefix === "lock" && !lockable.has(mnemonic)) return `${mnemonic} can't be locked`;
  try {
    if (prefix === "lock") a.lock();
    const [target] = parsed;
    if (prefix === "short" && typeof target === "bigint") a.short(mnemonic, codeAddr(target));
    else a.i(mnemonic, ...parsed);
  } catch (error) {
    return error instanceof Error ? error.message.replace("assertion failed: ", "") : "no form";
  }
  return undefined;
}

function assemble(text: string, pc: bigint, names: Names): Uint8Array | string {
  const a = new Assembler(codeAddr(pc));
  for (const part of text.replace(/lock;/i, "lock").split(";")) {
    const problem = emit(a, part, names);
    if (problem !== undefined) return problem;
  }
  return a.finish().bytes;
}

/** IRET serialises (SDM Vol. 3A, "Serializing Instructions"). */
const interruptReturn: readonly Effect[] = [
  { kind: "barrier", barrier: { name: "serialize", by: "iret" } },
];

function decodeAt(bytes: Uint8Array, pc: bigint): Decoding {
  const decoded = decode(bytes, 0, codeAddr(pc));
  if (decoded === undefined) return bytes.length < instructionBytesMax ? "incomplete" : "illegal";
  const text = format(decoded);
  const returns = text === "iretq";
  const effects: readonly Effect[] | undefined = returns ? interruptReturn : effectsOf(decoded);
  return {
    size: decoded.length,
    text,
    // What is not known here ends the thread: half an instruction, torn by a store.
    effects: effects ?? [{ kind: "trap", cause: "illegal", code: 0n }],
    picks: false,
    returns,
    listed: false,
    acquirePc: false,
  };
}

/** x86-64. */
export const x86Litmus: LitmusIsa = {
  arch: "X86_64",
  pointerBytes: 8,
  stackPointer: "rsp",
  breakpointReturnsBehind: true,
  register(name): RegisterName | undefined {
    const found = findRegister(name.replace("%", "").toLowerCase());
    return found === undefined ? undefined : { name: gpr(64, found.number).name, bits: found.size };
  },
  assemble,
  decode: decodeAt,
};
