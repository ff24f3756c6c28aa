/**
 * Where functions begin, from the search table that unwinders use (`.eh_frame_hdr`). It is mapped
 * and so survives `strip`, which makes it the last word on a program without symbols.
 *
 * Source: Linux Standard Base Core, "The .eh_frame_hdr section" and "DWARF Exception Header
 * Encoding". Only the encoding that all linkers write is read: a table of (sdata4, datarel) pairs.
 */
import { segmentType } from "./constants.ts";
import { bytesAtAddr, type ElfFile } from "./elf-file.ts";

/** DW_EH_PE_udata4, and DW_EH_PE_datarel | DW_EH_PE_sdata4. */
const countEncoding = 0x03;
const tableEncoding = 0x3b;
/** version, three encodings, eh_frame pointer, count. */
const headerBytes = 12;

/** Link addresses at which a frame description begins, ascending; empty without the table. */
export function frameStarts(elf: ElfFile): Float64Array {
  const segment = elf.segments.find((s) => s.type === segmentType.gnuEhFrame);
  if (segment === undefined || elf.debugOnly) return new Float64Array(0);
  const bytes = bytesAtAddr(elf, segment.addr, segment.fileSize);
  const known = bytes[0] === 1 && bytes[2] === countEncoding && bytes[3] === tableEncoding;
  if (!known || bytes.length < headerBytes) return new Float64Array(0);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = Math.min(view.getUint32(8, true), Math.floor((bytes.length - headerBytes) / 8));
  const starts = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    starts[i] = segment.addr + view.getInt32(headerBytes + i * 8, true);
  }
  return starts.sort();
}
