/**
 * `-pg -mfentry`: recognising a call of the profiler's `__fentry__`, directly, through the PLT, or
 * through the GOT. Such a call may be replaced: it does nothing for the function itself.
 */
import { relocationType } from "../elf/constants.ts";
import { bytesAtAddr, type ElfFile } from "../elf/elf-file.ts";
import { dynamicRelocations, forEachRelocation } from "../elf/pointers.ts";
import { nameAt } from "../elf/string-table.ts";
import { symbolEntry, symbolSections } from "../elf/symbol-section.ts";
import type { Layout } from "./layout.ts";
import { branchSize, fentryCall5, fentryCall6, isEndbr64 } from "./x86-64-layouts.ts";

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
  // Relocations count symbols in the dynamic table, which stands last.
  const dynamic = sections.at(-1);
  const { globDat, jumpSlot } = relocationType["x86-64"];
  for (const table of dynamicRelocations(elf)) {
    forEachRelocation(table, (offset, type, index) => {
      if (dynamic === undefined || (type !== globDat && type !== jumpSlot)) return;
      if (index >= dynamic.count) return;
      if (nameAt(dynamic.names, symbolEntry(dynamic, index).name) === fentryName) slots.add(offset);
    });
  }
  return { functions, slots };
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Address of the slot in `ff /op disp32(%rip)` at `bytes[at]`, mapped at `addr`; -1: not that. */
function slotOf(bytes: Uint8Array, at: number, addr: number, modRm: number): number {
  if (bytes[at] !== 0xff || bytes[at + 1] !== modRm || at + 6 > bytes.length) return -1;
  return addr + 6 + viewOf(bytes).getInt32(at + 2, true);
}

/** The slot that a PLT entry at `addr` jumps through: `[endbr64] [bnd] jmp *disp32(%rip)`. */
function pltSlot(elf: ElfFile, addr: number): number {
  const bytes = bytesAtAddr(elf, addr, 16);
  let at = isEndbr64(bytes, 0) ? 4 : 0;
  if (bytes[at] === 0xf2) at++;
  return slotOf(bytes, at, addr + at, 0x25);
}

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
  const slot = slotOf(bytes, at, addr, 0x15);
  if (slot < 0) return "not-nop";
  return targets.slots.has(slot) ? fentryCall6 : "foreign-call";
}
