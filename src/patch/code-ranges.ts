/** The code of a program, the data that may name it, and the addresses that this data names. */
import { relocationType, sectionFlag, sectionType, segmentFlag } from "../elf/constants.ts";
import { bytesAtAddr, type ElfFile, loadSegments } from "../elf/elf-file.ts";
import { dynamicRelocations, forEachRelocation, readWord } from "../elf/pointers.ts";

/** A piece of the file that is mapped: [addr, addr + bytes.length). */
export type Range = { readonly addr: number; readonly bytes: Uint8Array };

/** Executable pieces: sections where there are some, since a segment may hold data too. */
export function codeRanges(elf: ElfFile): readonly Range[] {
  const wanted = sectionFlag.alloc | sectionFlag.execute;
  const sections = elf.sections.filter(
    ({ flags, type }) => (flags & wanted) === wanted && type === sectionType.progbits,
  );
  const ranges = sections.length > 0 ? sections : executableSegments(elf);
  return ranges
    .map(({ addr, size }) => ({ addr, bytes: bytesAtAddr(elf, addr, size) }))
    .sort((a, b) => a.addr - b.addr);
}

const executableSegments = (elf: ElfFile) =>
  loadSegments(elf)
    .filter(({ flags }) => (flags & segmentFlag.execute) !== 0)
    .map(({ addr, fileSize }) => ({ addr, size: fileSize }));

/** Pieces that hold data. */
function dataRanges(elf: ElfFile): readonly Range[] {
  return loadSegments(elf)
    .filter(({ flags }) => (flags & segmentFlag.execute) === 0)
    .map(({ addr, fileSize }) => ({ addr, bytes: bytesAtAddr(elf, addr, fileSize) }));
}

export const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/**
 * Tells `mark` each address that words of data may hold (in programs at fixed addresses, and
 * DT_RELR's), or that relocations will put there. Most of them are not of code.
 */
export function markData(elf: ElfFile, mark: (addr: number) => void): void {
  for (const { addr, bytes } of dataRanges(elf)) {
    const view = viewOf(bytes);
    for (let at = (8 - (addr % 8)) % 8; at + 8 <= bytes.length; at += 8) {
      if (view.getUint16(at + 6, true) === 0) mark(readWord(view, at));
    }
  }
  const { relative } = relocationType[elf.machine];
  for (const table of dynamicRelocations(elf)) {
    forEachRelocation(table, (_offset, type, _symbol, addendAt) => {
      if (type === relative) mark(readWord(table.view, addendAt));
    });
  }
}
