/**
 * Where control may come from in an x86-64 program: every place in its code that a branch goes to,
 * that is called, or whose address is taken, by one pass over all of its code and data. A place
 * that is named nowhere is reached only from the instruction before it.
 *
 * What is looked at: distances of branches and rip-relative operands; 32-bit immediates of programs
 * at fixed addresses; words of data that name code, and relocations that will make such words;
 * tables of 32-bit distances from themselves, as compilers write for `switch`. Data that only
 * looks like an address errs to the safe side.
 */
import { bytesAtAddr, type ElfFile } from "../elf/elf-file.ts";
import { decodeInto, Instruction } from "../isa/x86-64/decode-into.ts";
import { attribute, flows } from "../isa/x86-64/opcode-attributes.ts";
import { lowerBound } from "../symbols/symbol-table.ts";
import { codeRanges, markData, type Range, viewOf } from "./code-ranges.ts";

/**
 * How a place in the code is named; bits. `loop`: the function's own code jumps to its first
 * instruction, or to the one behind its landing pad.
 */
export const reference = { jump: 1, call: 2, address: 4, loop: 8 } as const;

/** What leads where in a program's code. */
export type References = {
  /** How `addr` is named: `reference` bits. */
  at(addr: number): number;
  /** Whether anything but calls of functions leads into (`from`, `to`): both ends are left out. */
  leadsInto(from: number, to: number): boolean;
  /** Whether all of [`from`, `to`) could be decoded. */
  isDecoded(from: number, to: number): boolean;
};

/** Entries of a jump table at the most. */
const tableEntriesMax = 1 << 16;
const leaOpcode = 0x8d;
const jumpFlow = flows.indexOf("jump");
const branchFlow = flows.indexOf("branch");
const callFlow = flows.indexOf("call");
const indirectJumpFlow = flows.indexOf("indirectJump");

const landingPadBytes = 4;
const isEntry = (offset: number): boolean => offset === 0 || offset === landingPadBytes;

export class CodeReferences implements References {
  /** First address of the code, and the bits of every byte from there on. */
  readonly #base: number;
  readonly #bits: Uint8Array;
  readonly #elf: ElfFile;
  /** Places where no instruction stands although a function should; ascending. */
  readonly #undecodable: number[] = [];
  /** Data that the code takes the address of, and what of it may be a jump table. */
  readonly #data: number[] = [];
  readonly #tables: number[] = [];

  /**
   * Looks through all of `elf`.
   * @param starts where functions begin, ascending: decoding starts anew at each.
   */
  constructor(elf: ElfFile, starts: Float64Array) {
    this.#elf = elf;
    const code = codeRanges(elf);
    const last = code.at(-1);
    this.#base = code[0]?.addr ?? 0;
    this.#bits = new Uint8Array(
      last === undefined ? 0 : last.addr + last.bytes.length - this.#base,
    );
    for (const range of code) this.#sweep(range, starts);
    this.#readTables();
    markData(elf, (addr) => this.#mark(addr, reference.address));
  }

  at(addr: number): number {
    return this.#bits[addr - this.#base] ?? 0;
  }

  leadsInto(from: number, to: number): boolean {
    for (let addr = from + 1; addr < to; addr++) if (this.at(addr) !== 0) return true;
    return false;
  }

  isDecoded(from: number, to: number): boolean {
    const list = this.#undecodable;
    let low = 0;
    let high = list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((list[middle] ?? 0) < from) low = middle + 1;
      else high = middle;
    }
    return low === list.length || (list[low] ?? 0) >= to;
  }

  #mark(addr: number, bit: number): void {
    const index = addr - this.#base;
    if (index >= 0 && index < this.#bits.length) {
      this.#bits[index] = (this.#bits[index] ?? 0) | bit;
    }
  }

  /** Decodes a piece of code from one function's beginning to the next one's. */
  #sweep({ addr, bytes }: Range, starts: Float64Array): void {
    const end = addr + bytes.length;
    let next = lowerBound(starts, addr);
    for (let from = addr; from < end; next++) {
      const to = Math.min(end, starts[next] ?? end);
      if (to > from) this.#sweepFunction(bytes, addr, from - addr, to - addr);
      from = Math.max(from, to);
      if (to === end) break;
    }
  }

  #sweepFunction(bytes: Uint8Array, addr: number, from: number, to: number): void {
    const instruction = new Instruction();
    const view = viewOf(bytes);
    const isFixed = this.#elf.kind === "fixed";
    const tables: number[] = [];
    let hasIndirectJump = false;
    for (let offset = from; offset < to; ) {
      const length = decodeInto(bytes, offset, instruction);
      if (length === 0) {
        this.#undecodable.push(addr + offset);
        offset++;
        continue;
      }
      const end = addr + offset + length;
      const { word, immediateBytes, modrm } = instruction;
      const flow = (word >> attribute.flowShift) & attribute.flowMask;
      if ((word & attribute.distance) !== 0) {
        const at = offset + instruction.immediateOffset;
        const distance = immediateBytes === 1 ? view.getInt8(at) : view.getInt32(at, true);
        if (flow === callFlow) this.#mark(end + distance, reference.call);
        else if (flow === jumpFlow || flow === branchFlow) {
          const isLoop = isEntry(end + distance - addr - from);
          this.#mark(end + distance, isLoop ? reference.loop : reference.jump);
        } else this.#mark(end + distance, reference.address);
      } else if (isFixed && immediateBytes === 4) {
        this.#mark(view.getUint32(offset + instruction.immediateOffset, true), reference.address);
      }
      if (modrm >= 0 && (modrm & 0xc7) === 5 && (word & attribute.modIgnored) === 0) {
        const target = end + view.getInt32(offset + instruction.displacementOffset, true);
        this.#mark(target, reference.address);
        if (instruction.map === 0 && instruction.opcode === leaOpcode) tables.push(target);
        else this.#data.push(target);
      }
      hasIndirectJump ||= flow === indirectJumpFlow;
      offset += length;
    }
    for (const table of tables) {
      this.#data.push(table);
      if (hasIndirectJump) this.#tables.push(table);
    }
  }

  /** Reads all tables, each up to the next thing whose address the code takes. */
  #readTables(): void {
    const data = Float64Array.from(this.#data).sort();
    for (const table of this.#tables) {
      const next = data[lowerBound(data, table + 1)] ?? Number.POSITIVE_INFINITY;
      this.#readTable(table, Math.min(tableEntriesMax * 4, next - table));
    }
    this.#data.length = 0;
    this.#tables.length = 0;
  }

  /** Marks what a table of distances from itself leads to, as far as it leads to code. */
  #readTable(table: number, size: number): void {
    const bytes = bytesAtAddr(this.#elf, table, size);
    const view = viewOf(bytes);
    for (let at = 0; at + 4 <= bytes.length; at += 4) {
      const index = table + view.getInt32(at, true) - this.#base;
      if (index < 0 || index >= this.#bits.length) return;
      this.#mark(index + this.#base, reference.address);
    }
  }
}
