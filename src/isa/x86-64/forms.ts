/**
 * The rows of `table.ts` as records: families written out, operand codes and encodings taken apart.
 * Done once, when the module is loaded; a row that can't be read is a programmer error.
 */
import { assert } from "../../base/assert.ts";
import { families, type Mnemonic, forms as rows } from "./table.ts";

/** Where an operand lives; the letters of SDM Vol. 2D, appendix A.2.1. */
export type Place = "E" | "G" | "R" | "M" | "V" | "W" | "U" | "H" | "B" | "Z" | "I" | "J";

/** An operand code: a place and a size, or a register (or the number 1) that is always meant. */
export type OperandCode =
  | { readonly kind: "fixed"; readonly name: "AL" | "CL" | "rAX" | "1" }
  | {
      readonly kind: "placed";
      readonly place: Place;
      /** b w d q dq qq v y z sb, or "" for memory of any size. */
      readonly size: string;
      /** Bits, where the size does not depend on the operand size; else 0. */
      readonly bits: number;
    };

/** Opcode map: 0 one-byte, 1 after 0F, 2 after 0F 38, 3 after 0F 3A. */
export type OpcodeMap = 0 | 1 | 2 | 3;

export type Form = {
  readonly mnemonic: string;
  readonly operands: readonly OperandCode[];
  /** Mandatory prefix, or 0. */
  readonly prefix: 0 | 0x66 | 0xf2 | 0xf3;
  /** REX.W or VEX.W is set whatever the operands are. */
  readonly w: boolean;
  readonly map: OpcodeMap;
  readonly opcode: number;
  /** ModRM.reg where it extends the opcode, else undefined. */
  readonly digit: number | undefined;
  /** A whole ModRM byte that extends the opcode, else undefined. */
  readonly modrm: number | undefined;
  /** VEX.L for VEX encodings: 0 for 128 bits, 1 for 256; else undefined. */
  readonly vexL: 0 | 1 | undefined;
  /** 16/32/64-bit operand size is chosen by `v`, `y` or `rAX` operands. */
  readonly sized: boolean;
};

const sizeBits: Readonly<Record<string, number>> = { b: 8, w: 16, d: 32, q: 64, dq: 128, qq: 256 };
const isPlace = (letter: string): letter is Place => "EGRMVWUHBZIJ".includes(letter);

const parseOperand = (code: string): OperandCode => {
  if (code === "AL" || code === "CL" || code === "rAX" || code === "1") {
    return { kind: "fixed", name: code };
  }
  const place = code.charAt(0);
  const size = code.slice(1);
  assert(isPlace(place) && /^(|b|w|d|q|dq|qq|v|y|z|sb)$/.test(size), `operand code ${code}`);
  return { kind: "placed", place, size, bits: sizeBits[size] ?? 0 };
};

const isSized = (code: OperandCode): boolean =>
  code.kind === "fixed" ? code.name === "rAX" : code.size === "v" || code.size === "y";

type Encoding = Omit<Form, "mnemonic" | "operands" | "sized">;

const maps: Readonly<Record<string, OpcodeMap>> = { "0F": 1, "0F38": 2, "0F3A": 3 };
const prefixes: Readonly<Record<string, 0x66 | 0xf2 | 0xf3>> = { 66: 0x66, F2: 0xf2, F3: 0xf3 };

/** Takes an encoding apart; `member` is the family member's number. */
const parseEncoding = (text: string, member: number): Encoding => {
  const tokens = text.split(" ");
  const next = (pattern: RegExp): string | undefined =>
    pattern.test(tokens[0] ?? "") ? tokens.shift() : undefined;
  const prefix = prefixes[next(/^(66|F2|F3)$/) ?? ""] ?? 0;
  const rexW = next(/^W$/) !== undefined;
  const vex = next(/^V(128|256)$/);
  const map = maps[next(/^0F(38|3A)?$/) ?? ""] ?? 0;
  const [, hex = "", plus = ""] = /^([0-9A-F]{2})(\+.*)?$/.exec(tokens.shift() ?? "") ?? [];
  const digit = next(/^\/[0-7n]$/);
  const modrm = next(/^[0-9A-F]{2}$/);
  const step = { "+8n": 8 * member, "+n": member }[plus] ?? 0;
  assert(hex !== "" && tokens.length === 0, `encoding ${text}`);
  return {
    prefix,
    w: rexW,
    map,
    opcode: Number.parseInt(hex, 16) + step,
    digit: digit === undefined ? undefined : digit === "/n" ? member : Number(digit.slice(1)),
    modrm: modrm === undefined ? undefined : Number.parseInt(modrm, 16),
    vexL: vex === undefined ? undefined : vex === "V256" ? 1 : 0,
  };
};

/** The members of the family that a row's mnemonic names, or the mnemonic itself. */
const members = (mnemonic: string): readonly string[] => {
  if (mnemonic === "ALU" || mnemonic === "SHIFT") return families[mnemonic];
  if (!mnemonic.endsWith("CC")) return [mnemonic];
  return families.CC.map((condition) => mnemonic.slice(0, -2) + condition);
};

const parseRow = ([row, operandText, encoding]: readonly [string, string, string]): Form[] => {
  const operands = operandText === "" ? [] : operandText.split(",").map(parseOperand);
  return members(row).flatMap((mnemonic, member) => {
    if (mnemonic === "") return [];
    const sized = operands.some(isSized);
    return [{ mnemonic, operands, sized, ...parseEncoding(encoding, member) }];
  });
};

/** All forms, in the table's order. */
export const allForms: readonly Form[] = rows.flatMap(parseRow);

const byMnemonic = new Map<string, Form[]>();
for (const form of allForms) {
  const found = byMnemonic.get(form.mnemonic);
  if (found === undefined) byMnemonic.set(form.mnemonic, [form]);
  else found.push(form);
}

/** Forms of one instruction, in the table's order; none for what is no mnemonic of the table. */
export const getForms = (mnemonic: string): readonly Form[] => byMnemonic.get(mnemonic) ?? [];

/** Whether the assembler knows an instruction of this name. */
export const isMnemonic = (name: string): name is Mnemonic => byMnemonic.has(name);
