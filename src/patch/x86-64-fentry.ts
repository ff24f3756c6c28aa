/**
 * `-pg -mfentry`: recognising a call of the profiler's `__fentry__`, directly, through the PLT, or
 * through the GOT. Such a call may be replaced: it does nothing for the function itself.
 */
import { bytesAtAddr, type ElfFile } from "../elf/elf-file.ts";
import { nameAt } from "../elf/string-table.ts";
import { symbolEntry, symbolSections } from "../elf/symbol-section.ts";
import type { Layout } from "./layout.ts";
import { branchSize, fentryCall5, fentryCall6 } from "./x86-64-layouts.ts";
import { slotJump, slotNames } from "./x86-64-slots.ts";

const fentryName = "__fentry__";

/** Where `__fentry__` is: its own addresses, and the GOT slots that will hold them. */
export type FentryTargets = {
  readonly functions: ReadonlySet<number>;
  readonly slots: ReadonlySet<number>;
};

/** Finds `__fentry__` by its symbols and by the relocations for it. */
export function findFentryTargets(elf: ElfFile): FentryTargets {
  const functions = new Set<number>();
  const slots = new Set<number>();
  const sections = symbolSections(elf);
  for (const table of sections) {
    for (let i = 1; i < table.count; i++) {
      const symbol = symbolEntry(table, i);
      if (symbol.value !== 0 && nameAt(table.names, symbol.name) === fentryName) {
        functions.add(symbol.value);
      }
    }
  }
  for (const [slot, name] of slotNames(elf)) if (name === fentryName) slots.add(slot);
  return { functions, slots };
}

/** The slot that a PLT entry at `addr` jumps through. */
const pltSlot = (elf: ElfFile, addr: number): number =>
  slotJump(bytesAtAddr(elf, addr, 16), addr)?.slot ?? -1;

/** The layout of the call of `__fentry__` at file offset `at`, mapped at `addr`; or what it is. */
export function fentryLayoutAt(
  targets: FentryTargets,
  elf: ElfFile,
  at: number,
  addr: number,
): Layout | "foreign-call" | "not-nop" {
  const { bytes, view } = elf;
  // A linker that knows the target makes `67 e8 rel32` of a call through the GOT.
  const prefix = bytes[at] === 0x67 ? 1 : 0;
  if (bytes[at + prefix] === 0xe8 && at + prefix + branchSize <= bytes.length) {
    const target = addr + prefix + branchSize + view.getInt32(at + prefix + 1, true);
    const known = targets.functions.has(target) || targets.slots.has(pltSlot(elf, target));
    if (!known) return "foreign-call";
    return prefix === 0 ? fentryCall5 : fentryCall6;
  }
  // ff 15: call *disp32(%rip)
  if (bytes[at] !== 0xff || bytes[at + 1] !== 0x15 || at + 6 > bytes.length) return "not-nop";
  const slot = addr + 6 + view.getInt32(at + 2, true);
  return targets.slots.has(slot) ? fentryCall6 : "foreign-call";
}
