/** RISC-V for the litmus runner: RV64GC text as herd and GNU as write it. */

import { bytesOf, lengthOfParcel, type RiscvIsa, riscv64 } from "../../isa/riscv/isa.ts";
import { f, x, xName, xNames } from "../../isa/riscv/registers.ts";
import { type Arg, mem } from "../../isa/riscv/slots.ts";
import { encodeForm } from "../../isa/table.ts";
import type { Decoding, LitmusIsa, Names, RegisterName } from "./isa.ts";
import { parseNumber } from "./lexer.ts";

const xNumber = (name: string): number | undefined => {
  const numbered = /^x(\d{1,2})$/.exec(name)?.[1];
  if (numbered !== undefined) return Number(numbered) < 32 ? Number(numbered) : undefined;
  const at = name === "fp" ? 8 : xNames.indexOf(name);
  return at < 0 ? undefined : at;
};

const fNumber = (name: string): number | undefined => {
  const numbered = /^f(\d{1,2})$/.exec(name)?.[1];
  return numbered !== undefined && Number(numbered) < 32 ? Number(numbered) : undefined;
};

/** Mnemonics whose last operand, a name, is a place to go to. */
const branches =
  /^(c\.)?(j|jal|beqz?|bnez?|bltu?|bgeu?|bgtu?|bleu?|bltz|bgez|blez|bgtz|call|tail)$/;

/** One operand: a register, a number, `8(x5)`, a label, or a fence's set. */
function parseOperand(text: string, pc: bigint, mnemonic: string, names: Names): Arg | string {
  const integer = xNumber(text);
  if (integer !== undefined) return x(integer);
  const float = fNumber(text);
  if (float !== undefined) return f(float);
  if (/^-?(0x[0-9a-f]+|\d+)$/i.test(text)) return Number(parseNumber(text));
  const [, offset, base] = /^(-?\w*)\((\w+)\)$/.exec(text) ?? [];
  const baseNumber = base === undefined ? undefined : xNumber(base);
  if (baseNumber !== undefined) return mem(x(baseNumber), Number(offset || "0"));
  if (!branches.test(mnemonic)) return text;
  const relative = /^\.([+-]\d+)$/.exec(text)?.[1];
  if (relative !== undefined) return Number(relative);
  const target = names.label(text);
  return target === undefined ? `there is no label ${text}` : Number(target - pc);
}

/** herd writes `amoadd.w.aq.rl`, GNU as `amoadd.w.aqrl`. */
const normalise = (mnemonic: string): string => mnemonic.toLowerCase().replace(".aq.rl", ".aqrl");

function assemble(isa: RiscvIsa, text: string, pc: bigint, names: Names): Uint8Array | string {
  const [, name = "", rest = ""] = /^(\S+)\s*(.*)$/.exec(text.trim()) ?? [];
  const mnemonic = normalise(name);
  if (mnemonic === ".word") {
    const word = Number(parseNumber(rest.trim()));
    return Uint8Array.from([0, 8, 16, 24], (shift) => (word >>> shift) & 0xff);
  }
  const args: Arg[] = [];
  for (const operand of rest === "" ? [] : rest.split(",")) {
    const parsed = parseOperand(operand.replaceAll(/\s/g, ""), pc, mnemonic, names);
    if (typeof parsed === "string" && parsed.includes(" ")) return parsed;
    args.push(parsed);
  }
  if (mnemonic === "fence" && args.length === 0) args.push("iorw", "iorw");
  const reading = isa.table.read(mnemonic, args);
  if (typeof reading === "string") return reading;
  const word = encodeForm(reading.form, reading.fields);
  const size = reading.form.pattern.sizeBytes;
  return bytesOf({ mnemonic, size, operands: reading.fields, word });
}

function decode(isa: RiscvIsa, bytes: Uint8Array, pc: bigint): Decoding {
  if (bytes.length < 2) return "incomplete";
  const size = lengthOfParcel((bytes[0] ?? 0) | ((bytes[1] ?? 0) << 8));
  if (size !== undefined && bytes.length < size) return "incomplete";
  const insn = isa.decode(bytes, 0);
  if (insn === undefined) return "illegal";
  return {
    size: insn.size,
    text: isa.format(insn, pc),
    effects: isa.effects(insn),
    picks: false,
    returns: false,
    listed: false,
    acquirePc: false,
  };
}

/** RV64GC. */
export const riscvLitmus: LitmusIsa = {
  arch: "RISCV",
  pointerBytes: 8,
  register(name): RegisterName | undefined {
    const n = xNumber(name.toLowerCase());
    return n === undefined ? undefined : { name: xName(n), bits: 64 };
  },
  assemble: (text, pc, names) => assemble(riscv64, text, pc, names),
  decode: (bytes, pc) => decode(riscv64, bytes, pc),
};
