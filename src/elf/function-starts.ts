/**
 * Where functions begin, from what unwinders use. It is mapped and so survives `strip`, which makes
 * it the last word on a program without symbols.
 *
 * Source: Linux Standard Base Core, "Exception Frames" (`.eh_frame`, `.eh_frame_hdr`) and "DWARF
 * Exception Header Encoding".
 */
import { FormatError } from "../base/cursor.ts";
import { segmentType } from "./constants.ts";
import { bytesAtAddr, type ElfFile, findSection, type Section, sectionBytes } from "./elf-file.ts";
import { readWord } from "./pointers.ts";

/** Pointer encodings (DW_EH_PE): the low four bits say how wide, the next three from where. */
const pointerFormat = { absolute: 0, udata4: 3, sdata4: 11, sdata8: 12 } as const;
const pcRelative = 0x10;
/** DW_EH_PE_udata4, and DW_EH_PE_datarel | DW_EH_PE_sdata4: what all linkers write. */
const countEncoding = 0x03;
const tableEncoding = 0x3b;
/** version, three encodings, eh_frame pointer, count. */
const headerBytes = 12;

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The sorted search table in `.eh_frame_hdr`; undefined without it or in another form. */
function startsFromHeader(elf: ElfFile): Float64Array | undefined {
  const segment = elf.segments.find((s) => s.type === segmentType.gnuEhFrame);
  if (segment === undefined) return undefined;
  const bytes = bytesAtAddr(elf, segment.addr, segment.fileSize);
  const known = bytes[0] === 1 && bytes[2] === countEncoding && bytes[3] === tableEncoding;
  if (!known || bytes.length < headerBytes) return undefined;
  const view = viewOf(bytes);
  const count = Math.min(view.getUint32(8, true), Math.floor((bytes.length - headerBytes) / 8));
  const starts = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    starts[i] = segment.addr + view.getInt32(headerBytes + i * 8, true);
  }
  return starts;
}

/** Index behind the LEB128 number at `at`. */
function skipLeb(view: DataView, at: number): number {
  let next = at;
  while (view.getUint8(next) >= 0x80) next++;
  return next + 1;
}

/** How the descriptions of the CIE at `at` write a function's address. */
function pointerEncoding(view: DataView, at: number): number {
  const version = view.getUint8(at + 8);
  let next = at + 9;
  let augmentation = "";
  for (let byte = view.getUint8(next++); byte !== 0; byte = view.getUint8(next++)) {
    augmentation += String.fromCharCode(byte);
  }
  if (!augmentation.startsWith("z")) return pointerFormat.absolute;
  // Code alignment, data alignment, return address column, length of what follows.
  next = skipLeb(view, skipLeb(view, next));
  next = version === 1 ? next + 1 : skipLeb(view, next);
  next = skipLeb(view, next);
  for (const letter of augmentation.slice(1)) {
    if (letter === "R") return view.getUint8(next);
    if (letter === "L") next++;
    else if (letter === "P") {
      const format = view.getUint8(next) & 0x0f;
      const isShort = format === pointerFormat.udata4 || format === pointerFormat.sdata4;
      next += isShort ? 5 : 9;
    }
  }
  return pointerFormat.absolute;
}

/** The pointer at `at`, which is mapped at `addr`; undefined in an encoding nobody uses here. */
function readPointer(
  view: DataView,
  at: number,
  addr: number,
  encoding: number,
): number | undefined {
  const base = (encoding & 0x70) === pcRelative ? addr : 0;
  switch (encoding & 0x0f) {
    case pointerFormat.absolute:
      return base + readWord(view, at);
    case pointerFormat.udata4:
      return base + view.getUint32(at, true);
    case pointerFormat.sdata4:
      return base + view.getInt32(at, true);
    case pointerFormat.sdata8:
      return base + Number(view.getBigInt64(at, true));
    default:
      return undefined;
  }
}

/** The descriptions in `.eh_frame`: for static programs, whose linker makes no search table. */
function startsFromFrames(elf: ElfFile, section: Section): Float64Array {
  const view = viewOf(sectionBytes(elf, section));
  const starts: number[] = [];
  const encodings = new Map<number, number>();
  for (let at = 0; at + 8 <= view.byteLength; ) {
    const length = view.getUint32(at, true);
    // A length of all ones announces a 64-bit one, which no linker writes here.
    if (length === 0xffffffff) break;
    const cieDistance = length < 4 ? 0 : view.getUint32(at + 4, true);
    if (cieDistance !== 0) {
      const cie = at + 4 - cieDistance;
      const encoding = encodings.get(cie) ?? pointerEncoding(view, cie);
      encodings.set(cie, encoding);
      const start = readPointer(view, at + 8, section.addr + at + 8, encoding);
      if (start !== undefined) starts.push(start);
    }
    at += 4 + length;
  }
  return Float64Array.from(starts);
}

/** Link addresses at which a frame description begins, ascending; empty when there are none. */
export function functionStarts(elf: ElfFile): Float64Array {
  if (elf.debugOnly) return new Float64Array(0);
  const fromHeader = startsFromHeader(elf);
  if (fromHeader !== undefined) return fromHeader.sort();
  const section = findSection(elf, ".eh_frame");
  if (section === undefined) return new Float64Array(0);
  try {
    return startsFromFrames(elf, section).sort();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new FormatError(section.name, section.offset, "an entry is cut off");
  }
}
