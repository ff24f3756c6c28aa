/**
 * AArch64 for the litmus runner: text as herd and the Arm ARM write it, decoded by the table of
 * `isa/aarch64`, and beside it what only an exception handler needs (ERET, system registers of
 * EL1) and prefetches.
 */

import { type AArch64Instruction, aarch64 } from "../../isa/aarch64/isa.ts";
import {
  conditions,
  type GeneralRegister,
  sp,
  systemRegisters,
  w,
  wsp,
  wzr,
  x,
  xzr,
} from "../../isa/aarch64/registers.ts";
import {
  type Arg,
  type Extend,
  extended,
  imm,
  indexed,
  mem,
  post,
  pre,
  type Shift,
  shifted,
} from "../../isa/aarch64/slots.ts";
import { constant, type Effect, reg, set } from "../../isa/effects.ts";
import { encodeForm } from "../../isa/table.ts";
import type { Decoding, LitmusIsa, Names, RegisterName } from "./isa.ts";
import { parseNumber } from "./lexer.ts";

/** System registers that handlers use, by the name with their encoding (Arm ARM D24.2). */
const privileged: Readonly<Record<string, string>> = {
  elr_el1: "s3_0_c4_c0_1",
  spsr_el1: "s3_0_c4_c0_0",
  esr_el1: "s3_0_c5_c2_0",
  far_el1: "s3_0_c6_c0_0",
  vbar_el1: "s3_0_c12_c0_0",
  sctlr_el1: "s3_0_c1_c0_0",
  tpidr_el1: "s3_0_c13_c0_4",
  currentel: "s3_0_c4_c2_2",
  daif: "s3_3_c4_c2_1",
};

const generalRegister = (name: string): GeneralRegister | undefined => {
  const named: Readonly<Record<string, GeneralRegister>> = { xzr, wzr, sp, wsp, lr: x(30) };
  const [, kind, digits] = /^([xw])(\d{1,2})$/.exec(name) ?? [];
  if (kind === undefined || Number(digits) > 30) return named[name];
  return kind === "x" ? x(Number(digits)) : w(Number(digits));
};

/** Operands of a text, split at commas outside of brackets. */
function splitOperands(text: string): string[] {
  const parts = text.split(/,(?![^[]*\])/).map((part) => part.trim().replace(/\s+/g, " "));
  return parts.length === 1 && parts[0] === "" ? [] : parts;
}

const isNumber = (text: string): boolean => /^#?-?(0x[0-9a-f]+|\d+)$/i.test(text);

function numberArg(text: string): Arg {
  const value = parseNumber(text.replace("#", ""));
  const fits = value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER);
  return fits ? Number(value) : imm(BigInt.asUintN(64, value));
}

const modifier = /^(lsl|lsr|asr|ror|[us]xt[bhwx])(?: ?#?(\d+))?$/;
const isShift = (name: string): name is Shift => ["lsl", "lsr", "asr", "ror"].includes(name);

/** `[x1]`, `[x1, #8]`, `[x1, w2, sxtw #2]`, `[x1, #8]!`, `[x1], #8`. */
function parseMemory(text: string, after: string | undefined): Arg | string {
  const [, inside = "", bang] = /^\[(.*)\](!?)$/.exec(text) ?? [];
  const [baseName = "", second, third] = splitOperands(inside);
  const base = generalRegister(baseName);
  if (base === undefined) return `${baseName} is no base register`;
  if (after !== undefined) return post(base, Number(parseNumber(after.replace("#", ""))));
  if (second === undefined) return bang === "!" ? pre(base, 0) : mem(base);
  if (isNumber(second)) {
    const offset = Number(parseNumber(second.replace("#", "")));
    return bang === "!" ? pre(base, offset) : mem(base, offset);
  }
  const index = generalRegister(second);
  if (index === undefined) return `${second} is neither a number nor a register`;
  const [, how = index.kind === "w" ? "uxtw" : "lsl", amount = "0"] =
    modifier.exec(third ?? "") ?? [];
  const extend = how === "lsl" ? "uxtx" : how;
  if (extend !== "uxtw" && extend !== "uxtx" && extend !== "sxtw" && extend !== "sxtx") {
    return `${how} can't extend an index`;
  }
  return indexed(base, index, extend, Number(amount) > 0);
}

/** Applies `lsl #2` or `sxtw` to the operand before it; a number alone where that is none. */
function modify(args: Arg[], how: string, amount: string): void {
  const register = args.at(-1);
  if (typeof register !== "object" || (register.kind !== "x" && register.kind !== "w")) {
    args.push(Number(amount));
    return;
  }
  args.pop();
  if (isShift(how)) args.push(shifted(register, how, Number(amount)));
  else args.push(extended(register, how as Extend, Number(amount)));
}

/** Mnemonics whose last operand is a place in the code. */
const branches = /^(b|bl|b\.\w+|cbn?z|tbn?z|adrp?)$/;

/** ADRP counts from the 4 KiB page that it stands in to the page of its target. */
function parseTarget(text: string, pc: bigint, names: Names, mask: bigint): Arg | string {
  const relative = /^\.([+-]\d+)?$/.exec(text);
  const address = relative === null ? names.label(text) : pc + BigInt(relative[1] ?? 0);
  if (address === undefined) return `there is no label ${text}`;
  return Number((address & mask) - (pc & mask));
}

type Reading = ReturnType<typeof aarch64.table.read>;
type Problem = { readonly problem: string };

function parseArgs(mnemonic: string, rest: string, pc: bigint, names: Names): Arg[] | Problem {
  const texts = splitOperands(rest);
  const args: Arg[] = [];
  for (let at = 0; at < texts.length; at++) {
    const written = texts[at] ?? "";
    const text = written.toLowerCase();
    const after = texts[at + 1];
    if (text.startsWith("[")) {
      const isPost = after !== undefined && isNumber(after);
      const parsed = parseMemory(text, isPost ? after : undefined);
      if (typeof parsed === "string") return { problem: parsed };
      args.push(parsed);
      if (isPost) at++;
      continue;
    }
    const isLiteral = /^ldr(sw)?$/.test(mnemonic) && at === 1 && names.label(written) !== undefined;
    if ((branches.test(mnemonic) && at === texts.length - 1) || isLiteral) {
      const parsed = parseTarget(written, pc, names, mnemonic === "adrp" ? -4096n : -1n);
      if (typeof parsed === "string") return { problem: parsed };
      args.push(parsed);
      continue;
    }
    const [, how, amount = "0"] = modifier.exec(text) ?? [];
    if (how !== undefined && at > 0) modify(args, how, amount);
    else if (isNumber(text)) args.push(numberArg(text));
    else args.push(generalRegister(text) ?? privileged[text] ?? text);
  }
  return args;
}

/** HINT by its number (Arm ARM C6.2 HINT). */
const hints = ["nop", "yield", "wfe", "wfi", "sev", "sevl"];

/** `BEQ` is `b.eq`, `IC IALLUIS` needs no operand, `ISB SY` is `isb`. */
function normalise(text: string): { mnemonic: string; rest: string } {
  const [, name = "", rest = ""] = /^(\S+)\s*(.*)$/.exec(text.trim()) ?? [];
  const mnemonic = name.toLowerCase();
  const condition = /^b(\w\w)$/.exec(mnemonic)?.[1];
  const known = condition !== undefined && [...conditions, "hs", "lo"].includes(condition);
  if (known) return { mnemonic: `b.${condition}`, rest };
  if (mnemonic === "isb") return { mnemonic, rest: "" };
  const hint = mnemonic === "hint" && isNumber(rest) ? Number(rest.replace("#", "")) : undefined;
  const named = hint === undefined ? undefined : hints[hint];
  if (named !== undefined) return { mnemonic: named, rest: "" };
  return { mnemonic, rest };
}

const wordBytes = (word: number): Uint8Array =>
  Uint8Array.from([0, 8, 16, 24], (shift) => (word >>> shift) & 0xff);

/** PRFM (immediate, without offset): Arm ARM C6.2 PRFM; the operation is type, level, policy. */
function assemblePrefetch(rest: string): Uint8Array | string {
  const [, type = "", level, policy, base = ""] =
    /^(pld|pli|pst)l([123])(keep|strm) ?, ?\[(\w+)\]$/i.exec(rest.toLowerCase()) ?? [];
  const register = generalRegister(base);
  if (register === undefined) return "PRFM type, [Xn] is expected";
  const operation =
    (["pld", "pli", "pst"].indexOf(type) << 3) |
    ((Number(level) - 1) << 1) |
    (policy === "strm" ? 1 : 0);
  return wordBytes((0xf9800000 | (register.n << 5) | operation) >>> 0);
}

/** MOV between registers is ORR, except to and from the stack pointer (Arm ARM C6.2 MOV). */
function readMove(mnemonic: string, args: readonly Arg[]): Reading | undefined {
  const [to, from] = args;
  if (mnemonic !== "mov" || typeof to !== "object" || typeof from !== "object") return undefined;
  if (to.kind === "x" && from.kind === "x") return aarch64.table.read("orr", [to, xzr, from]);
  if (to.kind === "w" && from.kind === "w") return aarch64.table.read("orr", [to, wzr, from]);
  return undefined;
}

function assemble(text: string, pc: bigint, names: Names): Uint8Array | string {
  const { mnemonic, rest } = normalise(text);
  if (mnemonic === "prfm") return assemblePrefetch(rest);
  if (mnemonic === ".inst" || mnemonic === ".word") return wordBytes(Number(parseNumber(rest)));
  const args = parseArgs(mnemonic, rest, pc, names);
  if ("problem" in args) return args.problem;
  const reading = readMove(mnemonic, args) ?? aarch64.table.read(mnemonic, args);
  if (typeof reading === "string") return reading;
  return wordBytes(encodeForm(reading.form, reading.fields));
}

/** MRS and MSR of registers that the table leaves to the kernel. */
function systemEffects(insn: AArch64Instruction): readonly Effect[] | undefined {
  const code = insn.operands["sysreg"];
  if (code === undefined || systemRegisters.some((known) => known.code === code)) return undefined;
  const op1 = (code >> 11) & 7;
  const name = `s${2 + (code >> 14)}_${op1}_c${(code >> 7) & 15}_c${(code >> 3) & 15}_${code & 7}`;
  const found = Object.keys(privileged).find((known) => privileged[known] === name) ?? name;
  const rt = insn.operands["rt"] ?? 31;
  if (insn.mnemonic === "mrs") return rt === 31 ? [] : [set(`x${rt}`, reg(found))];
  return [set(found, rt === 31 ? constant(0) : reg(`x${rt}`))];
}

const picking = /^(csel|csinc|csinv|csneg|ccmp|ccmn)/;

const plainInstruction = { picks: false, returns: false, listed: false, acquirePc: false } as const;

function decode(bytes: Uint8Array, pc: bigint): Decoding {
  if (bytes.length < 4) return "incomplete";
  const word = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  if ((word & 0xffc00000) >>> 0 === 0xf9800000) {
    return { ...plainInstruction, size: 4, text: "prfm", effects: [] };
  }
  const insn = aarch64.decode(bytes, 0);
  if (insn === undefined) return "illegal";
  const returns = insn.mnemonic === "eret";
  const effects = returns ? [] : (systemEffects(insn) ?? aarch64.effects(insn));
  return {
    size: 4,
    text: aarch64.format(insn, pc),
    effects,
    picks: picking.test(insn.mnemonic),
    returns,
    listed: aarch64.isConcurrentlyModifiable(insn),
    acquirePc: insn.mnemonic.startsWith("ldapr"),
  };
}

/** AArch64 at EL0, with handlers at EL1. */
export const aarch64Litmus: LitmusIsa = {
  arch: "AArch64",
  pointerBytes: 8,
  register(name): RegisterName | undefined {
    const lower = name.toLowerCase();
    const system = systemRegisters.find((known) => known.name === lower)?.name;
    if (system !== undefined || lower in privileged) return { name: lower, bits: 64 };
    const found = generalRegister(lower);
    if (found === undefined) return undefined;
    if (found.kind === "sp" || found.kind === "wsp") return { name: "sp", bits: 64 };
    return { name: found.n === 31 ? "xzr" : `x${found.n}`, bits: found.kind === "w" ? 32 : 64 };
  },
  assemble,
  decode,
};
