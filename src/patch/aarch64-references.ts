/**
 * Where control may come from in an AArch64 program: see `code-references.ts`. A window is one
 * aligned instruction, so nothing leads into the middle of one; what matters is who calls a
 * function, who takes its address, and whether it jumps back to its own first instruction.
 */
import type { ElfFile } from "../elf/elf-file.ts";
import { addressOf, branchDistance, isAddress, isBranchLink } from "../isa/aarch64/place.ts";
import { lowerBound } from "../symbols/symbol-table.ts";
import { padSizeAt } from "./aarch64-sites.ts";
import { codeRanges, markData, type Range, viewOf } from "./code-ranges.ts";
import { type References, reference } from "./code-references.ts";

const wordBytes = 4;
/** ADD of an immediate to an X register (Arm ARM C6.2.5), with which ADRP's low bits come. */
const addMask = 0xffc0_0000;
const add = 0x9100_0000;

export class AArch64References implements References {
  /** First address of the code, and the bits of every word from there on. */
  readonly #base: number;
  readonly #bits: Uint8Array;

  /** @param starts where functions begin, ascending. */
  constructor(elf: ElfFile, starts: Float64Array) {
    const code = codeRanges(elf);
    const last = code.at(-1);
    const end = last === undefined ? 0 : last.addr + last.bytes.length;
    this.#base = code[0]?.addr ?? 0;
    this.#bits = new Uint8Array(Math.ceil((end - this.#base) / wordBytes));
    for (const range of code) this.#sweep(range, starts);
    markData(elf, (addr) => this.#mark(addr, reference.address));
  }

  at(addr: number): number {
    return this.#bits[(addr - this.#base) / wordBytes] ?? 0;
  }

  leadsInto(from: number, to: number): boolean {
    for (let addr = from + wordBytes; addr < to; addr += wordBytes) {
      if (this.at(addr) !== 0) return true;
    }
    return false;
  }

  /** No branch can hide: all instructions are as long, and branches are known by their bits. */
  isDecoded(): boolean {
    return true;
  }

  #mark(addr: number, bit: number): void {
    const index = (addr - this.#base) / wordBytes;
    if (Number.isInteger(index) && index >= 0 && index < this.#bits.length) {
      this.#bits[index] = (this.#bits[index] ?? 0) | bit;
    }
  }

  #sweep({ addr, bytes }: Range, starts: Float64Array): void {
    const view = viewOf(bytes);
    /** What the last ADRP of each register has put there. */
    const pages = new Float64Array(32);
    let next = lowerBound(starts, addr);
    let [start, pad] = [addr, 0];
    for (let at = 0; at + wordBytes <= bytes.length; at += wordBytes) {
      const here = addr + at;
      for (; (starts[next] ?? Number.POSITIVE_INFINITY) <= here; next++) {
        [start, pad] = [here, padSizeAt(bytes, at)];
      }
      const word = view.getUint32(at, true);
      const distance = branchDistance(word);
      if (distance !== undefined) {
        const target = here + distance;
        const isLoop = target === start || target === start + pad;
        const jump = isLoop ? reference.loop : reference.jump;
        this.#mark(target, isBranchLink(word) ? reference.call : jump);
      } else if (isAddress(word)) {
        const target = addressOf(word, here);
        pages[word & 31] = target;
        if (word >>> 31 === 0) this.#mark(target, reference.address);
      } else if ((word & addMask) >>> 0 === add) {
        const page = pages[(word >>> 5) & 31] ?? 0;
        this.#mark(page + ((word >>> 10) & 0xfff), reference.address);
      }
    }
  }
}
