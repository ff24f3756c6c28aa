/**
 * Notes of static probes (USDT): what `DTRACE_PROBE` and `STAP_PROBE` of <sys/sdt.h> leave in a
 * file, one note for each place.
 *
 * Source: SystemTap, "User Space Probe Implementation"; a note's data are three addresses (the
 * probe's, that of `.stapsdt.base` when it was linked, the semaphore's) and three strings.
 */
import { type LinkAddr, linkAddr } from "../base/brand.ts";
import { type ElfFile, findSection, sectionBytes, sectionsNamed } from "./elf-file.ts";
import { eachNote } from "./notes.ts";
import { readWord } from "./pointers.ts";
import { readString } from "./string-table.ts";

export type SdtProbe = {
  readonly provider: string;
  readonly name: string;
  /** The no-op that marks the place. */
  readonly addr: LinkAddr;
  /** A u16 of data: not 0 while somebody listens. Absent where the program does not ask. */
  readonly semaphore: LinkAddr | undefined;
  /** Where the probe's values are, as the assembler saw them: `-4@%edx 8@-16(%rbp)`. */
  readonly operands: string;
};

const noteType = 3;
const addressBytes = 8;
const stringsAt = 3 * addressBytes;

/** The static probes of `elf`, in the order of the file; notes that are damaged are left out. */
export function sdtProbes(elf: ElfFile): readonly SdtProbe[] {
  const probes: SdtProbe[] = [];
  const base = findSection(elf, ".stapsdt.base");
  for (const section of sectionsNamed(elf, ".note.stapsdt")) {
    for (const { owner, type, data } of eachNote(sectionBytes(elf, section))) {
      if (owner !== "stapsdt" || type !== noteType || data.length <= stringsAt) continue;
      const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
      const linkedBase = readWord(view, addressBytes);
      // Prelinking moves sections, but not what notes say of them.
      const moved = base === undefined || linkedBase === 0 ? 0 : base.addr - linkedBase;
      const semaphore = readWord(view, 2 * addressBytes);
      const nameAt = data.indexOf(0, stringsAt) + 1;
      const operandsAt = data.indexOf(0, nameAt) + 1;
      if (nameAt === 0 || operandsAt === 0) continue;
      probes.push({
        provider: readString(data, stringsAt),
        name: readString(data, nameAt),
        addr: linkAddr(BigInt(readWord(view, 0) + moved)),
        semaphore: semaphore === 0 ? undefined : linkAddr(BigInt(semaphore + moved)),
        operands: readString(data, operandsAt),
      });
    }
  }
  return probes;
}
