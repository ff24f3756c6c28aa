/**
 * Debug information of one file: its sections, decompressed when they are asked for, and the
 * units in `.debug_info`. Source: DWARF 5 sections 7.5 (units, abbreviations) and 7.26 to 7.29.
 */
import { FormatError } from "../../base/cursor.ts";
import { sectionFlag } from "../../elf/constants.ts";
import { type ElfFile, findSection, type Section, sectionBytes } from "../../elf/elf-file.ts";
import { readString } from "../../elf/string-table.ts";
import { attribute, form, unitType } from "./constants.ts";
import { DwarfReader, type Encoding } from "./reader.ts";

/** Decompresses zlib data to `size` bytes; throws what it likes when they are damaged. */
export type Inflate = (bytes: Uint8Array, size: number) => Uint8Array;

/** One abbreviation: the shape of an entry. */
export type Abbreviation = {
  readonly tag: number;
  readonly hasChildren: boolean;
  /** Triples: attribute, form, implicit constant. */
  readonly attributes: readonly number[];
};

/** A unit's header. Offsets count from the beginning of `.debug_info`. */
export type Unit = Encoding & {
  readonly offset: number;
  readonly end: number;
  readonly abbreviationsAt: number;
  /** The unit's own entry. */
  readonly entryAt: number;
};

/** What a unit's own entry says; needed to make sense of the others. */
export type UnitRoot = {
  readonly unit: Unit;
  readonly tag: number;
  readonly name: string | undefined;
  readonly compDir: string | undefined;
  /** Compiler, and with gcc its options. */
  readonly producer: string | undefined;
  /** Offset of its program in `.debug_line`. */
  readonly lineProgramAt: number | undefined;
  /** Pairs of link addresses, each [from, to). */
  readonly ranges: readonly (readonly [number, number])[];
  readonly strOffsetsBase: number;
  readonly addrBase: number;
};

/** Attribute to (form, value) of one entry. */
export type Attributes = ReadonlyMap<number, { readonly form: number; readonly value: number }>;

const isAddressIndex = (kind: number): boolean =>
  kind === form.addrx || kind === form.gnuAddrIndex || (kind >= form.addrx1 && kind <= form.addrx4);

/** Whether an attribute of form `kind` is an address, not a constant. */
export const isAddressForm = (kind: number): boolean => kind === form.addr || isAddressIndex(kind);

/** Bytes of Elf64_Chdr, and the type that stands in it for zlib (gabi, "Section Compression"). */
const compressionHeaderBytes = 24;
const compressionZlib = 1;
/** DEFLATE makes nothing more than about a thousand times smaller: a larger claim is a lie. */
const inflationMax = 1032;

/** The debug information of `elf`; sections and units are read when they are first asked for. */
export class DebugInfo {
  readonly #elf: ElfFile;
  readonly #inflate: Inflate | undefined;
  readonly #sections = new Map<string, Uint8Array>();
  readonly #abbreviations = new Map<number, ReadonlyMap<number, Abbreviation>>();
  #units: readonly Unit[] | undefined;

  /** @param inflate for sections that are compressed; without it they count as absent. */
  constructor(elf: ElfFile, inflate?: Inflate) {
    this.#elf = elf;
    this.#inflate = inflate;
  }

  /** Contents of the section `name` (with its dot), decompressed; empty when it is not there. */
  section(name: string): Uint8Array {
    let bytes = this.#sections.get(name);
    if (bytes === undefined) {
      const section = findSection(this.#elf, name);
      bytes = section === undefined ? new Uint8Array(0) : this.#contents(section);
      this.#sections.set(name, bytes);
    }
    return bytes;
  }

  #contents(section: Section): Uint8Array {
    const bytes = sectionBytes(this.#elf, section);
    if ((section.flags & sectionFlag.compressed) === 0) return bytes;
    if (bytes.length < compressionHeaderBytes) return new Uint8Array(0);
    const header = new DwarfReader(bytes, section.name);
    const kind = header.u32();
    header.take(4);
    const size = header.u64();
    const packed = bytes.subarray(compressionHeaderBytes);
    if (kind !== compressionZlib || this.#inflate === undefined) return new Uint8Array(0);
    if (size > packed.length * inflationMax) header.fail(`${size} bytes claimed: damaged`);
    try {
      return this.#inflate(packed, size);
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      throw new FormatError(section.name, section.offset, `can't be decompressed: ${problem}`);
    }
  }

  /** A reader of section `name`. */
  reader(name: string, at = 0, end?: number): DwarfReader {
    const bytes = this.section(name);
    return new DwarfReader(bytes, name, at, end ?? bytes.length);
  }

  /** Headers of all units, ascending by offset. */
  units(): readonly Unit[] {
    this.#units ??= this.#readUnits();
    return this.#units;
  }

  #readUnits(): Unit[] {
    const reader = this.reader(".debug_info");
    const units: Unit[] = [];
    while (reader.at < reader.end) {
      const offset = reader.at;
      const { end, offsetSize } = reader.unitLength();
      const version = reader.u16();
      if (version < 2 || version > 5) reader.fail(`DWARF version ${version}`);
      const kind = version >= 5 ? reader.u8() : unitType.compile;
      const newOrder = version >= 5 ? reader.u8() : 0;
      const abbreviationsAt = reader.unsigned(offsetSize);
      const addressSize = version >= 5 ? newOrder : reader.u8();
      if (kind === unitType.skeleton || kind === unitType.splitCompile) reader.take(8);
      if (kind === unitType.type || kind === unitType.splitType) reader.take(8 + offsetSize);
      const entryAt = reader.at;
      units.push({ offset, end, version, offsetSize, addressSize, abbreviationsAt, entryAt });
      reader.at = end;
    }
    return units;
  }

  /** The unit that the entry at `offset` of `.debug_info` stands in. */
  findUnit(offset: number): Unit | undefined {
    const units = this.units();
    let low = 0;
    let high = units.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((units[middle]?.end ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    const unit = units[low];
    return unit !== undefined && offset >= unit.offset ? unit : undefined;
  }

  /** The abbreviations of `unit`, by code. */
  abbreviations(unit: Unit): ReadonlyMap<number, Abbreviation> {
    let table = this.#abbreviations.get(unit.abbreviationsAt);
    if (table === undefined) {
      table = readAbbreviations(this.reader(".debug_abbrev", unit.abbreviationsAt));
      this.#abbreviations.set(unit.abbreviationsAt, table);
    }
    return table;
  }

  /** Tag and attributes of the entry at `offset`; undefined for the end of a list of children. */
  entry(unit: Unit, offset: number): { tag: number; attributes: Attributes } | undefined {
    const reader = this.reader(".debug_info", offset, unit.end);
    const code = reader.uleb();
    if (code === 0) return undefined;
    const shape = this.abbreviations(unit).get(code);
    if (shape === undefined) return reader.fail(`no abbreviation ${code}`);
    const attributes = new Map<number, { form: number; value: number }>();
    for (let i = 0; i < shape.attributes.length; i += 3) {
      const kind = shape.attributes[i + 1] ?? 0;
      const value = reader.value(kind, unit, shape.attributes[i + 2]);
      attributes.set(shape.attributes[i] ?? 0, { form: kind, value });
    }
    return { tag: shape.tag, attributes };
  }

  /** Text that an attribute of form `kind` stands for; undefined when it is in another file. */
  text(
    kind: number,
    value: number,
    root: Pick<UnitRoot, "unit" | "strOffsetsBase">,
  ): string | undefined {
    switch (kind) {
      case form.string:
        return readString(this.section(".debug_info"), value);
      case form.strp:
        return readString(this.section(".debug_str"), value);
      case form.lineStrp:
        return readString(this.section(".debug_line_str"), value);
      case form.strx:
      case form.strx1:
      case form.strx2:
      case form.strx3:
      case form.strx4: {
        const { offsetSize } = root.unit;
        const at = root.strOffsetsBase + value * offsetSize;
        const offset = this.reader(".debug_str_offsets", at).unsigned(offsetSize);
        return readString(this.section(".debug_str"), offset);
      }
      default:
        return undefined;
    }
  }

  /** The address that an attribute of form `kind` stands for. */
  address(kind: number, value: number, root: Pick<UnitRoot, "unit" | "addrBase">): number {
    return isAddressIndex(kind) ? this.indexedAddress(value, root) : value;
  }

  /** Entry `index` of the unit's part of `.debug_addr`. */
  indexedAddress(index: number, root: Pick<UnitRoot, "unit" | "addrBase">): number {
    const { addressSize } = root.unit;
    return this.reader(".debug_addr", root.addrBase + index * addressSize).unsigned(addressSize);
  }
}

function readAbbreviations(reader: DwarfReader): ReadonlyMap<number, Abbreviation> {
  const table = new Map<number, Abbreviation>();
  for (let code = reader.uleb(); code !== 0; code = reader.uleb()) {
    const tag = reader.uleb();
    const hasChildren = reader.u8() === 1;
    const attributes: number[] = [];
    for (;;) {
      const name = reader.uleb();
      const kind = reader.uleb();
      const implicit = kind === form.implicitConst ? reader.sleb() : 0;
      if (name === 0 && kind === 0) break;
      attributes.push(name, kind, implicit);
    }
    table.set(code, { tag, hasChildren, attributes });
    // The section's last table may end with it.
    if (reader.at >= reader.end) break;
  }
  return table;
}

/** First entry behind the header of `.debug_str_offsets` and `.debug_addr` (DWARF 5 only). */
const defaultBase = (unit: Unit): number =>
  unit.version >= 5 ? (unit.offsetSize === 8 ? 16 : 8) : 0;

/** What the unit's own entry says, without its ranges. */
export function readUnitRoot(
  info: DebugInfo,
  unit: Unit,
): Omit<UnitRoot, "ranges"> & { readonly attributes: Attributes } {
  const entry = info.entry(unit, unit.entryAt);
  const attributes: Attributes = entry?.attributes ?? new Map();
  const number = (...names: readonly number[]): number | undefined => {
    for (const name of names) {
      const found = attributes.get(name);
      if (found !== undefined) return found.value;
    }
    return undefined;
  };
  const base = defaultBase(unit);
  const strOffsetsBase = number(attribute.strOffsetsBase) ?? base;
  const text = (name: number): string | undefined => {
    const found = attributes.get(name);
    return found === undefined
      ? undefined
      : info.text(found.form, found.value, { unit, strOffsetsBase });
  };
  return {
    unit,
    tag: entry?.tag ?? 0,
    attributes,
    name: text(attribute.name),
    compDir: text(attribute.compDir),
    producer: text(attribute.producer),
    lineProgramAt: number(attribute.stmtList),
    strOffsetsBase,
    addrBase: number(attribute.addrBase, attribute.gnuAddrBase) ?? base,
  };
}
