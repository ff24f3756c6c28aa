/**
 * Sites in the procedure linkage table: what a program calls in its libraries, without a touch at
 * these. An entry begins with an indirect jump through a slot that the loader fills; that
 * instruction is moved out of line, as a prologue is, and so goes on to read the slot at each call:
 * lazy binding works as ever.
 *
 *     name@plt:  [endbr64] [bnd] ff 25 disp32   jmp *slot(%rip)
 *
 * Source: System V ABI, AMD64 supplement, "Procedure Linkage Table"; with `-z ibtplt` the jumps
 * are in `.plt.sec`, and the entries of `.plt` push and jump.
 */
import { fileOffset, linkAddr } from "../base/brand.ts";
import { type ElfFile, type Section, sectionsNamed } from "../elf/elf-file.ts";
import { whyEntriesOnlyByName } from "./entries-only.ts";
import { prologue } from "./prologue-layout.ts";
import type { SiteCandidate, SiteList } from "./site.ts";
import { branchSize } from "./x86-64-layouts.ts";
import { slotJump, slotNames } from "./x86-64-slots.ts";

const tables = [".plt", ".plt.sec", ".plt.got"] as const;
/** Bytes of an entry where the section does not say it. */
const entryBytesDefault = 16;
function* sitesIn(
  elf: ElfFile,
  section: Section,
  names: ReadonlyMap<number, string>,
): Generator<SiteCandidate> {
  const step = section.entrySize || entryBytesDefault;
  for (let at = 0; at + step <= section.size; at += step) {
    const addr = section.addr + at;
    const place = section.offset + at;
    const jump = slotJump(elf.bytes.subarray(place, place + step), addr);
    const name = jump === undefined ? undefined : names.get(jump.slot);
    if (jump === undefined || name === undefined) continue;
    const window = place + jump.from;
    const entriesOnly = whyEntriesOnlyByName(name);
    yield {
      addr: linkAddr(BigInt(addr + jump.from)),
      functionAddr: linkAddr(BigInt(addr)),
      symbol: `${name}@plt`,
      layout: prologue,
      compiled: elf.bytes.subarray(window, window + branchSize),
      fileOffset: fileOffset(window),
      literal: undefined,
      displaced: elf.bytes.subarray(window, window + jump.size),
      ...(entriesOnly === undefined ? {} : { entriesOnly }),
    };
  }
}

/**
 * The calls of libraries' functions that `elf` can make, each under the function's name with
 * `@plt` behind it. Calls through pointers, `-fno-plt`'s among them, are not seen.
 * @throws FormatError where the file is damaged.
 */
export function findPltSites(elf: ElfFile): SiteList {
  const names = slotNames(elf);
  const sections = tables.flatMap((name) => sectionsNamed(elf, name));
  const sites = sections.flatMap((section) => [...sitesIn(elf, section, names)]);
  return { sites: sites.sort((a, b) => (a.addr < b.addr ? -1 : 1)), refused: [] };
}
