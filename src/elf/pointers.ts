/**
 * Tables of addresses in a file, as the loader will leave them: in position-independent programs
 * a word's value is not where it stands but in the relocation for it.
 *
 * Source: gabi, "Relocation" and "Dynamic Section"; DT_RELR: its words hold their addends already.
 */
import { dynamicTag, relocationType, segmentType } from "./constants.ts";
import { bytesAtAddr, type ElfFile, type Section, sectionBytes } from "./elf-file.ts";

/** d_tag to d_un of the dynamic section, for tags that stand there once; DT_NEEDED is left out. */
export function dynamicEntries(elf: ElfFile): ReadonlyMap<number, number> {
  const entries = new Map<number, number>();
  const segment = elf.segments.find((s) => s.type === segmentType.dynamic);
  if (segment === undefined || elf.debugOnly) return entries;
  const bytes = bytesAtAddr(elf, segment.addr, segment.fileSize);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + 16 <= bytes.length; at += 16) {
    const tag = readWord(view, at);
    if (tag === dynamicTag.null) break;
    if (tag !== dynamicTag.needed) entries.set(tag, readWord(view, at + 8));
  }
  return entries;
}

/** The u64 at `at`, as a number; exact below 2^53 and larger than any address above. */
export const readWord = (view: DataView, at: number): number =>
  view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;

/** A table of Elf64_Rela entries, borrowed from the file. */
export type RelocationTable = { readonly view: DataView; readonly count: number };
/** Bytes of one Elf64_Rela: r_offset, r_info, r_addend. */
const relaBytes = 24;

function relocationTable(elf: ElfFile, addr: number, size: number): RelocationTable {
  const bytes = bytesAtAddr(elf, addr, size);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { view, count: Math.floor(bytes.length / relaBytes) };
}

/** The relocations the loader applies: DT_RELA's and the PLT's. Works without section headers. */
export function dynamicRelocations(elf: ElfFile): readonly RelocationTable[] {
  const entries = dynamicEntries(elf);
  const tables: RelocationTable[] = [];
  const add = (addr: number | undefined, size: number | undefined): void => {
    if (addr !== undefined && size !== undefined) tables.push(relocationTable(elf, addr, size));
  };
  add(entries.get(dynamicTag.rela), entries.get(dynamicTag.relaSize));
  add(entries.get(dynamicTag.jmprel), entries.get(dynamicTag.pltRelSize));
  return tables;
}

/** Calls `visit` for each relocation: no record is made, a table may have a million. */
export function forEachRelocation(
  table: RelocationTable,
  visit: (offset: number, type: number, symbol: number, addendAt: number) => void,
): void {
  const { view } = table;
  for (let i = 0, at = 0; i < table.count; i++, at += relaBytes) {
    visit(readWord(view, at), view.getUint32(at + 8, true), view.getUint32(at + 12, true), at + 16);
  }
}

/**
 * The u64 words of `section` after relocation by a load bias of 0: link addresses, for a table of
 * addresses. A word that depends on a symbol is left as it stands.
 */
export function readAddressTable(elf: ElfFile, section: Section): Float64Array {
  const bytes = sectionBytes(elf, section);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const words = new Float64Array(Math.floor(bytes.length / 8));
  for (let i = 0; i < words.length; i++) words[i] = readWord(view, i * 8);
  const { relative } = relocationType[elf.machine];
  for (const table of dynamicRelocations(elf)) {
    forEachRelocation(table, (offset, type, _symbol, addendAt) => {
      const index = (offset - section.addr) / 8;
      if (type !== relative || index < 0 || index >= words.length) return;
      if (Number.isInteger(index)) words[index] = readWord(table.view, addendAt);
    });
  }
  return words;
}
