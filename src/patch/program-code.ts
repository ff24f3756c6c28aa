/** A program's code with all that leads into it: what moving instructions out of it relies on. */
import type { ElfFile } from "../elf/elf-file.ts";
import { type FrameEntries, frameEntries } from "../elf/frame-entries.ts";
import type { SymbolTable } from "../symbols/symbol-table.ts";
import { AArch64References } from "./aarch64-references.ts";
import { CodeReferences, type References } from "./code-references.ts";

/** What is known of a program's code: all of it was decoded. */
export type ProgramCode = {
  readonly elf: ElfFile;
  readonly symbols: SymbolTable;
  readonly frames: FrameEntries;
  readonly references: References;
  /** Where anything begins, ascending. */
  readonly starts: Float64Array;
};

/** Both lists in one, ascending, each value once. */
function merge(a: Float64Array, b: Float64Array): Float64Array {
  const all = new Float64Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all.sort().filter((value, i) => value !== all[i - 1]);
}

/** Decodes all of an x86-64 or AArch64 program: seconds for the largest. */
export function readProgramCode(elf: ElfFile, symbols: SymbolTable): ProgramCode {
  const frames = frameEntries(elf);
  const starts = merge(symbols.addrs, frames.starts);
  const References = elf.machine === "aarch64" ? AArch64References : CodeReferences;
  return { elf, symbols, frames, starts, references: new References(elf, starts) };
}
