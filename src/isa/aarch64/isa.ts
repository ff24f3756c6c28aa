/** AArch64: decode, encode, effects and text of the table's instructions. */

import type { Effect } from "../effects.ts";
import type { Instruction, Isa } from "../isa.ts";
import { encodeForm, type Fields, indexForms, makeTable, once, type Table } from "../table.ts";
import { makeAliases } from "./aliases.ts";
import { registers } from "./registers.ts";
import type { Arg } from "./slots.ts";
import { makeForms } from "./table.ts";

/** An AArch64 instruction. */
export interface AArch64Instruction extends Instruction {
  readonly size: 4;
  /** The table's unique name of the form: `add.x.imm`. */
  readonly form: string;
  readonly operands: Fields;
  /** The encoding, unsigned. */
  readonly word: number;
}

export interface AArch64Isa extends Isa<AArch64Instruction> {
  readonly table: Table<Arg>;
  readonly nopBytes: Uint8Array;
  readonly placeholder: Arg;
  /** The instruction of this form with these fields; asserts that they fit. */
  instruction(form: string, operands: Fields): AArch64Instruction;
  /** The instruction that a word encodes, or `undefined`. */
  decodeWord(word: number): AArch64Instruction | undefined;
  /**
   * Whether the word may be replaced, while others execute it, by another instruction of which
   * this is true too, without any synchronisation on their side (Arm ARM B2.2.5).
   */
  isConcurrentlyModifiable(insn: AArch64Instruction): boolean;
}

/** Little-endian bytes of an instruction. The caller owns them. */
export const bytesOf = ({ word }: AArch64Instruction): Uint8Array<ArrayBuffer> =>
  Uint8Array.of(word & 0xff, (word >>> 8) & 0xff, (word >>> 16) & 0xff, word >>> 24);

// Tables take tens of milliseconds to build: a program that never asks does not wait for them.
const getTable = once(() => {
  const forms = makeForms();
  return makeTable("AArch64", forms, makeAliases(forms));
});

// Bits 31 to 21 tell most classes apart.
const keyBits = [21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31];
const getIndex = once(() => indexForms(getTable().forms, keyBits));

const decodeWord = (word: number): AArch64Instruction | undefined => {
  const found = getIndex().find(word);
  if (found === undefined) return undefined;
  const { form, fields } = found;
  return { mnemonic: form.mnemonic, form: form.name, size: 4, operands: fields, word };
};

export const aarch64: AArch64Isa = {
  name: "aarch64",
  wordBytes: 8,
  instructionAlign: 4,
  registers,
  stackPointer: "sp",
  get table() {
    return getTable();
  },
  nopBytes: Uint8Array.of(0x1f, 0x20, 0x03, 0xd5),
  placeholder: 0,
  decodeWord,
  decode: (bytes, offset) => {
    const [a, b, c, d] = bytes.subarray(offset, offset + 4);
    if (a === undefined || b === undefined || c === undefined || d === undefined) return undefined;
    return decodeWord((a | (b << 8) | (c << 16) | (d << 24)) >>> 0);
  },
  instruction: (name, operands) => {
    const form = getTable().form(name);
    const word = encodeForm(form, operands);
    return { mnemonic: form.mnemonic, form: name, size: 4, operands, word };
  },
  effects: (insn): readonly Effect[] => getTable().form(insn.form).effects(insn.operands),
  format: (insn, pc) => getTable().format(insn.form, insn.operands, pc),
  isConcurrentlyModifiable: (insn) => getTable().form(insn.form).cmodx === true,
};
