/**
 * Symbol tables as the file has them: `.symtab` and `.dynsym`, and the dynamic one without section
 * headers. Source: gabi, "Symbol Table" and "Hash Table"; GNU's hash table for the count.
 */
import { dynamicTag, sectionType } from "./constants.ts";
import { bytesAtAddr, type ElfFile, type Section, sectionBytes } from "./elf-file.ts";
import { dynamicEntries, readWord } from "./pointers.ts";
import { type StringTable, stringTable } from "./string-table.ts";

/** Bytes of one Elf64_Sym. */
export const symbolBytes = 24;

/** One symbol table of a file: `count` entries of 24 bytes in `view` (borrowed) and their names. */
export type SymbolSection = {
  readonly view: DataView;
  readonly count: number;
  readonly names: StringTable;
};

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function fromSection(elf: ElfFile, section: Section): SymbolSection {
  const bytes = sectionBytes(elf, section);
  const strings = elf.sections[section.link];
  const names = strings === undefined ? new Uint8Array(0) : sectionBytes(elf, strings);
  const count = Math.floor(bytes.length / symbolBytes);
  return { view: viewOf(bytes), count, names: stringTable(names) };
}

/** Entries in the symbol table that DT_GNU_HASH covers: one more than the last of the chains. */
function countByGnuHash(elf: ElfFile, addr: number): number {
  const bytes = bytesAtAddr(elf, addr, Number.MAX_SAFE_INTEGER);
  if (bytes.length < 16) return 0;
  const view = viewOf(bytes);
  const bucketCount = view.getUint32(0, true);
  const firstHashed = view.getUint32(4, true);
  const bucketsAt = 16 + view.getUint32(8, true) * 8;
  const chainsAt = bucketsAt + bucketCount * 4;
  if (chainsAt > bytes.length) return 0;
  let last = 0;
  for (let i = 0; i < bucketCount; i++) {
    last = Math.max(last, view.getUint32(bucketsAt + i * 4, true));
  }
  if (last < firstHashed) return firstHashed;
  for (let at = chainsAt + (last - firstHashed) * 4; at + 4 <= bytes.length; at += 4) {
    last++;
    if ((view.getUint32(at, true) & 1) === 1) return last;
  }
  return 0;
}

/** The symbols that the loader knows; undefined where there is nothing to be loaded. */
export function dynamicSymbols(elf: ElfFile): SymbolSection | undefined {
  const section = elf.sections.find(({ type }) => type === sectionType.dynsym);
  // Without sections the hash table has to tell how many there are, which counts no undefined ones.
  return section === undefined ? fromDynamic(elf) : fromSection(elf, section);
}

function fromDynamic(elf: ElfFile): SymbolSection | undefined {
  const entries = dynamicEntries(elf);
  const symbolsAddr = entries.get(dynamicTag.symtab);
  const stringsAddr = entries.get(dynamicTag.strtab);
  if (symbolsAddr === undefined || stringsAddr === undefined) return undefined;
  const gnuHash = entries.get(dynamicTag.gnuHash);
  const hash = entries.get(dynamicTag.hash);
  let count = gnuHash === undefined ? 0 : countByGnuHash(elf, gnuHash);
  if (count === 0 && hash !== undefined) {
    const header = bytesAtAddr(elf, hash, 8);
    if (header.length === 8) count = viewOf(header).getUint32(4, true);
  }
  const bytes = bytesAtAddr(elf, symbolsAddr, count * symbolBytes);
  const strings = bytesAtAddr(elf, stringsAddr, entries.get(dynamicTag.strSize) ?? 0);
  const inFile = Math.floor(bytes.length / symbolBytes);
  return { view: viewOf(bytes), count: inFile, names: stringTable(strings) };
}

/** The file's symbol tables, `.symtab` first; `.dynsym` through PT_DYNAMIC without sections. */
export function symbolSections(elf: ElfFile): readonly SymbolSection[] {
  const wanted = [sectionType.symtab, sectionType.dynsym];
  const tables = wanted.flatMap((type) =>
    elf.sections.filter((s) => s.type === type).map((s) => fromSection(elf, s)),
  );
  if (tables.length > 0) return tables;
  const dynamic = fromDynamic(elf);
  return dynamic === undefined ? [] : [dynamic];
}

/** One symbol, decoded. For loops over all symbols read `view` instead. */
export type ElfSymbol = {
  readonly name: number;
  readonly info: number;
  readonly sectionIndex: number;
  readonly value: number;
  readonly size: number;
};

/** Entry `index` of `table`. */
export function symbolEntry(table: SymbolSection, index: number): ElfSymbol {
  const at = index * symbolBytes;
  const { view } = table;
  return {
    name: view.getUint32(at, true),
    info: view.getUint8(at + 4),
    sectionIndex: view.getUint16(at + 6, true),
    value: readWord(view, at + 8),
    size: readWord(view, at + 16),
  };
}
