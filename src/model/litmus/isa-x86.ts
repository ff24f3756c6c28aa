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
  type MemParts,
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

/** By name, `%` and capitals or not. */
function findRegister(text: string): Gpr | undefined {
  const name = text.replace("%", "").toLowerCase();
  return registers.find((register) => register.name === name && !register.high);
}

const isNumber = (text: string): boolean => /^-?(0x[\da-f]+|\d+)$/i.test(text);
const numberOf = (text: string): number => Number(parseNumber(text));

/** The address of a variable. A name with `%` is none, but a register that is not known. */
const findVariable = (text: string, names: Names): number | string => {
  const address = /^[A-Za-z_.]/.test(text) ? names.variable(text) : undefined;
  return address === undefined ? `${text} is neither a register nor a variable` : Number(address);
};

/** `%rax` and `4`: base and scale of `(%rsi,%rcx,4)`. */
function parseIndex(index: string | undefined, scale: string | undefined): MemParts | string {
  if (index === undefined) return {};
  const register = findRegister(index);
  const by = ([1, 2, 4, 8] as const).find((known) => known === Number(scale ?? "1"));
  if (register === undefined || by === undefined) return `${index},${scale} is no index`;
  return { index: gpr(64, register.number), scale: by };
}

/** `8(%rax)`, `(%rsi,%rcx,4)`, `x(%rip)`, `[rax]`, `(x)`, `x`: memory of `size` bits. */
function parseMemory(text: string, size: Size | 0, names: Names): Operand | string {
  const make = size === 0 ? mem : makers[size];
  const [, before = "", inside] = /^([^[(]*)[[(]([^\])]+)[)\]]$/.exec(text) ?? [];
  const [base = text, index, scale] = inside?.split(",") ?? [];
  const disp = before === "" || isNumber(before) ? numberOf(before || "0") : before;
  const offset = typeof disp === "number" ? disp : findVariable(disp, names);
  if (typeof offset === "string") return offset;
  if (base.toLowerCase() === "%rip" && typeof disp === "string") return make({ disp: offset });
  const register = findRegister(base);
  const indexed = parseIndex(index, scale);
  if (typeof indexed === "string") return indexed;
  if (register !== undefined) return make(gpr(64, register.number), { ...indexed, disp: offset });
  const address = findVariable(base, names);
  return typeof address === "string" ? address : make({ ...indexed, disp: address + offset });
}

const isMemory = (text: string): boolean => /[[(]/.test(text);

/** The size that an instruction's registers or its suffix say. */
function sizeOf(operands: readonly string[], suffix: Size | undefined): Size {
  for (const text of operands) {
    const register = findRegister(text);
    if (!isMemory(text) && register !== undefined) return register.size;
  }
  return suffix ?? 32;
}

function parseOperand(text: string, size: Size | 0, names: Names): Operand | string {
  if (text.startsWith("$")) {
    const value = text.slice(1);
    if (!isNumber(value)) return findVariable(value, names);
    const number = parseNumber(value);
    return BigInt.asIntN(32, number) === number ? Number(number) : number;
  }
  const register = isMemory(text) ? undefined : findRegister(text);
  if (register !== undefined) return register;
  return isNumber(text) ? numberOf(text) : parseMemory(text, size, names);
}

/** Where a branch goes: a label, `.+8`, or `*%rax`. */
function parseTarget(text: string, pc: bigint, names: Names): Operand | string {
  const relative = /^\.([+-]\d+)$/.exec(text)?.[1];
  if (relative !== undefined) return codeAddr(pc + BigInt(relative));
  if (text.startsWith("*")) return parseOperand(text.slice(1), 64, names);
  const address = names.label(text);
  return address === undefined ? `there is no label ${text}` : codeAddr(address);
}

/** Other names of conditions and shifts. */
const synonyms: Readonly<Record<string, string>> = {
  jz: "je",
  jnz: "jne",
  jc: "jb",
  jnc: "jae",
  sal: "shl",
};

type Named = {
  readonly mnemonic: Mnemonic;
  /** Size of the operands where no register says it. */
  readonly suffix: Size | undefined;
  /** Size of a source in memory that is not the result's (`movzbl`). */
  readonly source?: Size;
};

/** `movl` is `mov` with 32 bits (and `movq` not the vector instruction); `jl`, `call` stay. */
function splitMnemonic(written: string): Named | undefined {
  const name = synonyms[written] ?? written;
  const [, sign = "", from = "", to = ""] = /^mov([sz])([bwl])([wlq])$/.exec(name) ?? [];
  const source = suffixes[from];
  if (source !== undefined) {
    const mnemonic = sign === "s" && from === "l" ? "movsxd" : `mov${sign}x`;
    return isMnemonic(mnemonic) ? { mnemonic, suffix: suffixes[to], source } : undefined;
  }
  const stem = name.slice(0, -1);
  const mnemonic = synonyms[stem] ?? stem;
  const suffix = suffixes[name.slice(-1)];
  if (suffix !== undefined && isMnemonic(mnemonic)) return { mnemonic, suffix };
  return isMnemonic(name) ? { mnemonic: name, suffix: undefined } : undefined;
}

/** Either operand of these may be the one in memory, and the encoding has one order only. */
const symmetric: ReadonlySet<string> = new Set(["xchg", "test"]);

/** The operands as the assembler takes them: destination first. */
function parseOperands(
  { mnemonic, suffix, source }: Named,
  operands: readonly string[],
  names: Names,
  here: bigint,
): Operand[] | string {
  const branch = /^(j\w+|call)$/.test(mnemonic);
  const [first = "", second = ""] = operands;
  const turned = symmetric.has(mnemonic) && isMemory(first) && !isMemory(second);
  const size = mnemonic === "lea" ? 0 : (source ?? sizeOf(operands, suffix));
  const parsed: Operand[] = [];
  for (const operand of turned ? operands : operands.toReversed()) {
    const made = branch ? parseTarget(operand, here, names) : parseOperand(operand, size, names);
    if (typeof made === "string") return made;
    parsed.push(made);
  }
  return parsed;
}

/** Assembles one instruction; a string says why not. */
function emit(a: Assembler, text: string, names: Names): string | undefined {
  const words = text.trim().toLowerCase();
  const nop = /^nop(\d+)$/.exec(words)?.[1];
  const align = /^\.balign (\d+)$/.exec(words)?.[1];
  if (nop !== undefined) a.nop(Number(nop));
  else if (align !== undefined) a.align(Number(align));
  if (nop !== undefined || align !== undefined) return undefined;
  const [head = "", prefix, name = ""] = /^(?:(lock|short) )?(\w+)/.exec(words) ?? [];
  // Labels and variables keep their case.
  const operands = text
    .trim()
    .slice(head.length)
    .split(/,(?![^(]*\))/)
    .map((operand) => operand.replaceAll(/\s/g, ""))
    .filter((operand) => operand !== "");
  const found = splitMnemonic(name);
  if (found === undefined) return "no such instruction";
  const { mnemonic } = found;
  if (prefix === "lock" && !lockable.has(mnemonic)) return `${mnemonic} can't be locked`;
  try {
    const parsed = parseOperands(found, operands, names, a.here);
    if (typeof parsed === "string") return parsed;
    if (prefix === "lock") a.lock();
    const [target] = parsed;
    if (prefix === "short" && typeof target === "bigint") a.short(mnemonic, codeAddr(target));
    else a.i(mnemonic, ...parsed);
  } catch (error) {
    const why = error instanceof Error ? error.message.replace("assertion failed: ", "") : "";
    return why === "" || why.startsWith("no form") ? "no form takes these operands" : why;
  }
  return undefined;
}

/** A complaint where the bytes hold an instruction whose effects are not known. */
function findUnknown(bytes: Uint8Array, pc: bigint): string | undefined {
  for (let at = 0; at < bytes.length; ) {
    const decoded = decode(bytes, at, codeAddr(pc + BigInt(at)));
    if (decoded === undefined) return "it is not decoded";
    const text = format(decoded);
    if (text !== "iretq" && effectsOf(decoded) === undefined) return "what it does is not modelled";
    at += decoded.length;
  }
  return undefined;
}

function assemble(text: string, pc: bigint, names: Names): Uint8Array | string {
  const a = new Assembler(codeAddr(pc));
  for (const part of text.replace(/lock;/i, "lock").split(";")) {
    const problem = emit(a, part, names);
    if (problem !== undefined) return problem;
  }
  const { bytes } = a.finish();
  return findUnknown(bytes, pc) ?? bytes;
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
