/** RISC-V: decode, encode, effects and text of the table's instructions, per configuration. */

import { ensure } from "../../base/assert.ts";
import type { Effect } from "../effects.ts";
import type { Instruction, Isa } from "../isa.ts";
import { encodeForm, type Fields, indexForms, makeTable, once, type Table } from "../table.ts";
import { registersOf } from "./registers.ts";
import type { Arg } from "./slots.ts";
import { makeAliases, makeForms, type Options, type RiscvForm } from "./table.ts";

/** A RISC-V instruction; `mnemonic` is the table's name of its form, `c.addi` and not `addi`. */
export interface RiscvInstruction extends Instruction {
  readonly size: 2 | 4;
  readonly operands: Fields;
  /** The encoding: 16 or 32 bits, unsigned. */
  readonly word: number;
}

export interface RiscvIsa extends Isa<RiscvInstruction> {
  readonly xlen: 32 | 64;
  readonly table: Table<Arg>;
  readonly nopBytes: Uint8Array;
  readonly placeholder: Arg;
  /** The instruction with these fields; asserts that they fit. */
  instruction(mnemonic: string, operands: Fields): RiscvInstruction;
  /** Text without aliases: `jalr zero, 0(ra)` for `ret`. */
  formatPlain(insn: RiscvInstruction, pc: bigint): string;
}

/**
 * Length in bytes of the instruction that begins with this 16-bit parcel (Volume I, "Base
 * Instruction-Length Encoding"): 2 or 4; `undefined` for the reserved longer encodings.
 */
export const lengthOfParcel = (parcel: number): 2 | 4 | undefined => {
  if ((parcel & 3) !== 3) return 2;
  return (parcel & 0x1c) === 0x1c ? undefined : 4;
};

/** Little-endian bytes of an instruction. The caller owns them. */
export const bytesOf = (insn: RiscvInstruction): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(insn.size);
  for (let i = 0; i < insn.size; i++) bytes[i] = (insn.word >>> (8 * i)) & 0xff;
  return bytes;
};

const range = (from: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => from + i);

// Opcode and funct3; quadrant, funct3 and the bits below that tell the register formats apart.
const wordKeyBits = [...range(2, 5), ...range(12, 3)];
const parcelKeyBits = [...range(0, 2), ...range(10, 6)];

/** The ISA of a configuration; its table is built when it is first asked for. */
export function makeRiscv(options: Options): RiscvIsa {
  const { xlen } = options;
  const getTable = once(() => makeTable(`RV${xlen}`, makeForms(options), makeAliases(xlen)));
  const getIndex = once(() => {
    const { forms } = getTable();
    const ofSize = (size: number): RiscvForm[] =>
      forms.filter(({ pattern }) => pattern.sizeBytes === size);
    return {
      words: indexForms(ofSize(4), wordKeyBits),
      parcels: indexForms(ofSize(2), parcelKeyBits),
    };
  });
  const build = (of: RiscvForm, operands: Fields): RiscvInstruction => ({
    mnemonic: of.name,
    size: of.pattern.sizeBytes,
    operands,
    word: encodeForm(of, operands),
  });

  const decode = (bytes: Uint8Array, offset: number): RiscvInstruction | undefined => {
    const low = bytes[offset];
    const next = bytes[offset + 1];
    if (low === undefined || next === undefined) return undefined;
    const parcel = low | (next << 8);
    const size = lengthOfParcel(parcel);
    if (size === undefined || offset + size > bytes.length) return undefined;
    const high = size === 4 ? ensure(bytes[offset + 2], "parcel") : 0;
    const top = size === 4 ? ensure(bytes[offset + 3], "parcel") : 0;
    const word = (parcel | (high << 16) | (top << 24)) >>> 0;
    const { words, parcels } = getIndex();
    const found = (size === 2 ? parcels : words).find(word);
    if (found === undefined) return undefined;
    return { mnemonic: found.form.name, size, operands: found.fields, word };
  };

  return {
    name: xlen === 32 ? "riscv32" : "riscv64",
    xlen,
    wordBytes: xlen === 32 ? 4 : 8,
    instructionAlign: 2,
    registers: registersOf(xlen),
    stackPointer: "sp",
    get table() {
      return getTable();
    },
    nopBytes: Uint8Array.of(0x13, 0, 0, 0),
    placeholder: 0,
    decode,
    instruction: (mnemonic, operands) => build(getTable().form(mnemonic), operands),
    effects: (insn): readonly Effect[] => getTable().form(insn.mnemonic).effects(insn.operands),
    format: (insn, pc) => getTable().format(insn.mnemonic, insn.operands, pc),
    formatPlain: (insn, pc) => getTable().formatPlain(insn.mnemonic, insn.operands, pc),
  };
}

/** RV64GC with the extensions of the table; Zcd's compressed double loads and stores. */
export const riscv64: RiscvIsa = makeRiscv({ xlen: 64, zcmt: false });
export const riscv32: RiscvIsa = makeRiscv({ xlen: 32, zcmt: false });

/** The same with Zcmt's table jumps in the place of c.fsdsp. */
export const riscv64Zcmt: RiscvIsa = makeRiscv({ xlen: 64, zcmt: true });
export const riscv32Zcmt: RiscvIsa = makeRiscv({ xlen: 32, zcmt: true });
