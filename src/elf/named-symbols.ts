/**
 * Symbols of a file by name, data and functions alike, with the source file that a local one
 * belongs to: several files may have a static variable of one name.
 */
import { relocationType, symbolBinding, symbolType } from "./constants.ts";
import type { ElfFile } from "./elf-file.ts";
import { dynamicRelocations, forEachRelocation } from "./pointers.ts";
import { nameAt } from "./string-table.ts";
import { dynamicSymbols, symbolEntry, symbolSections } from "./symbol-section.ts";

export type NamedSymbol = {
  readonly name: string;
  readonly kind: "function" | "data" | "thread-local";
  readonly isLocal: boolean;
  /** Base name of the source file, for local symbols. */
  readonly source: string | undefined;
  /** Link address; for thread-local data an offset in the thread's block. */
  readonly addr: number;
  /** Bytes; 0 when the symbol does not say. */
  readonly size: number;
};

const threadLocal = 6;
const kinds: ReadonlyMap<number, NamedSymbol["kind"]> = new Map([
  [symbolType.object, "data"],
  [symbolType.func, "function"],
  [symbolType.ifunc, "function"],
  [symbolType.notype, "data"],
  [threadLocal, "thread-local"],
]);

/** All defined symbols of `elf` that `isWanted` names; one address once a name. */
export function findSymbols(
  elf: ElfFile,
  isWanted: (name: string) => boolean,
): ReadonlyMap<string, readonly NamedSymbol[]> {
  const found = new Map<string, NamedSymbol[]>();
  for (const table of symbolSections(elf)) {
    let source: string | undefined;
    for (let i = 1; i < table.count; i++) {
      const entry = symbolEntry(table, i);
      const type = entry.info & 15;
      if (type === symbolType.file) {
        source = nameAt(table.names, entry.name);
        continue;
      }
      const kind = kinds.get(type);
      if (kind === undefined || entry.sectionIndex === 0 || entry.name === 0) continue;
      const name = nameAt(table.names, entry.name);
      if (!isWanted(name)) continue;
      const isLocal = entry.info >> 4 === symbolBinding.local;
      const known = found.get(name) ?? [];
      if (known.some(({ addr }) => addr === entry.value)) continue;
      const { value: addr, size } = entry;
      known.push({ name, kind, isLocal, source: isLocal ? source : undefined, addr, size });
      found.set(name, known);
    }
  }
  return found;
}

/** Whether the loader has to find one of `names` for `elf` in another file. */
export function importsAny(elf: ElfFile, names: ReadonlySet<string>): boolean {
  const table = dynamicSymbols(elf);
  if (table === undefined) return false;
  for (let i = 1; i < table.count; i++) {
    const entry = symbolEntry(table, i);
    if (entry.sectionIndex === 0 && names.has(nameAt(table.names, entry.name))) return true;
  }
  return false;
}

/** An undefined symbol that a library's loader fills in, and where. */
export type LooseEnd = {
  readonly name: string;
  readonly isWeak: boolean;
  /** Link addresses of the words that hold its address, and what is added to it. */
  readonly words: readonly { readonly at: number; readonly addend: number }[];
};

/** The undefined symbols of a shared library, by name. */
export function findLooseEnds(elf: ElfFile): readonly LooseEnd[] {
  const found = new Map<string, { isWeak: boolean; words: { at: number; addend: number }[] }>();
  const dynamic = dynamicSymbols(elf);
  if (dynamic === undefined) return [];
  const types = relocationType["x86-64"];
  const holdsAddress = new Set<number>([types.absolute, types.globDat, types.jumpSlot]);
  for (const relocations of dynamicRelocations(elf)) {
    forEachRelocation(relocations, (at, type, symbol, addendAt) => {
      if (!holdsAddress.has(type) || symbol === 0 || symbol >= dynamic.count) return;
      const entry = symbolEntry(dynamic, symbol);
      if (entry.sectionIndex !== 0) return;
      const name = nameAt(dynamic.names, entry.name);
      const isWeak = entry.info >> 4 === symbolBinding.weak;
      const one = found.get(name) ?? { isWeak, words: [] };
      const addend = type === types.absolute ? relocations.view.getBigInt64(addendAt, true) : 0n;
      one.words.push({ at, addend: Number(addend) });
      found.set(name, one);
    });
  }
  return [...found].map(([name, one]) => ({ name, ...one }));
}
