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

const isNumber = (text: string): boolean => /^-?(0x[0-9a-f]+|\d+)$/i.test(text);

/** Mnemonics whose last operand, a name, is a place to go to. */
const branches =
  /^(c\.)?(j|jal|beqz?|bnez?|bltu?|bgeu?|bgtu?|bleu?|bltz|bgez|blez|bgtz|call|tail)$/;

/** One operand: a register, a number, `8(x5)`, a label, or a fence's set. */
function parseOperand(text: string, pc: bigint, mnemonic: string, names: Names): Arg | string {
  const integer = xNumber(text.toLowerCase());
  if (integer !== undefined) return x(integer);
  const float = fNumber(text);
  if (float !== undefined) return f(float);
  if (isNumber(text)) return Number(parseNumber(text));
  const [, offset, base] = /^(-?\w*)\((\w+)\)$/.exec(text) ?? [];
  const baseNumber = base === undefined ? undefined : xNumber(base.toLowerCase());
  if (baseNumber !== undefined) return mem(x(baseNumber), Number(offset || "0"));
  if (!branches.test(mnemonic)) return text;
  const relative = /^\.([+-]\d+)$/.exec(text)?.[1];
  if (relative !== undefined) return Number(relative);
  const target = names.label(text);
  return target === undefined ? `there is no label ${text}` : Number(target - pc);
}

/** herd writes `amoadd.w.aq.rl`, GNU as `amoadd.w.aqrl`. */
const normalise = (mnemonic: string): string => mnemonic.toLowerCase().replace(".aq.rl", ".aqrl");

/** Branches that compare the other way round. */
const turned: Readonly<Record<string, string>> = {
  bgt: "blt",
  ble: "bge",
  bgtu: "bltu",
  bleu: "bgeu",
};

const wordBytes = (word: number): readonly number[] =>
  [0, 8, 16, 24].map((shift) => (word >>> shift) & 0xff);

/** LUI and ADDIW, which make any number of 32 bits (Volume I, "Integer Register-Immediate"). */
function loadNumber(register: string, value: bigint): readonly string[] | string {
  if (BigInt.asIntN(32, value) !== value) return `${value} does not fit 32 bits`;
  const low = BigInt.asIntN(12, value);
  const high = BigInt.asUintN(20, (value - low) >> 12n);
  return [`lui ${register},${high}`, `addiw ${register},${register},${low}`];
}

/** What the assembler makes of several instructions, or writes in another way. */
function expand(
  mnemonic: string,
  operands: readonly string[],
  names: Names,
): readonly string[] | string {
  const [first = "", second = "", third = ""] = operands;
  const plain = `${mnemonic} ${operands.join(",")}`;
  const other = turned[mnemonic];
  if (other !== undefined) return [`${other} ${second},${first},${third}`];
  if (mnemonic === "fence") return [plain.toLowerCase()];
  if (mnemonic === "jalr" && third !== "") return [`jalr ${first},${third}(${second})`];
  if (mnemonic === "la" || mnemonic === "lla") {
    const address = names.label(second) ?? names.variable(second);
    return address === undefined ? `there is no ${second}` : loadNumber(first, address);
  }
  if (mnemonic !== "li" || !isNumber(second)) return [plain];
  const value = parseNumber(second);
  return BigInt.asIntN(12, value) === value ? [plain] : loadNumber(first, value);
}

function assembleOne(isa: RiscvIsa, text: string, pc: bigint, names: Names): Uint8Array | string {
  const [mnemonic = "", rest = ""] = text.split(" ");
  const args: Arg[] = [];
  for (const operand of rest === "" ? [] : rest.split(",")) {
    const parsed = parseOperand(operand, pc, mnemonic, names);
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

function assemble(isa: RiscvIsa, text: string, pc: bigint, names: Names): Uint8Array | string {
  const [, name = "", rest = ""] = /^(\S+)\s*(.*)$/.exec(text.trim()) ?? [];
  const mnemonic = normalise(name);
  const operands = rest.replaceAll(/\s/g, "").split(",");
  if (mnemonic === ".word" || mnemonic === ".4byte") {
    return isNumber(rest) ? Uint8Array.from(wordBytes(Number(parseNumber(rest)))) : "no number";
  }
  const expanded = expand(mnemonic, rest === "" ? [] : operands, names);
  if (typeof expanded === "string") return expanded;
  const bytes: number[] = [];
  for (const line of expanded) {
    const made = assembleOne(isa, line.trim(), pc + BigInt(bytes.length), names);
    if (typeof made === "string") return made;
    bytes.push(...made);
  }
  return Uint8Array.from(bytes);
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
