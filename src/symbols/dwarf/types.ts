/**
 * Types of values as debug information describes them (DWARF 5, chapter 5), as far as one has to
 * know them to find a value of the type in a call's registers and to print it.
 */
import { attribute, baseEncoding, callingConvention, form, tag } from "./constants.ts";
import { type Attributes, type DebugInfo, readUnitRoot, type Unit } from "./debug-info.ts";

/** What calls pass eight bytes of a value in. */
export type Eightbyte = "integer" | "float";

/** A type; `name` is as people write it in C. */
export type DebugType = { readonly name: string } & (
  | { readonly kind: "void" }
  | {
      readonly kind: "number";
      readonly is: "signed" | "unsigned" | "float" | "bool" | "char";
      readonly bytes: number;
    }
  | {
      readonly kind: "enum";
      readonly isSigned: boolean;
      readonly bytes: number;
      /** Where its names are, for `DebugTypes.enumerators`. */
      readonly at: number;
    }
  /** `isText`: to characters. */
  | { readonly kind: "pointer"; readonly isText: boolean }
  /** A struct, union or class; `parts` is undefined where it is passed in memory. */
  | {
      readonly kind: "record";
      readonly bytes: number;
      readonly parts: readonly Eightbyte[] | undefined;
      /** Calls pass its address (C++ classes that are not trivially copied). */
      readonly isByReference: boolean;
    }
  /** An integer of two registers. */
  | { readonly kind: "wide"; readonly bytes: number }
  /** Anything else, passed in memory. */
  | { readonly kind: "other"; readonly bytes: number }
);

const voidType: DebugType = { kind: "void", name: "void" };
const pointerBytes = 8;
/** Values that are larger go through memory (System V ABI, AMD64 supplement, 3.2.3). */
const registerBytesMax = 16;
/** Longer chains of references are damage. */
const hopsMax = 32;

const qualifiers: ReadonlyMap<number, string> = new Map([
  [tag.constType, "const"],
  [tag.volatileType, "volatile"],
  [tag.restrictType, ""],
  [tag.atomicType, "_Atomic"],
]);

const keywords: ReadonlyMap<number, string> = new Map([
  [tag.structureType, "struct"],
  [tag.classType, "class"],
  [tag.unionType, "union"],
]);

/** A reference as an offset in `.debug_info`; undefined for one into another file. */
export function referenceTarget(kind: number, value: number, unit: Unit): number | undefined {
  if (kind === form.refAddr) return value;
  const isLocal =
    kind === form.ref1 ||
    kind === form.ref2 ||
    kind === form.ref4 ||
    kind === form.ref8 ||
    kind === form.refUdata;
  return isLocal ? unit.offset + value : undefined;
}

/** An entry with the unit that it stands in. */
export type DebugEntry = {
  readonly unit: Unit;
  readonly at: number;
  readonly tag: number;
  readonly attributes: Attributes;
};

/** Reads types of one file's debug information; each once. */
export class DebugTypes {
  readonly #info: DebugInfo;
  readonly #types = new Map<number, DebugType>();
  readonly #roots = new Map<number, ReturnType<typeof readUnitRoot>>();

  constructor(info: DebugInfo) {
    this.#info = info;
  }

  /** The entry at `offset` of `.debug_info`; undefined where none is. */
  entryAt(offset: number): DebugEntry | undefined {
    const unit = this.#info.findUnit(offset);
    if (unit === undefined || offset < unit.entryAt) return undefined;
    const entry = this.#info.entry(unit, offset);
    return entry === undefined ? undefined : { unit, at: offset, ...entry };
  }

  /** What attribute `name` of `entry` refers to. */
  follow({ unit, attributes }: DebugEntry, name: number): DebugEntry | undefined {
    const found = attributes.get(name);
    const target = found && referenceTarget(found.form, found.value, unit);
    return target === undefined ? undefined : this.entryAt(target);
  }

  text({ unit, attributes }: DebugEntry, name: number): string | undefined {
    const found = attributes.get(name);
    if (found === undefined) return undefined;
    let root = this.#roots.get(unit.offset);
    if (root === undefined) {
      root = readUnitRoot(this.#info, unit);
      this.#roots.set(unit.offset, root);
    }
    return this.#info.text(found.form, found.value, root);
  }

  /** The type that `entry` says it has; void without one. */
  typeOf(entry: DebugEntry, hops = 0): DebugType {
    const found = entry.attributes.get(attribute.type);
    if (found === undefined) return voidType;
    const target = referenceTarget(found.form, found.value, entry.unit);
    if (target === undefined) return { kind: "other", name: "?", bytes: 0 };
    return this.#typeAt(target, hops);
  }

  #typeAt(offset: number, hops: number): DebugType {
    const known = this.#types.get(offset);
    if (known !== undefined) return known;
    const entry = hops > hopsMax ? undefined : this.entryAt(offset);
    const type: DebugType =
      entry === undefined ? { kind: "other", name: "?", bytes: 0 } : this.#read(entry, hops + 1);
    this.#types.set(offset, type);
    return type;
  }

  #read(entry: DebugEntry, hops: number): DebugType {
    const name = this.text(entry, attribute.name);
    const bytes = entry.attributes.get(attribute.byteSize)?.value ?? 0;
    const qualifier = qualifiers.get(entry.tag);
    if (qualifier !== undefined) {
      const type = this.typeOf(entry, hops);
      // Behind a pointer's star it says nothing about what is pointed to.
      const isPlain = qualifier === "" || type.kind === "pointer";
      return isPlain ? type : { ...type, name: `${qualifier} ${type.name}` };
    }
    switch (entry.tag) {
      case tag.typedef:
        return { ...this.typeOf(entry, hops), name: name ?? "?" };
      case tag.baseType:
        return numberType(name ?? "?", bytes, entry.attributes.get(attribute.encoding)?.value);
      case tag.enumerationType:
        return this.#enumType(entry, name, bytes, hops);
      case tag.pointerType:
      case tag.referenceType:
      case tag.rvalueReferenceType:
      case tag.arrayType:
        return this.#pointerType(entry, hops);
      case tag.structureType:
      case tag.classType:
      case tag.unionType:
        return this.#recordType(entry, name, bytes, hops);
      default:
        return { kind: "other", name: name ?? "?", bytes };
    }
  }

  #enumType(entry: DebugEntry, name: string | undefined, bytes: number, hops: number): DebugType {
    const base = this.typeOf(entry, hops);
    const isSigned = base.kind === "number" && base.is === "signed";
    return { kind: "enum", name: `enum ${name ?? "?"}`, isSigned, bytes, at: entry.at };
  }

  #pointerType(entry: DebugEntry, hops: number): DebugType {
    const target = this.typeOf(entry, hops);
    const isArray = entry.tag === tag.arrayType;
    const isPointer = entry.tag === tag.pointerType || isArray;
    const mark = isPointer ? "*" : entry.tag === tag.referenceType ? "&" : "&&";
    const gap = /[*&]$/.test(target.name) ? "" : " ";
    const isText = isPointer && target.kind === "number" && target.is === "char";
    return { kind: "pointer", name: `${target.name}${gap}${mark}`, isText };
  }

  #recordType(entry: DebugEntry, name: string | undefined, bytes: number, hops: number): DebugType {
    const convention = entry.attributes.get(attribute.callingConvention)?.value;
    const isByReference = convention === callingConvention.passByReference;
    const parts: (Eightbyte | undefined)[] = Array.from({ length: Math.ceil(bytes / 8) });
    const fits = bytes <= registerBytesMax && this.#addParts(entry, 0, parts, hops);
    return {
      kind: "record",
      name: `${keywords.get(entry.tag)} ${name ?? "?"}`,
      bytes,
      isByReference,
      // Eight bytes of padding, or of nothing, are not passed at all.
      parts: fits ? parts.filter((part) => part !== undefined) : undefined,
    };
  }

  /** Classifies the eightbytes of a record at byte `from`; false where it goes through memory. */
  #addParts(
    record: DebugEntry,
    from: number,
    parts: (Eightbyte | undefined)[],
    hops: number,
  ): boolean {
    if (hops > hopsMax) return false;
    for (const child of this.children(record)) {
      if (child.tag !== tag.member && child.tag !== tag.inheritance) continue;
      // Static members have no place, bit-fields are integers of the word that they lie in.
      const place = child.attributes.get(attribute.memberLocation);
      if (place === undefined && record.tag !== tag.unionType) {
        if (child.attributes.has(attribute.declaration)) continue;
        parts.fill("integer");
        continue;
      }
      if (!this.#addPart(child, from + (place?.value ?? 0), parts, hops + 1)) return false;
    }
    return true;
  }

  #addPart(
    member: DebugEntry,
    at: number,
    parts: (Eightbyte | undefined)[],
    hops: number,
  ): boolean {
    const inner = this.#bareEntry(this.follow(member, attribute.type));
    if (inner !== undefined && keywords.has(inner.tag)) {
      return this.#addParts(inner, at, parts, hops);
    }
    if (inner?.tag === tag.arrayType) {
      const isFloat = this.#isFloat(this.typeOf(inner, hops));
      for (let i = at >> 3; i < parts.length; i++) merge(parts, i, isFloat ? "float" : "integer");
      // An array of records or of long doubles is not looked into.
      return !["record", "other"].includes(this.typeOf(inner, hops).kind);
    }
    const type = this.typeOf(member, hops);
    if (type.kind === "other") return false;
    merge(parts, at >> 3, this.#isFloat(type) ? "float" : "integer");
    return true;
  }

  #isFloat(type: DebugType): boolean {
    return type.kind === "number" && type.is === "float";
  }

  /** Without typedefs and qualifiers. */
  #bareEntry(entry: DebugEntry | undefined): DebugEntry | undefined {
    let bare = entry;
    for (let hops = 0; bare !== undefined && hops < hopsMax; hops++) {
      if (bare.tag !== tag.typedef && !qualifiers.has(bare.tag)) return bare;
      bare = this.follow(bare, attribute.type);
    }
    return undefined;
  }

  /** The entries directly in `entry`. */
  *children(entry: DebugEntry): Generator<DebugEntry> {
    const { unit } = entry;
    const reader = this.#info.reader(".debug_info", entry.at, unit.end);
    const shapes = this.#info.abbreviations(unit);
    let depth = 0;
    while (reader.at < unit.end) {
      const at = reader.at;
      const code = reader.uleb();
      if (code === 0) {
        if (--depth <= 0) return;
        continue;
      }
      const shape = shapes.get(code) ?? reader.fail(`no abbreviation ${code}`);
      for (let i = 1; i < shape.attributes.length; i += 3) {
        reader.value(shape.attributes[i] ?? 0, unit, shape.attributes[i + 1]);
      }
      if (depth === 1) {
        const child = this.#info.entry(unit, at);
        if (child !== undefined) yield { unit, at, ...child };
      }
      if (shape.hasChildren) depth++;
      if (depth === 0) return;
    }
  }

  /** Names of an enumeration's values. */
  enumerators(at: number): ReadonlyMap<number, string> {
    const names = new Map<number, string>();
    const entry = this.entryAt(at);
    if (entry === undefined) return names;
    for (const child of this.children(entry)) {
      const value = child.attributes.get(attribute.constValue)?.value;
      const name = this.text(child, attribute.name);
      if (child.tag !== tag.enumerator || value === undefined || name === undefined) continue;
      if (!names.has(value)) names.set(value, name);
    }
    return names;
  }
}

/** An eightbyte with an integer in it goes into an integer register. */
function merge(parts: (Eightbyte | undefined)[], index: number, part: Eightbyte): void {
  if (index < parts.length && parts[index] !== "integer") parts[index] = part;
}

function numberType(name: string, bytes: number, encoding: number | undefined): DebugType {
  switch (encoding) {
    case baseEncoding.boolean:
      return { kind: "number", is: "bool", name, bytes };
    case baseEncoding.float:
      return bytes <= pointerBytes
        ? { kind: "number", is: "float", name, bytes }
        : { kind: "other", name, bytes };
    case baseEncoding.signedChar:
    case baseEncoding.unsignedChar:
      // uint8_t and int8_t are of the same encoding; `char` alone is text.
      return { kind: "number", is: charKind(name, encoding), name, bytes };
    case baseEncoding.signed:
      return wide(bytes) ?? { kind: "number", is: "signed", name, bytes };
    case baseEncoding.unsigned:
    case baseEncoding.address:
    case baseEncoding.utf:
      return wide(bytes) ?? { kind: "number", is: "unsigned", name, bytes };
    default:
      return { kind: "other", name, bytes };
  }

  function wide(size: number): DebugType | undefined {
    return size <= pointerBytes ? undefined : { kind: "wide", name, bytes: size };
  }
}

const charKind = (name: string, encoding: number): "char" | "signed" | "unsigned" => {
  if (name === "char") return "char";
  return encoding === baseEncoding.signedChar ? "signed" : "unsigned";
};
