/**
 * What debug information says of a function that has no code of its own: where it was inlined.
 * Source: DWARF 5 section 3.3.8 (inlined subroutines).
 *
 * Reads all of `.debug_info`, twice: for a question that a person asks, not for a loop.
 */
import { attribute, form, inlined, tag } from "./constants.ts";
import { type Abbreviation, type DebugInfo, readUnitRoot, type Unit } from "./debug-info.ts";
import type { DwarfReader } from "./reader.ts";
import { referenceTarget } from "./types.ts";

/** A function by the names that debug information has for it. */
export type DebugNames = {
  readonly name: string | undefined;
  /** The symbol it has or would have. */
  readonly linkageName: string | undefined;
};

/** One place that a function was inlined at. */
export type InlinedAt = {
  /** The function whose code it became part of. */
  readonly caller: DebugNames | undefined;
  /** The unit, and the number of the file in the unit's line table. */
  readonly unit: Unit;
  readonly file: number;
  readonly line: number;
};

/** What debug information says of the functions that were asked for. */
export type InliningFacts = {
  /** Whether any unit defines such a function. */
  readonly isKnown: boolean;
  /** Whether one of them has code of its own. */
  readonly hasCode: boolean;
  /** Whether the compiler says that it inlined one. */
  readonly isInlined: boolean;
  /** Names of the functions found, without repeats. */
  readonly names: readonly DebugNames[];
  /** Places, up to `placesMax` of them. */
  readonly places: readonly InlinedAt[];
  /** How many places there are. */
  readonly placeCount: number;
};

/** Places that are told one by one; the rest is counted. */
const placesMax = 1000;

type Value = { form: number; value: number };

/** The attributes of one entry that matter here. */
type Entry = {
  readonly offset: number;
  readonly tag: number;
  readonly depth: number;
  name: Value | undefined;
  linkageName: Value | undefined;
  /** Offset in `.debug_info` of the entry that this one completes or stands for. */
  origin: number;
  hasCode: boolean;
  isInlined: boolean;
  isDeclaration: boolean;
  callFile: number;
  callLine: number;
};

/** Bytes of a value by its form, where they do not depend on the unit or the value. */
const formSizes: ReadonlyMap<number, number> = new Map([
  [form.data1, 1],
  [form.ref1, 1],
  [form.flag, 1],
  [form.strx1, 1],
  [form.addrx1, 1],
  [form.data2, 2],
  [form.ref2, 2],
  [form.data4, 4],
  [form.ref4, 4],
  [form.data8, 8],
  [form.ref8, 8],
  [form.refSig8, 8],
  [form.data16, 16],
  [form.flagPresent, 0],
  [form.implicitConst, 0],
]);
const offsetForms: ReadonlySet<number> = new Set([form.strp, form.lineStrp, form.secOffset]);

/** Bytes of an entry's attributes when all have fixed sizes: it can be skipped at once; else -1. */
function fixedSize(shape: Abbreviation, unit: Unit): number {
  let size = 0;
  for (let i = 1; i < shape.attributes.length; i += 3) {
    const kind = shape.attributes[i] ?? 0;
    const one = offsetForms.has(kind) ? unit.offsetSize : formSizes.get(kind);
    if (one === undefined && kind !== form.addr) return -1;
    size += one ?? unit.addressSize;
  }
  return size;
}

/** Moves behind the attributes of an entry that is of no interest. */
function skipEntry(reader: DwarfReader, unit: Unit, { attributes }: Abbreviation): void {
  for (let i = 1; i < attributes.length; i += 3) reader.value(attributes[i] ?? 0, unit);
}

function setAttribute(entry: Entry, name: number, kind: number, value: number, unit: Unit): void {
  switch (name) {
    case attribute.name:
      entry.name = { form: kind, value };
      break;
    case attribute.linkageName:
    case attribute.mipsLinkageName:
      entry.linkageName = { form: kind, value };
      break;
    case attribute.abstractOrigin:
    case attribute.specification:
      entry.origin = referenceTarget(kind, value, unit) ?? -1;
      break;
    case attribute.lowPc:
    case attribute.ranges:
      entry.hasCode = true;
      break;
    case attribute.inline:
      entry.isInlined = value === inlined.inlined || value === inlined.declaredInlined;
      break;
    case attribute.declaration:
      entry.isDeclaration = true;
      break;
    case attribute.callFile:
      entry.callFile = value;
      break;
    case attribute.callLine:
      entry.callLine = value;
      break;
  }
}

function readEntry(
  reader: DwarfReader,
  unit: Unit,
  shape: Abbreviation,
  place: Pick<Entry, "offset" | "depth">,
): Entry {
  const entry: Entry = {
    ...place,
    tag: shape.tag,
    name: undefined,
    linkageName: undefined,
    origin: -1,
    hasCode: false,
    isInlined: false,
    isDeclaration: false,
    callFile: 0,
    callLine: 0,
  };
  const { attributes } = shape;
  for (let i = 0; i < attributes.length; i += 3) {
    const kind = attributes[i + 1] ?? 0;
    const value = reader.value(kind, unit, attributes[i + 2]);
    setAttribute(entry, attributes[i] ?? 0, kind, value, unit);
  }
  return entry;
}

/** Calls `visit` for each function and each inlined call of `unit`, in order. */
function walkFunctions(info: DebugInfo, unit: Unit, visit: (entry: Entry) => void): void {
  const reader = info.reader(".debug_info", unit.entryAt, unit.end);
  const shapes = info.abbreviations(unit);
  const sizes = new Map<Abbreviation, number>();
  let depth = 0;
  while (reader.at < unit.end) {
    const offset = reader.at;
    const code = reader.uleb();
    if (code === 0) {
      depth = Math.max(0, depth - 1);
      continue;
    }
    const shape = shapes.get(code) ?? reader.fail(`no abbreviation ${code}`);
    if (shape.tag === tag.subprogram || shape.tag === tag.inlinedSubroutine) {
      visit(readEntry(reader, unit, shape, { offset, depth }));
    } else {
      const size = sizes.get(shape) ?? fixedSize(shape, unit);
      sizes.set(shape, size);
      if (size >= 0) reader.take(size);
      else skipEntry(reader, unit, shape);
    }
    if (shape.hasChildren) depth++;
  }
}

/** Names of entries by their offset, following what they complete. */
class NameReader {
  readonly #info: DebugInfo;
  readonly #roots = new Map<number, ReturnType<typeof readUnitRoot>>();

  constructor(info: DebugInfo) {
    this.#info = info;
  }

  text(unit: Unit, value: Value | undefined): string | undefined {
    if (value === undefined) return undefined;
    let root = this.#roots.get(unit.offset);
    if (root === undefined) {
      root = readUnitRoot(this.#info, unit);
      this.#roots.set(unit.offset, root);
    }
    return this.#info.text(value.form, value.value, root);
  }

  /** Names of the entry at `offset`; a chain of references is short unless it is damaged. */
  names(offset: number, hops = 0): DebugNames | undefined {
    const unit = offset < 0 ? undefined : this.#info.findUnit(offset);
    if (unit === undefined || offset < unit.entryAt || hops > 4) return undefined;
    const found = this.#info.entry(unit, offset);
    if (found === undefined) return undefined;
    const { attributes } = found;
    const linkage =
      attributes.get(attribute.linkageName) ?? attributes.get(attribute.mipsLinkageName);
    const origin =
      attributes.get(attribute.abstractOrigin) ?? attributes.get(attribute.specification);
    const target =
      origin === undefined ? -1 : (referenceTarget(origin.form, origin.value, unit) ?? -1);
    const from = target < 0 ? undefined : this.names(target, hops + 1);
    return {
      name: this.text(unit, attributes.get(attribute.name)) ?? from?.name,
      linkageName: this.text(unit, linkage) ?? from?.linkageName,
    };
  }
}

/** Entries of the functions that `isWanted` names, those that complete them included. */
function findEntries(
  info: DebugInfo,
  names: NameReader,
  isWanted: (names: DebugNames) => boolean,
): { wanted: Set<number>; facts: { hasCode: boolean; isInlined: boolean; isKnown: boolean } } {
  const wanted = new Set<number>();
  const functions: Entry[] = [];
  for (const unit of info.units()) {
    walkFunctions(info, unit, (entry) => {
      if (entry.tag !== tag.subprogram) return;
      const name = names.text(unit, entry.name);
      const linkageName = names.text(unit, entry.linkageName);
      const isNamed = name !== undefined || linkageName !== undefined;
      if (isNamed && isWanted({ name, linkageName })) wanted.add(entry.offset);
      if (entry.origin >= 0 || wanted.has(entry.offset)) functions.push(entry);
    });
  }
  // Declaration, abstract and concrete entry: two references at the most lead to the name.
  for (let round = 0; round < 2; round++) {
    for (const entry of functions) if (wanted.has(entry.origin)) wanted.add(entry.offset);
  }
  const found = functions.filter((entry) => wanted.has(entry.offset));
  const facts = {
    isKnown: found.some((entry) => !entry.isDeclaration),
    hasCode: found.some((entry) => entry.hasCode),
    isInlined: found.some((entry) => entry.isInlined),
  };
  return { wanted, facts };
}

/**
 * What is known of the functions that `isWanted` names.
 * @throws FormatError where the debug information is damaged.
 */
export function findInlining(
  info: DebugInfo,
  isWanted: (names: DebugNames) => boolean,
): InliningFacts {
  const names = new NameReader(info);
  const { wanted, facts } = findEntries(info, names, isWanted);
  const places: InlinedAt[] = [];
  let placeCount = 0;
  for (const unit of wanted.size === 0 ? [] : info.units()) {
    /** Functions around the place, by depth. */
    const around: Entry[] = [];
    walkFunctions(info, unit, (entry) => {
      for (let last = around.at(-1); last !== undefined && last.depth >= entry.depth; ) {
        around.pop();
        last = around.at(-1);
      }
      if (entry.tag === tag.subprogram) {
        around.push(entry);
        return;
      }
      if (!wanted.has(entry.origin) || placeCount++ >= placesMax) return;
      const caller = around.at(-1);
      places.push({
        caller: caller === undefined ? undefined : names.names(caller.offset),
        unit,
        file: entry.callFile,
        line: entry.callLine,
      });
    });
  }
  const found = new Map<string, DebugNames>();
  for (const offset of wanted) {
    const one = names.names(offset);
    if (one !== undefined) found.set(one.linkageName ?? one.name ?? "", one);
  }
  return { ...facts, names: [...found.values()], places, placeCount };
}
