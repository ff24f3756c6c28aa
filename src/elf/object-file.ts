/**
 * Relocatable object files (`.o`): reading all of one, and writing one. Source: gabi, "Sections",
 * "Symbol Table", "Relocation"; x86-64 psABI, section 4.4.
 */
import { assert } from "../base/assert.ts";
import { Cursor } from "../base/cursor.ts";
import { elfMachine, sectionType, symbolBinding } from "./constants.ts";
import { ElfError } from "./elf-file.ts";
import { readString } from "./string-table.ts";

export type ObjectRelocation = {
  /** In the section, in bytes. */
  readonly offset: number;
  readonly type: number;
  /** Index of the symbol. */
  readonly symbol: number;
  readonly addend: bigint;
};

export type ObjectSection = {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly alignment: number;
  readonly entrySize: number;
  readonly size: number;
  /** Empty where the file holds none (`.bss`). Borrowed from the file. */
  readonly bytes: Uint8Array;
  readonly relocations: readonly ObjectRelocation[];
};

export type ObjectSymbol = {
  readonly name: string;
  /** Index of its section; 0 undefined, above 0xff00 special (absolute, common). */
  readonly section: number;
  readonly value: number;
  readonly size: number;
  readonly type: number;
  readonly binding: number;
};

/** Indices of sections and symbols are the file's. */
export type ObjectFile = {
  readonly sections: readonly ObjectSection[];
  readonly symbols: readonly ObjectSymbol[];
};

const headerBytes = 64;
const sectionHeaderBytes = 64;
const symbolBytes = 24;
const relocationBytes = 24;
const relocatable = 1;

type Raw = ObjectSection & { readonly link: number; readonly info: number };

/** Parses a relocatable file for x86-64. The bytes are borrowed. */
export function parseObject(bytes: Uint8Array): ObjectFile {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isElf = bytes.length >= headerBytes && view.getUint32(0, false) === 0x7f454c46;
  if (!isElf) throw new ElfError("not-elf", 0, "it is no object file");
  if (view.getUint16(16, true) !== relocatable || view.getUint16(18, true) !== elfMachine.x86_64) {
    throw new ElfError("bad-elf", 16, "it is no relocatable file for x86-64");
  }
  const raw = readSections(bytes, view);
  const symbols = readSymbols(raw);
  const relocations = new Map<number, ObjectRelocation[]>();
  for (const section of raw) {
    if (section.type !== sectionType.rela) continue;
    relocations.set(section.info, readRelocations(section));
  }
  const sections = raw.map((section, index) => ({
    ...section,
    relocations: relocations.get(index) ?? [],
  }));
  return { sections, symbols };
}

function readSections(bytes: Uint8Array, view: DataView): readonly Raw[] {
  const at = Number(view.getBigUint64(40, true));
  const count = view.getUint16(60, true);
  const namesIndex = view.getUint16(62, true);
  const cursor = new Cursor(bytes, "an object file");
  const headers = Array.from({ length: count }, (_, index) => {
    cursor.seek(at + index * sectionHeaderBytes);
    const name = cursor.u32();
    const type = cursor.u32();
    const [flags, , offset, size] = [cursor.size(), cursor.size(), cursor.size(), cursor.size()];
    const [link, info] = [cursor.u32(), cursor.u32()];
    const [alignment, entrySize] = [cursor.size(), cursor.size()];
    return { name, type, flags, offset, size, link, info, alignment, entrySize };
  });
  const content = (index: number): Uint8Array => {
    const header = headers[index];
    if (header === undefined || header.type === sectionType.nobits) return new Uint8Array(0);
    if (header.offset + header.size > bytes.length) {
      throw new ElfError("bad-elf", header.offset, "a section is cut off");
    }
    return bytes.subarray(header.offset, header.offset + header.size);
  };
  const names = content(namesIndex);
  return headers.map((header, index) => ({
    ...header,
    name: readString(names, header.name),
    bytes: content(index),
    relocations: [],
  }));
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function readSymbols(sections: readonly Raw[]): readonly ObjectSymbol[] {
  const table = sections.find(({ type }) => type === sectionType.symtab);
  if (table === undefined) return [];
  const names = sections[table.link]?.bytes ?? new Uint8Array(0);
  const view = viewOf(table.bytes);
  return Array.from({ length: Math.floor(table.bytes.length / symbolBytes) }, (_, index) => {
    const at = index * symbolBytes;
    const info = view.getUint8(at + 4);
    return {
      name: readString(names, view.getUint32(at, true)),
      section: view.getUint16(at + 6, true),
      value: Number(view.getBigUint64(at + 8, true)),
      size: Number(view.getBigUint64(at + 16, true)),
      type: info & 15,
      binding: info >> 4,
    };
  });
}

function readRelocations({ bytes }: Raw): ObjectRelocation[] {
  const view = viewOf(bytes);
  return Array.from({ length: Math.floor(bytes.length / relocationBytes) }, (_, index) => {
    const at = index * relocationBytes;
    return {
      offset: Number(view.getBigUint64(at, true)),
      type: view.getUint32(at + 8, true),
      symbol: view.getUint32(at + 12, true),
      addend: view.getBigInt64(at + 16, true),
    };
  });
}

/** Names of a string table, each once. */
class Names {
  readonly #parts: number[] = [0];
  readonly #known = new Map<string, number>([["", 0]]);

  add(name: string): number {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const at = this.#parts.length;
    // Symbols are ASCII in all that compilers here write.
    for (let i = 0; i < name.length; i++) this.#parts.push(name.charCodeAt(i) & 0xff);
    this.#parts.push(0);
    this.#known.set(name, at);
    return at;
  }

  get bytes(): Uint8Array {
    return Uint8Array.from(this.#parts);
  }
}

type Written = {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly alignment: number;
  readonly entrySize: number;
  readonly size: number;
  readonly bytes: Uint8Array;
  readonly link: number;
  readonly info: number;
};

/**
 * The bytes of an object file. Section 0 and symbol 0 are the empty ones; symbols come local ones
 * first.
 */
export function writeObject({ sections, symbols }: ObjectFile): Uint8Array {
  const names = new Names();
  const strings = new Names();
  const firstGlobal = symbols.findIndex(({ binding }) => binding !== symbolBinding.local);
  const localCount = firstGlobal < 0 ? symbols.length : firstGlobal;
  assert(
    symbols.slice(localCount).every(({ binding }) => binding !== symbolBinding.local),
    "local symbols come first",
  );
  const symbolTable = sections.length;
  const table = new DataView(new ArrayBuffer(symbols.length * symbolBytes));
  symbols.forEach((symbol, index) => {
    const at = index * symbolBytes;
    table.setUint32(at, strings.add(symbol.name), true);
    table.setUint8(at + 4, (symbol.binding << 4) | symbol.type);
    table.setUint16(at + 6, symbol.section, true);
    table.setBigUint64(at + 8, BigInt(symbol.value), true);
    table.setBigUint64(at + 16, BigInt(symbol.size), true);
  });
  const plain = { flags: 0, alignment: 1, entrySize: 0, link: 0, info: 0 };
  const tableBytes = new Uint8Array(table.buffer);
  const written: Written[] = sections.map((one) => ({ ...one, link: 0, info: 0 }));
  written.push({
    ...plain,
    name: ".symtab",
    type: sectionType.symtab,
    alignment: 8,
    entrySize: symbolBytes,
    size: tableBytes.length,
    bytes: tableBytes,
    link: symbolTable + 1,
    info: localCount,
  });
  const { bytes: stringBytes } = strings;
  const stringTable = { ...plain, name: ".strtab", type: sectionType.strtab };
  written.push({ ...stringTable, size: stringBytes.length, bytes: stringBytes });
  sections.forEach(({ name, relocations }, index) => {
    if (relocations.length === 0) return;
    const view = new DataView(new ArrayBuffer(relocations.length * relocationBytes));
    relocations.forEach((one, place) => {
      const at = place * relocationBytes;
      view.setBigUint64(at, BigInt(one.offset), true);
      view.setUint32(at + 8, one.type, true);
      view.setUint32(at + 12, one.symbol, true);
      view.setBigInt64(at + 16, one.addend, true);
    });
    const bytes = new Uint8Array(view.buffer);
    written.push({
      ...plain,
      name: `.rela${name}`,
      type: sectionType.rela,
      alignment: 8,
      entrySize: relocationBytes,
      size: bytes.length,
      bytes,
      link: symbolTable,
      info: index,
    });
  });
  return layOut(written, names);
}

/** Header, contents, section headers; a section with the names of sections is added. */
function layOut(sections: readonly Written[], names: Names): Uint8Array {
  const nameOffsets = [...sections.map(({ name }) => names.add(name)), names.add(".shstrtab")];
  const { bytes } = names;
  const table = { name: "", flags: 0, alignment: 1, entrySize: 0, link: 0, info: 0, bytes };
  const all = [...sections, { ...table, type: sectionType.strtab, size: bytes.length }];
  let end = headerBytes;
  const offsets = all.map(({ bytes, alignment }) => {
    const at = Math.ceil(end / Math.max(1, alignment)) * Math.max(1, alignment);
    end = at + bytes.length;
    return at;
  });
  const headersAt = Math.ceil(end / 8) * 8;
  const out = new Uint8Array(headersAt + all.length * sectionHeaderBytes);
  const view = viewOf(out);
  out.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, relocatable, true);
  view.setUint16(18, elfMachine.x86_64, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(40, BigInt(headersAt), true);
  view.setUint16(52, headerBytes, true);
  view.setUint16(58, sectionHeaderBytes, true);
  view.setUint16(60, all.length, true);
  view.setUint16(62, all.length - 1, true);
  all.forEach((section, index) => {
    const offset = offsets[index] ?? 0;
    out.set(section.bytes, offset);
    const at = headersAt + index * sectionHeaderBytes;
    view.setUint32(at, nameOffsets[index] ?? 0, true);
    view.setUint32(at + 4, section.type, true);
    view.setBigUint64(at + 8, BigInt(section.flags), true);
    view.setBigUint64(at + 24, BigInt(offset), true);
    view.setBigUint64(at + 32, BigInt(section.size), true);
    view.setUint32(at + 40, section.link, true);
    view.setUint32(at + 44, section.info, true);
    view.setBigUint64(at + 48, BigInt(section.alignment), true);
    view.setBigUint64(at + 56, BigInt(section.entrySize), true);
  });
  return out;
}
