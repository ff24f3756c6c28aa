/**
 * ELF64 files: header, program headers, section headers, and what is where.
 *
 * Source: System V ABI, generic part (gabi), chapters 4 and 5. Only what Patchbay needs of a linked
 * program; objects (`.o`) and cores are refused. Parsing checks every range that the headers
 * state against the length of the file, so that a truncated file is noticed here and not later.
 *
 * Addresses inside records and loops are plain numbers (link addresses, checked to be below
 * 2^53, as every user-space address is); functions for other folders take and give `LinkAddr`.
 */
import { type FileOffset, fileOffset, type LinkAddr, linkAddr } from "../base/brand.ts";
import { Cursor, FormatError } from "../base/cursor.ts";
import type { ErrorCode } from "../base/error.ts";
import { elfMachine, fileType, sectionType, segmentFlag, segmentType } from "./constants.ts";
import { readString } from "./string-table.ts";

/** A file that is no ELF file for us, and in which way; `code` is what users' errors carry. */
export class ElfError extends FormatError {
  readonly code: ErrorCode;
  /** What is the matter, without the place. */
  readonly problem: string;

  constructor(code: ErrorCode, offset: number, problem: string) {
    super("the ELF header", offset, problem);
    this.name = "ElfError";
    this.problem = problem;
    this.code = code;
  }
}

/** The machines that Patchbay knows by their ELF names. */
export type Machine = "x86-64" | "aarch64" | "riscv64";

/** One program header: a part of the file and where it is mapped. */
export type Segment = {
  readonly type: number;
  readonly flags: number;
  /** Bytes from the beginning of the file. */
  readonly offset: number;
  /** Link address of the first byte. */
  readonly addr: number;
  /** Bytes in the file. */
  readonly fileSize: number;
  /** Bytes in memory; what is beyond `fileSize` is zero. */
  readonly memSize: number;
};

/** One section header. */
export type Section = {
  readonly index: number;
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  /** Link address, 0 when the section is not mapped. */
  readonly addr: number;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
  readonly info: number;
  readonly entrySize: number;
};

/** A parsed ELF file. `bytes` is borrowed for as long as the record lives and never written. */
export type ElfFile = {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly machine: Machine;
  /** `pie` for position-independent executables and shared libraries alike (ET_DYN). */
  readonly kind: "fixed" | "pie";
  readonly entry: LinkAddr;
  readonly segments: readonly Segment[];
  /** Empty when the file was stripped of its section headers. */
  readonly sections: readonly Section[];
  /** A separate debug file: mapped contents are not in it. */
  readonly debugOnly: boolean;
};

const headerBytes = 64;
const segmentBytes = 56;
const sectionBytesInTable = 64;
const machines: ReadonlyMap<number, Machine> = new Map([
  [elfMachine.x86_64, "x86-64"],
  [elfMachine.aarch64, "aarch64"],
  [elfMachine.riscv, "riscv64"],
]);

/** `value` as a number, or a format error: addresses and sizes of real programs are below 2^53. */
const readNumber = (cursor: Cursor): number => cursor.size();

type Header = {
  readonly machine: Machine;
  readonly type: number;
  readonly entry: bigint;
  readonly segmentsAt: number;
  readonly sectionsAt: number;
  readonly segmentCount: number;
  readonly sectionCount: number;
  readonly namesIndex: number;
};

function checkIdent(bytes: Uint8Array): void {
  const magic = [0x7f, 0x45, 0x4c, 0x46];
  const isElf = magic.every((byte, i) => bytes[i] === byte);
  if (!isElf) {
    const why = bytes.length === 0 ? "the file is empty" : "the file does not begin with 7f 'ELF'";
    throw new ElfError("not-elf", 0, `${why}: not an ELF program or library`);
  }
  if (bytes.length < headerBytes) {
    const why = `${headerBytes} bytes wanted, the file has ${bytes.length}: it is truncated`;
    throw new ElfError("bad-elf", bytes.length, why);
  }
  if (bytes[4] === 1) {
    throw new ElfError("wrong-architecture", 4, "a 32-bit program; Patchbay reads 64-bit ones");
  }
  if (bytes[4] !== 2) throw new ElfError("bad-elf", 4, `unknown class ${bytes[4]}`);
  if (bytes[5] === 2) {
    throw new ElfError(
      "wrong-architecture",
      5,
      "a big-endian program; Patchbay reads little-endian",
    );
  }
  if (bytes[5] !== 1) throw new ElfError("bad-elf", 5, `unknown byte order ${bytes[5]}`);
  if (bytes[6] !== 1) throw new ElfError("bad-elf", 6, `unknown version ${bytes[6]}`);
}

function checkType(type: number): void {
  if (type === fileType.executable || type === fileType.shared) return;
  const what: Record<number, string> = {
    [fileType.relocatable]: "an object file that is not linked yet; link it into a program first",
    [fileType.core]: "a core dump; give the program it was made by",
  };
  throw new ElfError("unsupported", 16, what[type] ?? `unknown file type ${type}`);
}

function parseHeader(bytes: Uint8Array): Header {
  checkIdent(bytes);
  const cursor = new Cursor(bytes.subarray(0, headerBytes), "the ELF header").seek(16);
  const type = cursor.u16();
  const machineCode = cursor.u16();
  const machine = machines.get(machineCode);
  if (machine === undefined) {
    const why = `machine ${machineCode}; Patchbay knows x86-64, AArch64 and RISC-V`;
    throw new ElfError("wrong-architecture", 18, why);
  }
  checkType(type);
  cursor.skip(4);
  const entry = cursor.u64();
  const segmentsAt = readNumber(cursor);
  const sectionsAt = readNumber(cursor);
  cursor.skip(6);
  const segmentEntry = cursor.u16();
  const segmentCount = cursor.u16();
  const sectionEntry = cursor.u16();
  const sectionCount = cursor.u16();
  const namesIndex = cursor.u16();
  if (segmentCount > 0 && segmentEntry !== segmentBytes) {
    throw new ElfError("bad-elf", 54, `program headers of ${segmentEntry} bytes, not 56`);
  }
  if (sectionsAt > 0 && sectionEntry !== sectionBytesInTable) {
    throw new ElfError("bad-elf", 58, `section headers of ${sectionEntry} bytes, not 64`);
  }
  return { machine, type, entry, segmentsAt, sectionsAt, segmentCount, sectionCount, namesIndex };
}

/** The `size` bytes at `offset` of the file, or a format error that says what is cut off. */
function checkRange(bytes: Uint8Array, offset: number, size: number, what: string): void {
  if (offset + size > bytes.length) {
    const wanted = `ends at 0x${(offset + size).toString(16)}`;
    const has = `the file has 0x${bytes.length.toString(16)} bytes: it is truncated`;
    throw new FormatError(what, offset, `${wanted}, but ${has}`);
  }
}

function parseSegments(bytes: Uint8Array, header: Header, debugOnly: boolean): Segment[] {
  const { segmentsAt, segmentCount } = header;
  checkRange(bytes, segmentsAt, segmentCount * segmentBytes, "the program headers");
  const segments: Segment[] = [];
  for (let i = 0; i < segmentCount; i++) {
    const at = segmentsAt + i * segmentBytes;
    const what = `program header ${i}`;
    const cursor = new Cursor(bytes.subarray(at, at + segmentBytes), what, at);
    const type = cursor.u32();
    const flags = cursor.u32();
    const offset = readNumber(cursor);
    const addr = readNumber(cursor);
    cursor.skip(8);
    const fileSize = readNumber(cursor);
    const memSize = readNumber(cursor);
    if (type === segmentType.load) {
      if (!debugOnly) checkRange(bytes, offset, fileSize, `${what}'s contents`);
      if (memSize < fileSize) cursor.fail("more bytes in the file than in memory");
      if (addr + memSize > Number.MAX_SAFE_INTEGER) cursor.fail("address too large");
    }
    segments.push({ type, flags, offset, addr, fileSize, memSize });
  }
  return segments;
}

type RawSection = Omit<Section, "name"> & { readonly nameAt: number };

function parseSection(bytes: Uint8Array, tableAt: number, index: number): RawSection {
  const at = tableAt + index * sectionBytesInTable;
  checkRange(bytes, at, sectionBytesInTable, "the section headers");
  const slice = bytes.subarray(at, at + sectionBytesInTable);
  const cursor = new Cursor(slice, `section header ${index}`, at);
  const nameAt = cursor.u32();
  const type = cursor.u32();
  // Flags above bit 31 are of no interest here; the high half is dropped.
  const flags = cursor.u32();
  cursor.skip(4);
  const addr = readNumber(cursor);
  const offset = readNumber(cursor);
  const size = readNumber(cursor);
  const link = cursor.u32();
  const info = cursor.u32();
  cursor.skip(8);
  const entrySize = readNumber(cursor);
  return { index, nameAt, type, flags, addr, offset, size, link, info, entrySize };
}

function parseSections(bytes: Uint8Array, header: Header): Section[] {
  const { sectionsAt } = header;
  if (sectionsAt === 0) return [];
  const first = parseSection(bytes, sectionsAt, 0);
  // gabi, "Sections": counts that do not fit the header stand in section 0.
  const count = header.sectionCount === 0 ? first.size : header.sectionCount;
  const namesIndex = header.namesIndex === 0xffff ? first.link : header.namesIndex;
  checkRange(bytes, sectionsAt, count * sectionBytesInTable, "the section headers");
  const raw: RawSection[] = [];
  for (let i = 0; i < count; i++) {
    const section = parseSection(bytes, sectionsAt, i);
    if (section.type !== sectionType.nobits && section.type !== sectionType.null) {
      checkRange(bytes, section.offset, section.size, `section ${i}`);
    }
    raw.push(section);
  }
  const names = raw[namesIndex];
  const table =
    names === undefined || names.type !== sectionType.strtab
      ? new Uint8Array(0)
      : bytes.subarray(names.offset, names.offset + names.size);
  return raw.map(({ nameAt, ...section }) => ({ ...section, name: readString(table, nameAt) }));
}

/**
 * Parses `bytes` (borrowed for the life of the result).
 * @param options `debugOnly`: a separate debug file, whose segments' contents are elsewhere.
 * @throws ElfError when it is no ELF file or not one for us, FormatError where it is damaged.
 */
export function parseElf(
  bytes: Uint8Array,
  options: { readonly debugOnly?: boolean } = {},
): ElfFile {
  const header = parseHeader(bytes);
  const debugOnly = options.debugOnly ?? false;
  return {
    bytes,
    view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    machine: header.machine,
    kind: header.type === fileType.executable ? "fixed" : "pie",
    entry: linkAddr(header.entry),
    segments: parseSegments(bytes, header, debugOnly),
    sections: parseSections(bytes, header),
    debugOnly,
  };
}

/** The first section called `name`. */
export const findSection = (elf: ElfFile, name: string): Section | undefined =>
  elf.sections.find((section) => section.name === name);

/** All sections called `name`: linkers keep several apart when their flags or links differ. */
export const sectionsNamed = (elf: ElfFile, name: string): readonly Section[] =>
  elf.sections.filter((section) => section.name === name);

/** What the file has for `section` (borrowed); nothing for a section without contents. */
export function sectionBytes(elf: ElfFile, section: Section): Uint8Array {
  if (section.type === sectionType.nobits || section.type === sectionType.null) {
    return new Uint8Array(0);
  }
  return elf.bytes.subarray(section.offset, section.offset + section.size);
}

/** The PT_LOAD segments, in the file's order. */
export const loadSegments = (elf: ElfFile): readonly Segment[] =>
  elf.segments.filter((segment) => segment.type === segmentType.load);

/** The PT_LOAD segments that hold code. */
export const textSegments = (elf: ElfFile): readonly Segment[] =>
  loadSegments(elf).filter((segment) => (segment.flags & segmentFlag.execute) !== 0);

/** Where the byte at link address `addr` stands in the file; -1 when it is not in the file. */
export function offsetOfAddr(segments: readonly Segment[], addr: number): number {
  // Called for every site and relocation: an iterator would cost more than the search.
  for (let i = 0; i < segments.length; i++) {
    const segment = segments[i];
    if (segment === undefined) break;
    const into = addr - segment.addr;
    if (into >= 0 && into < segment.fileSize) return segment.offset + into;
  }
  return -1;
}

/** Where the byte at `addr` stands in the file, when the file holds it. */
export function findFileOffset(elf: ElfFile, addr: LinkAddr): FileOffset | undefined {
  const at = offsetOfAddr(loadSegments(elf), Number(addr));
  return at < 0 ? undefined : fileOffset(at);
}

/** The link address at which the byte at `offset` of the file is mapped. */
export function findLinkAddr(elf: ElfFile, offset: FileOffset): LinkAddr | undefined {
  for (const segment of loadSegments(elf)) {
    const into = offset - segment.offset;
    if (into >= 0 && into < segment.fileSize) return linkAddr(BigInt(segment.addr + into));
  }
  return undefined;
}

/** Mappings begin at a multiple of this at least; segments need not. */
const pageBytesMin = 4096;

/**
 * What is added to link addresses, when the file's bytes from `offset` on are mapped as code at
 * `start`. A segment that does not begin at a page's start is mapped from that page's start, and
 * so may share file offsets with the segment before it.
 */
export function findLoadBias(elf: ElfFile, start: bigint, offset: number): bigint | undefined {
  for (const segment of textSegments(elf)) {
    const from = segment.offset - (segment.offset % pageBytesMin);
    if (offset < from || offset >= segment.offset + segment.fileSize) continue;
    return start - BigInt(segment.addr - segment.offset + offset);
  }
  return undefined;
}

/** Up to `size` bytes of the file (borrowed) that are mapped at `addr`; fewer at its end. */
export function bytesAtAddr(elf: ElfFile, addr: number, size: number): Uint8Array {
  for (const segment of loadSegments(elf)) {
    const into = addr - segment.addr;
    if (into >= 0 && into < segment.fileSize) {
      const at = segment.offset + into;
      const end = Math.min(at + size, segment.offset + segment.fileSize);
      return elf.bytes.subarray(at, end);
    }
  }
  return new Uint8Array(0);
}
