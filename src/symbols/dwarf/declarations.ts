/**
 * What debug information says of functions, variables and structures: parameters and results,
 * types, layouts, as texts that can be compared. Typedefs and qualifiers are seen through;
 * what a pointer leads to counts by its name alone.
 *
 * Reads all of `.debug_info`: for a question that is asked once. Source: DWARF 5, chapter 5 and
 * section 3.3.
 */
import { attribute, form, tag } from "./constants.ts";
import { type DebugInfo, readUnitRoot, type Unit } from "./debug-info.ts";

export type Declarations = {
  /** By linkage name, or by name: `int (int, struct item *)`; several where units differ. */
  readonly functions: ReadonlyMap<string, ReadonlySet<string>>;
  /** Of whole files, declared or defined, by name: their types. */
  readonly variables: ReadonlyMap<string, ReadonlySet<string>>;
  /** By `struct NAME`: `24 bytes: id int 0, name char[16] 4`. */
  readonly structures: ReadonlyMap<string, ReadonlySet<string>>;
};

type Entry = {
  readonly tag: number;
  readonly children: Entry[];
  name: string | undefined;
  linkageName: string | undefined;
  /** Offset of the type's entry; -1 for void. */
  type: number;
  bytes: number | undefined;
  /** Of a member, in bytes; of a subrange, its length. */
  place: number | undefined;
  isDeclaration: boolean;
  isOwn: boolean;
};

const structureTags: ReadonlyMap<number, string> = new Map([
  [tag.structureType, "struct"],
  [tag.classType, "struct"],
  [tag.unionType, "union"],
]);
const transparent: ReadonlySet<number> = new Set([
  tag.typedef,
  tag.constType,
  tag.volatileType,
  tag.restrictType,
  tag.atomicType,
]);
const pointers: ReadonlyMap<number, string> = new Map([
  [tag.pointerType, " *"],
  [tag.referenceType, " &"],
  [tag.rvalueReferenceType, " &&"],
]);
const blockForms: ReadonlySet<number> = new Set([
  form.block,
  form.block1,
  form.block2,
  form.block4,
  form.exprloc,
]);

const numberWords: ReadonlySet<string> = new Set(
  "unsigned signed long short int char double".split(" "),
);

/** A number's type as one spells it: gcc has `long unsigned int` for clang's `unsigned long`. */
function plainName(name: string): string {
  const words = name.split(" ");
  if (!words.every((word) => numberWords.has(word))) return name;
  const sign = words.filter((word) => word === "unsigned" || word === "signed");
  const sizes = words.filter((word) => word === "long" || word === "short");
  const hasSize = sizes.length > 0;
  const base = words.filter(
    (word) => word === "char" || word === "double" || (word === "int" && !hasSize),
  );
  return [...sign, ...sizes, ...base].join(" ");
}

/** The entries of one unit, by their offset in `.debug_info`. */
class UnitEntries {
  readonly #info: DebugInfo;
  readonly #unit: Unit;
  readonly #root: ReturnType<typeof readUnitRoot>;
  readonly entries = new Map<number, Entry>();

  constructor(info: DebugInfo, unit: Unit) {
    this.#info = info;
    this.#unit = unit;
    this.#root = readUnitRoot(info, unit);
    this.#read();
  }

  #read(): void {
    const unit = this.#unit;
    const reader = this.#info.reader(".debug_info", unit.entryAt, unit.end);
    const shapes = this.#info.abbreviations(unit);
    const open: Entry[] = [];
    while (reader.at < reader.end) {
      const offset = reader.at;
      const code = reader.uleb();
      if (code === 0) {
        open.pop();
        if (open.length === 0) return;
        continue;
      }
      const shape = shapes.get(code);
      if (shape === undefined) throw reader.fail(`no abbreviation ${code}`);
      const entry: Entry = {
        tag: shape.tag,
        children: [],
        name: undefined,
        linkageName: undefined,
        type: -1,
        bytes: undefined,
        place: undefined,
        isDeclaration: false,
        isOwn: true,
      };
      for (let i = 0; i < shape.attributes.length; i += 3) {
        const kind = shape.attributes[i + 1] ?? 0;
        const value = reader.value(kind, unit, shape.attributes[i + 2]);
        this.#set(entry, shape.attributes[i] ?? 0, kind, value);
      }
      this.entries.set(offset, entry);
      open.at(-1)?.children.push(entry);
      if (shape.hasChildren) open.push(entry);
    }
  }

  #set(entry: Entry, name: number, kind: number, value: number): void {
    switch (name) {
      case attribute.name:
        entry.name = this.#info.text(kind, value, this.#root);
        break;
      case attribute.linkageName:
      case attribute.mipsLinkageName:
        entry.linkageName = this.#info.text(kind, value, this.#root);
        break;
      case attribute.type:
        entry.type = kind === form.refAddr ? value : this.#unit.offset + value;
        break;
      case attribute.byteSize:
        entry.bytes = blockForms.has(kind) ? undefined : value;
        break;
      case attribute.memberLocation:
      case attribute.upperBound:
        entry.place = blockForms.has(kind) ? undefined : value;
        break;
      case attribute.count:
        entry.place = value - 1;
        break;
      case attribute.declaration:
        entry.isDeclaration = true;
        break;
      case attribute.abstractOrigin:
        entry.isOwn = false;
        break;
    }
  }

  /** A type in words; what pointers lead to is only named. */
  typeName(offset: number, depth = 0): string {
    if (offset < 0) return "void";
    const entry = this.entries.get(offset);
    // In a unit of its own, or nested beyond what anybody writes.
    if (entry === undefined || depth > 32) return "?";
    if (transparent.has(entry.tag)) return this.typeName(entry.type, depth + 1);
    const mark = pointers.get(entry.tag);
    if (mark !== undefined) return `${this.typeName(entry.type, depth + 1)}${mark}`;
    if (entry.tag === tag.arrayType) {
      const lengths = entry.children.map(({ place }) => (place === undefined ? "" : place + 1));
      return `${this.typeName(entry.type, depth + 1)}[${lengths.join("][")}]`;
    }
    if (entry.tag === tag.subroutineType) return "function";
    const kind = structureTags.get(entry.tag) ?? (entry.tag === tag.enumerationType ? "enum" : "");
    const name = entry.name ?? `of ${entry.bytes ?? "?"} bytes`;
    return kind === "" ? plainName(name) : `${kind} ${name}`;
  }

  signature(entry: Entry): string {
    const parameters = entry.children.flatMap((child) => {
      if (child.tag === tag.formalParameter) return this.typeName(child.type);
      return child.tag === tag.unspecifiedParameters ? "..." : [];
    });
    return `${this.typeName(entry.type)} (${parameters.join(", ")})`;
  }

  layout(entry: Entry): string {
    const members = entry.children
      .filter((child) => child.tag === tag.member && child.place !== undefined)
      .map((child) => `${child.name ?? ""} ${this.typeName(child.type)} at ${child.place}`);
    return `${entry.bytes ?? 0} bytes: ${members.join(", ")}`;
  }
}

/**
 * The functions and variables that `isWanted` names, and all structures with a name.
 * @throws FormatError where the debug information is damaged.
 */
export function readDeclarations(
  info: DebugInfo,
  isWanted: (name: string) => boolean,
): Declarations {
  const functions = new Map<string, Set<string>>();
  const variables = new Map<string, Set<string>>();
  const structures = new Map<string, Set<string>>();
  const add = (map: Map<string, Set<string>>, name: string, text: string): void => {
    const known = map.get(name) ?? new Set();
    map.set(name, known.add(text));
  };
  for (const unit of info.units()) {
    const entries = new UnitEntries(info, unit);
    for (const { tag: kind, name, type } of entries.entries.get(unit.entryAt)?.children ?? []) {
      if (kind !== tag.variable || name === undefined || !isWanted(name)) continue;
      add(variables, name, entries.typeName(type));
    }
    for (const entry of entries.entries.values()) {
      const name = entry.linkageName ?? entry.name;
      if (name === undefined || entry.isDeclaration) continue;
      const kind = structureTags.get(entry.tag);
      if (kind !== undefined) add(structures, `${kind} ${name}`, entries.layout(entry));
      else if (entry.tag === tag.subprogram && entry.isOwn && isWanted(name)) {
        add(functions, name, entries.signature(entry));
      }
    }
  }
  return { functions, variables, structures };
}
