/**
 * Notes (gabi, "Note Section"), of which the build-id is the one Patchbay wants: it says whether
 * two files, or a file and a process, are the same program.
 */
import { sectionType, segmentType } from "./constants.ts";
import { bytesAtAddr, type ElfFile, sectionBytes } from "./elf-file.ts";

const noteBuildId = 3;
const sectionTypeNote = 7;
const noteHeaderBytes = 12;
const align4 = (value: number): number => (value + 3) & ~3;

/** One note: who defined its types, and its data (borrowed). */
export type Note = { readonly owner: string; readonly type: number; readonly data: Uint8Array };

/** The notes of a section or segment. Ends at the first that is damaged. */
export function* eachNote(bytes: Uint8Array): Generator<Note> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + noteHeaderBytes <= bytes.length; ) {
    const nameSize = view.getUint32(at, true);
    const dataSize = view.getUint32(at + 4, true);
    const nameAt = at + noteHeaderBytes;
    const dataAt = nameAt + align4(nameSize);
    // Sizes are checked before they are used.
    if (nameSize > bytes.length || dataSize > bytes.length || dataAt + dataSize > bytes.length) {
      return;
    }
    yield {
      // Without the zero that ends it.
      owner: new TextDecoder().decode(bytes.subarray(nameAt, nameAt + Math.max(0, nameSize - 1))),
      type: view.getUint32(at + 8, true),
      data: bytes.subarray(dataAt, dataAt + dataSize),
    };
    at = dataAt + align4(dataSize);
  }
}

/** The build-id in a note segment's bytes, as lower-case hex digits. */
export function buildIdInNotes(bytes: Uint8Array): string | undefined {
  for (const { owner, type, data } of eachNote(bytes)) {
    if (owner !== "GNU" || type !== noteBuildId) continue;
    return Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }
  return undefined;
}

/** The file's build-id, as lower-case hex digits; from segments, or sections in a debug file. */
export function findBuildId(elf: ElfFile): string | undefined {
  if (!elf.debugOnly) {
    for (const segment of elf.segments) {
      if (segment.type !== segmentType.note) continue;
      const id = buildIdInNotes(bytesAtAddr(elf, segment.addr, segment.fileSize));
      if (id !== undefined) return id;
    }
  }
  for (const section of elf.sections) {
    if (section.type !== sectionTypeNote) continue;
    const id = buildIdInNotes(sectionBytes(elf, section));
    if (id !== undefined) return id;
  }
  return undefined;
}

/** A reference to a separate debug file: its name and the CRC-32 of its contents. */
export type DebugLink = { readonly name: string; readonly crc: number };

/** Contents of `.gnu_debuglink` (GDB manual, "Separate Debug Files"). */
export function findDebugLink(elf: ElfFile): DebugLink | undefined {
  const section = elf.sections.find(
    (s) => s.name === ".gnu_debuglink" && s.type !== sectionType.nobits,
  );
  if (section === undefined) return undefined;
  const bytes = sectionBytes(elf, section);
  const zero = bytes.indexOf(0);
  const crcAt = align4(zero + 1);
  if (zero <= 0 || crcAt + 4 > bytes.length) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const name = new TextDecoder().decode(bytes.subarray(0, zero));
  return { name, crc: view.getUint32(crcAt, true) };
}
