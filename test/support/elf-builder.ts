/**
 * ELF files made by hand for tests: one mapped segment, the sections that are asked for, and
 * symbols. Written from the gabi, not from the reader under test.
 */
export type BuiltSymbol = {
  readonly name: string;
  readonly addr: number;
  readonly size?: number;
  /** 1 object, 2 function, 0 none; a function unless said otherwise. */
  readonly type?: number;
  /** 0 local, 1 global, 2 weak; global unless said otherwise. */
  readonly binding?: number;
};

export type BuiltSection = {
  readonly name: string;
  readonly type?: number;
  readonly flags?: number;
  readonly link?: number;
  readonly bytes: Uint8Array;
};

export type ElfRecipe = {
  /** Code, at `textAddr`. */
  readonly text?: Uint8Array;
  readonly symbols?: readonly BuiltSymbol[];
  /** More symbols, in `.dynsym`. */
  readonly dynamicSymbols?: readonly BuiltSymbol[];
  readonly sections?: readonly BuiltSection[];
  /** Contents of a note segment. */
  readonly notes?: Uint8Array;
  readonly type?: number;
  readonly machine?: number;
  /** Leave the section headers out, as sstrip does. */
  readonly bare?: boolean;
};

/** Where the file is mapped. */
export const baseAddr = 0x400000;
/** Where its code is. */
export const textAddr: number = baseAddr + 0x1000;

const align8 = (value: number): number => Math.ceil(value / 8) * 8;

/** u64 values, little-endian. */
export function words(values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 8);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => {
    view.setBigUint64(i * 8, BigInt(value), true);
  });
  return bytes;
}

/** Names one after the other, and where each stands; offset 0 is the empty name. */
function stringTable(names: readonly string[]): { bytes: Uint8Array; offsets: number[] } {
  const offsets: number[] = [];
  let length = 1;
  for (const name of names) {
    offsets.push(length);
    length += name.length + 1;
  }
  return { bytes: new TextEncoder().encode(`\0${names.join("\0")}\0`), offsets };
}

function symbolTable(symbols: readonly BuiltSymbol[]): { table: Uint8Array; strings: Uint8Array } {
  const { bytes: strings, offsets } = stringTable(symbols.map((symbol) => symbol.name));
  const table = new Uint8Array((symbols.length + 1) * 24);
  const view = new DataView(table.buffer);
  symbols.forEach((symbol, i) => {
    const at = (i + 1) * 24;
    view.setUint32(at, offsets[i] ?? 0, true);
    view.setUint8(at + 4, (symbol.binding ?? 1) * 16 + (symbol.type ?? 2));
    view.setUint16(at + 6, 1, true);
    view.setBigUint64(at + 8, BigInt(symbol.addr), true);
    view.setBigUint64(at + 16, BigInt(symbol.size ?? 0), true);
  });
  return { table, strings };
}

function allSections(recipe: ElfRecipe): BuiltSection[] {
  const sections: BuiltSection[] = [
    { name: ".text", flags: 6, bytes: recipe.text ?? new Uint8Array(16).fill(0xc3) },
    ...(recipe.sections ?? []),
  ];
  const addSymbols = (name: string, type: number, symbols: readonly BuiltSymbol[]): void => {
    const { table, strings } = symbolTable(symbols);
    // The table links to the strings behind it; index 0 of the file's sections is the null one.
    sections.push({ name, type, link: sections.length + 2, bytes: table });
    sections.push({ name: `${name}.strings`, type: 3, bytes: strings });
  };
  if (recipe.symbols !== undefined) addSymbols(".symtab", 2, recipe.symbols);
  if (recipe.dynamicSymbols !== undefined) addSymbols(".dynsym", 11, recipe.dynamicSymbols);
  return sections;
}

/** Builds the file; `addrOf` says where a section is mapped. */
export function buildElf(recipe: ElfRecipe = {}): {
  readonly bytes: Uint8Array;
  readonly addrOf: (name: string) => number;
} {
  const sections = allSections(recipe);
  const names = stringTable([...sections.map((section) => section.name), ".shstrtab"]);
  const placed = [...sections, { name: ".shstrtab", type: 3, bytes: names.bytes }];
  const offsets: number[] = [];
  let end = textAddr - baseAddr;
  for (const section of placed) {
    offsets.push(end);
    end = align8(end + section.bytes.length);
  }
  const notesAt = end;
  end = align8(end + (recipe.notes?.length ?? 0));
  const headersAt = end;
  const bytes = new Uint8Array(recipe.bare ? end : end + (placed.length + 1) * 64);
  const view = new DataView(bytes.buffer);
  const programHeaders = recipe.notes === undefined ? 1 : 2;

  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, recipe.type ?? 2, true);
  view.setUint16(18, recipe.machine ?? 62, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(24, BigInt(textAddr), true);
  view.setBigUint64(32, 64n, true);
  view.setBigUint64(40, recipe.bare ? 0n : BigInt(headersAt), true);
  const counts = [64, 56, programHeaders, 64, recipe.bare ? 0 : placed.length + 1, placed.length];
  counts.forEach((value, i) => {
    view.setUint16(52 + i * 2, value, true);
  });

  const setSegment = (index: number, type: number, offset: number, size: number): void => {
    const at = 64 + index * 56;
    view.setUint32(at, type, true);
    view.setUint32(at + 4, 5, true);
    const fields = [offset, baseAddr + offset, baseAddr + offset, size, size, 0x1000];
    bytes.set(words(fields), at + 8);
  };
  setSegment(0, 1, 0, end);
  if (recipe.notes !== undefined) {
    bytes.set(recipe.notes, notesAt);
    setSegment(1, 4, notesAt, recipe.notes.length);
  }

  placed.forEach((section, i) => {
    const offset = offsets[i] ?? 0;
    bytes.set(section.bytes, offset);
    if (recipe.bare) return;
    const at = headersAt + (i + 1) * 64;
    view.setUint32(at, names.offsets[i] ?? 0, true);
    view.setUint32(at + 4, section.type ?? 1, true);
    const flags = "flags" in section ? (section.flags ?? 0) : 0;
    const link = "link" in section ? (section.link ?? 0) : 0;
    bytes.set(words([flags, baseAddr + offset, offset, section.bytes.length]), at + 8);
    view.setUint32(at + 40, link, true);
  });
  const addrOf = (name: string): number =>
    baseAddr + (offsets[placed.findIndex((section) => section.name === name)] ?? 0);
  return { bytes, addrOf };
}

/** A note segment with a GNU build-id. */
export function buildIdNote(id: readonly number[]): Uint8Array {
  const note = new Uint8Array(16 + Math.ceil(id.length / 4) * 4);
  const view = new DataView(note.buffer);
  view.setUint32(0, 4, true);
  view.setUint32(4, id.length, true);
  view.setUint32(8, 3, true);
  note.set(new TextEncoder().encode("GNU\0"), 12);
  note.set(id, 16);
  return note;
}
