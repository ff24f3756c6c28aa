/**
 * Compares two object files that were compiled from two versions of one source file, function by
 * function: by their code and by what it refers to. Both have a section for each function and
 * variable (`-ffunction-sections -fdata-sections`).
 */
import { sectionFlag, symbolType } from "./constants.ts";
import type { ObjectFile, ObjectRelocation, ObjectSection, ObjectSymbol } from "./object-file.ts";

/** Sections by what the linker merges in them. */
const stringSection = /^\.rodata(\..*)?\.str\d/;
const constantSection = /^\.rodata(\..*)?\.cst(\d+)$/;

/** x86-64 relocations that count from the end of a field of 4 bytes (psABI, table 4.9). */
const relativeTypes: ReadonlySet<number> = new Set([2, 4, 9, 41, 42]);

const isSpecial = (section: number): boolean => section === 0 || section >= 0xff00;

/** The names of an object, by section: what a section symbol stands for. */
export class ObjectNames {
  readonly file: ObjectFile;
  readonly #bySection = new Map<number, ObjectSymbol[]>();

  constructor(file: ObjectFile) {
    this.file = file;
    for (const symbol of file.symbols) {
      const isNamed = symbol.type === symbolType.func || symbol.type === symbolType.object;
      if (!isNamed || isSpecial(symbol.section)) continue;
      const known = this.#bySection.get(symbol.section) ?? [];
      known.push(symbol);
      this.#bySection.set(symbol.section, known);
    }
  }

  /** What is defined in a section, in the order of the symbol table. */
  inSection(section: number): readonly ObjectSymbol[] {
    return this.#bySection.get(section) ?? [];
  }

  /** Functions or variables with contents of their own, by name. */
  defined(type: "func" | "object"): ReadonlyMap<string, ObjectSymbol> {
    const found = new Map<string, ObjectSymbol>();
    for (const symbols of this.#bySection.values()) {
      for (const one of symbols) {
        if (one.type === symbolType[type] && !found.has(one.name)) found.set(one.name, one);
      }
    }
    return found;
  }

  /** Whether nobody writes to what is in a section, relocations apart. */
  isConstant(index: number): boolean {
    const { flags = 0, name = "" } = this.section(index) ?? {};
    return (flags & sectionFlag.write) === 0 || name.startsWith(".data.rel.ro");
  }

  section(index: number): ObjectSection | undefined {
    return this.file.sections[index];
  }

  /** Where a relocation leads: a section and the offset in it; undefined for undefined symbols. */
  place({
    symbol,
    type,
    addend,
  }: ObjectRelocation): { readonly section: number; readonly offset: number } | undefined {
    const target = this.file.symbols[symbol];
    if (target === undefined || isSpecial(target.section)) return undefined;
    const bias = relativeTypes.has(type) ? 4 : 0;
    return { section: target.section, offset: target.value + Number(addend) + bias };
  }
}

/** Text up to a zero. */
function stringAt(bytes: Uint8Array, offset: number): string {
  const end = bytes.indexOf(0, offset);
  return Array.from(bytes.subarray(offset, end < 0 ? undefined : end)).join(" ");
}

const signed = (value: bigint): string => (value < 0n ? `${value}` : `+${value}`);

/** Says what is in an object's sections, by names and contents, not by places and numbers. */
class ObjectText {
  readonly #names: ObjectNames;
  /** The name that a variable is compared by. */
  readonly #knownAs: (name: string) => string;
  readonly #sections = new Map<number, string>();

  constructor(names: ObjectNames, knownAs: (name: string) => string) {
    this.#names = names;
    this.#knownAs = knownAs;
  }

  /** A section's contents and all that it refers to, as one text; worked out once. */
  ofSection(index: number): string {
    const known = this.#sections.get(index);
    if (known !== undefined) return known;
    const section = this.#names.section(index);
    if (section === undefined) return "";
    // What leads back to itself.
    this.#sections.set(index, "itself");
    const text = [
      section.size,
      section.bytes.join(" "),
      ...section.relocations.map((one) => `${one.offset} ${one.type} ${this.#ofTarget(one)}`),
    ].join("\n");
    this.#sections.set(index, text);
    return text;
  }

  /** What a relocation refers to. */
  #ofTarget(one: ObjectRelocation): string {
    const names = this.#names;
    const place = names.place(one);
    if (place === undefined) {
      return `${names.file.symbols[one.symbol]?.name ?? "?"}${signed(one.addend)}`;
    }
    const { section: index, offset } = place;
    const section = names.section(index);
    if (section === undefined) return "?";
    if (stringSection.test(section.name)) return `"${stringAt(section.bytes, offset)}"`;
    const constant = constantSection.exec(section.name);
    if (constant !== null) {
      return `constant ${section.bytes.subarray(offset, offset + Number(constant[2])).join(" ")}`;
    }
    const [named] = names.inSection(index);
    // A table of the function's own, with a number for a name or none at all: what it says counts.
    if (named === undefined) return `${section.name}+${offset} ${this.ofSection(index)}`;
    const from = offset - named.value;
    if (named.type === symbolType.func) return `${named.name}+${from}`;
    if (isNumbered(named.name) && names.isConstant(index)) {
      return `${baseOf(named.name)}+${from} ${this.ofSection(index)}`;
    }
    return `${this.#knownAs(named.name)}+${from}`;
  }
}

export type ObjectDiff = {
  /** Functions in both whose code differs. */
  readonly changed: readonly string[];
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Variables in both that differ, and how. */
  readonly data: readonly { readonly name: string; readonly how: string }[];
};

/** Differences from `before` to `after`. */
export function diffObjects(before: ObjectFile, after: ObjectFile): ObjectDiff {
  const old = new ObjectNames(before);
  const next = new ObjectNames(after);
  const match = matchData(old, next);
  const oldText = new ObjectText(old, (name) => name);
  const newText = new ObjectText(next, (name) => match.get(name) ?? name);
  const differ = (was: ObjectSymbol, is: ObjectSymbol): boolean =>
    oldText.ofSection(was.section) !== newText.ofSection(is.section);
  const oldFunctions = old.defined("func");
  const newFunctions = next.defined("func");
  const changed = [...newFunctions].flatMap(([name, symbol]) => {
    const was = oldFunctions.get(name);
    return was !== undefined && differ(was, symbol) ? [name] : [];
  });
  const oldData = old.defined("object");
  const data = [...next.defined("object")].flatMap(([name, symbol]) => {
    const was = oldData.get(match.get(name) ?? "");
    // Constants of a function count as its code.
    if (was === undefined || (isNumbered(name) && next.isConstant(symbol.section))) return [];
    if (was.size !== symbol.size) {
      return [{ name, how: `has ${symbol.size} bytes instead of ${was.size}` }];
    }
    return differ(was, symbol) ? [{ name, how: "begins with other contents" }] : [];
  });
  return {
    changed,
    added: [...newFunctions.keys()].filter((name) => !oldFunctions.has(name)),
    removed: [...oldFunctions.keys()].filter((name) => !newFunctions.has(name)),
    data,
  };
}

/** Static variables of functions, which compilers number: `calls.0`. */
const numbered = /^(.*)\.(\d+)$/;
export const isNumbered = (name: string): boolean => numbered.test(name);
const baseOf = (name: string): string => numbered.exec(name)?.[1] ?? name;

/**
 * The old names of variables, by their new ones: numbers shift when a function gets a static of
 * its own. A name is left out where it is not clear which one is meant.
 */
export function matchData(before: ObjectNames, after: ObjectNames): ReadonlyMap<string, string> {
  const group = (names: Iterable<string>): Map<string, string[]> => {
    const groups = new Map<string, string[]>();
    for (const name of names) {
      const base = baseOf(name);
      groups.set(base, [...(groups.get(base) ?? []), name]);
    }
    const order = (name: string): number => Number(numbered.exec(name)?.[2] ?? -1);
    for (const list of groups.values()) list.sort((a, b) => order(a) - order(b));
    return groups;
  };
  const old = group(before.defined("object").keys());
  const found = new Map<string, string>();
  for (const [base, names] of group(after.defined("object").keys())) {
    const were = old.get(base) ?? [];
    if (were.length !== names.length) continue;
    for (const [index, name] of names.entries()) found.set(name, were[index] ?? name);
  }
  return found;
}
