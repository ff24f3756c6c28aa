/**
 * Mini debug info: the symbols of a stripped program's functions, as an ELF file of their own in
 * `.gnu_debugdata`, compressed by xz; Fedora and its relatives ship it. Unpacked by the command
 * `xz`: without that the names are missing, as they are where the section is damaged.
 *
 * Source: GDB manual, "Debugging information in a special section".
 */
import { spawnSync } from "node:child_process";
import { FormatError } from "../base/cursor.ts";
import { type ElfFile, findSection, parseElf, sectionBytes } from "../elf/elf-file.ts";

/** The largest that is unpacked, in bytes. */
const unpackedBytesMax = 512 << 20;

/** The ELF file in `elf`'s `.gnu_debugdata`; undefined when there is none that can be read. */
export function readMiniDebugInfo(elf: ElfFile): ElfFile | undefined {
  const section = findSection(elf, ".gnu_debugdata");
  if (section === undefined) return undefined;
  const input = sectionBytes(elf, section);
  const { status, stdout } = spawnSync("xz", ["-dc"], { input, maxBuffer: unpackedBytesMax });
  if (status !== 0) return undefined;
  try {
    return parseElf(stdout, { debugOnly: true });
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}
