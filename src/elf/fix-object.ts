/**
 * Makes the object file of a fix: the changed functions of a source file, and what only they use.
 * All else they refer to is the running program's: weak symbols, which are filled in when the fix
 * has been loaded.
 */
import { err, ok, type Result } from "../base/result.ts";
import { sectionFlag, sectionType, symbolBinding, symbolType } from "./constants.ts";
import { isNumbered, matchData, ObjectNames } from "./object-diff.ts";
import {
  type ObjectFile,
  type ObjectRelocation,
  type ObjectSection,
  type ObjectSymbol,
  writeObject,
} from "./object-file.ts";

export type FixObjectParts = {
  /** What the program runs. */
  readonly before: ObjectFile;
  /** The new version, compiled so that it can lie anywhere (`-mcmodel=large`). */
  readonly after: ObjectFile;
  /** Functions that change. */
  readonly changed: readonly string[];
  /** Base name of the source file, by which statics of one name are told apart. */
  readonly source: string;
  /** Build-id of the program that it is for. */
  readonly madeFor: string | undefined;
};

/** What the names of symbols begin with that stand for the program's. */
const referencePrefix = "patchbay_ref.";
/** x86-64 relocations: 8 bytes; relative; by the linkage table; thread-local ones. */
const relocation = { absolute: 1, relative: 2, linkage: 4 } as const;
const threadLocal: ReadonlySet<number> = new Set([16, 17, 18, 19, 20, 21, 22, 23, 34, 35, 36]);
const sectionSymbol = 3;

class FixBuilder {
  readonly #names: ObjectNames;
  readonly #oldFunctions: ReadonlyMap<string, ObjectSymbol>;
  readonly #oldData: ReadonlyMap<string, ObjectSymbol>;
  readonly #match: ReadonlyMap<string, string>;
  readonly #source: string;
  /** Sections that are taken, by their index in the new version. */
  readonly taken: number[] = [];
  /** Symbols outside, by name, and what they mean in the program. */
  readonly outside = new Map<string, string | undefined>();
  #problem: string | undefined;

  constructor({ before, after, source }: FixObjectParts) {
    const old = new ObjectNames(before);
    this.#names = new ObjectNames(after);
    this.#oldFunctions = old.defined("func");
    this.#oldData = old.defined("object");
    this.#match = matchData(old, this.#names);
    this.#source = source;
  }

  get problem(): string | undefined {
    return this.#problem;
  }

  /** Takes a section and all that has to come along. */
  take(index: number): void {
    if (this.taken.includes(index)) return;
    this.taken.push(index);
    for (const one of this.#names.section(index)?.relocations ?? []) this.resolve(one);
  }

  /** What a relocation refers to: a section that is taken, or a symbol outside. */
  resolve(one: ObjectRelocation): { readonly section: number } | { readonly outside: string } {
    const symbol = this.#names.file.symbols[one.symbol];
    const name = symbol?.name ?? "?";
    if (threadLocal.has(one.type)) this.#problem = "it uses thread-local variables";
    const place = this.#names.place(one);
    if (symbol === undefined || place === undefined) {
      this.outside.set(name, this.outside.get(name));
      return { outside: name };
    }
    const meant = this.#meantOutside(place.section, place.offset);
    if (meant === undefined) {
      this.take(place.section);
      return { section: place.section };
    }
    if (one.type === relocation.relative) this.#problem = `it reaches ${meant} by 32 bits alone`;
    const alias = `${referencePrefix}${meant}`;
    this.outside.set(alias, `${meant}@${this.#source}`);
    return { outside: alias };
  }

  /** The program's symbol that a place of the new version stands for; undefined: its own. */
  #meantOutside(section: number, offset: number): string | undefined {
    const [symbol] = this.#names.inSection(section);
    if (symbol === undefined) return undefined;
    if (symbol.type === symbolType.func) {
      // Labels inside, and parts and copies that the compiler made, are the fix's own.
      const isOwn = offset !== symbol.value || symbol.name.includes(".");
      return !isOwn && this.#oldFunctions.has(symbol.name) ? symbol.name : undefined;
    }
    // Constants with numbers, some of which the compiler made up, are as good in a copy.
    const isWritable = ((this.#names.section(section)?.flags ?? 0) & sectionFlag.write) !== 0;
    if (!isWritable && isNumbered(symbol.name)) return undefined;
    const was = this.#match.get(symbol.name);
    if (was !== undefined && this.#oldData.get(was)?.size === symbol.size) return was;
    if (was === undefined && isNumbered(symbol.name)) {
      this.#problem = `it is not clear which static ${symbol.name} is meant`;
    }
    return undefined;
  }
}

/** The object file's bytes; or why it can't be. */
export function makeFixObject(parts: FixObjectParts): Result<Uint8Array, string> {
  const { after, changed, madeFor } = parts;
  const names = new ObjectNames(after);
  const functions = names.defined("func");
  const builder = new FixBuilder(parts);
  for (const name of changed) {
    const symbol = functions.get(name);
    if (symbol === undefined) return err(`${name} has no code of its own when it can lie anywhere`);
    builder.take(symbol.section);
  }
  takeForFrames(names, builder);
  const lines = changed.map((name) => `${name}=${name}`);
  const references = [...builder.outside].flatMap(([alias, meant]) =>
    meant === undefined ? [] : [`${alias}=${meant}`],
  );
  const texts: readonly (readonly [string, readonly string[]])[] = [
    [".patchbay.fix", lines],
    [".patchbay.refs", references],
    [".patchbay.target", madeFor === undefined ? [] : [madeFor]],
  ];
  const object = assemble(names, builder, texts);
  if (builder.problem !== undefined) return err(builder.problem);
  return ok(writeObject(object));
}

const emptySection: ObjectSection = {
  name: "",
  type: 0,
  flags: 0,
  alignment: 0,
  entrySize: 0,
  size: 0,
  bytes: new Uint8Array(0),
  relocations: [],
};
const emptySymbol: ObjectSymbol = {
  name: "",
  section: 0,
  value: 0,
  size: 0,
  type: 0,
  binding: 0,
};

/** The taken sections with their symbols, frame descriptions, and sections of text. */
function assemble(
  names: ObjectNames,
  builder: FixBuilder,
  texts: readonly (readonly [string, readonly string[]])[],
): ObjectFile {
  const taken = [...builder.taken];
  const numberOf = new Map(taken.map((index, place) => [index, place + 1]));
  const local = taken.flatMap((index): ObjectSymbol[] => {
    const section = numberOf.get(index) ?? 0;
    const named = names.inSection(index).map((one) => ({ ...one, section, binding: 0 }));
    return [{ ...emptySymbol, type: sectionSymbol, section }, ...named];
  });
  const locals = [emptySymbol, ...local];
  const outside = [...builder.outside.keys()].map((name) => ({
    ...emptySymbol,
    name,
    binding: symbolBinding.weak,
  }));
  const symbols = [...locals, ...outside];
  const sectionSymbolOf = (index: number): number =>
    locals.findIndex(
      ({ type, section }) => type === sectionSymbol && section === numberOf.get(index),
    );
  const outsideOf = (name: string): number =>
    locals.length + outside.findIndex((one) => one.name === name);
  const relocate = (one: ObjectRelocation): ObjectRelocation => {
    const to = builder.resolve(one);
    if ("outside" in to) return { ...one, symbol: outsideOf(to.outside) };
    const value = names.file.symbols[one.symbol]?.value ?? 0;
    return { ...one, symbol: sectionSymbolOf(to.section), addend: one.addend + BigInt(value) };
  };
  const sections = taken.map((index): ObjectSection => {
    const section = names.section(index) ?? emptySection;
    const flags = section.flags & ~sectionFlag.linkOrder & ~groupFlag;
    return { ...section, flags, relocations: section.relocations.map(relocate) };
  });
  const frames = takeFrames(names, taken, relocate);
  const text = texts.flatMap(([name, lines]): ObjectSection[] => {
    if (lines.length === 0) return [];
    const bytes = new TextEncoder().encode(lines.map((line) => `${line}\n`).join(""));
    const { progbits } = sectionType;
    const kind = { type: progbits, flags: sectionFlag.alloc, alignment: 1 };
    return [{ ...emptySection, ...kind, name, bytes, size: bytes.length }];
  });
  const note = { ...emptySection, name: ".note.GNU-stack", type: sectionType.progbits };
  return { sections: [emptySection, ...sections, ...frames, ...text, note], symbols };
}

/** SHF_GROUP: of inline functions and templates, whose group does not come along. */
const groupFlag = 0x200;

type Frame = {
  readonly at: number;
  readonly end: number;
  /** To what it has in common with others; 0 for that itself. */
  readonly distance: number;
  readonly relocations: readonly ObjectRelocation[];
};

const framesOf = (names: ObjectNames): ObjectSection | undefined =>
  names.file.sections.find(({ name }) => name === ".eh_frame");

/** The frame descriptions of functions that are taken, and what these have in common. */
function wantedFrames(names: ObjectNames, taken: readonly number[]): readonly Frame[] {
  const { bytes, relocations } = framesOf(names) ?? emptySection;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const wanted: Frame[] = [];
  let place = 0;
  for (let at = 0; at + 8 <= bytes.length; ) {
    const end = at + 4 + view.getUint32(at, true);
    const distance = view.getUint32(at + 4, true);
    const first = place;
    while ((relocations[place]?.offset ?? end) < end) place++;
    const inside = relocations.slice(first, place);
    const owner = inside[0] === undefined ? undefined : names.place(inside[0])?.section;
    const isTaken = owner !== undefined && taken.includes(owner);
    if (distance === 0 || isTaken) wanted.push({ at, end, distance, relocations: inside });
    at = end;
  }
  return wanted;
}

/** Takes what frame descriptions refer to: tables of handlers, which refer to more. */
function takeForFrames(names: ObjectNames, builder: FixBuilder): void {
  for (let before = -1; before !== builder.taken.length; ) {
    before = builder.taken.length;
    for (const { relocations } of wantedFrames(names, builder.taken)) {
      for (const one of relocations) builder.resolve(one);
    }
  }
}

/** The frame descriptions as one section. */
function takeFrames(
  names: ObjectNames,
  taken: readonly number[],
  relocate: (one: ObjectRelocation) => ObjectRelocation,
): readonly ObjectSection[] {
  const section = framesOf(names);
  if (section === undefined) return [];
  const parts: number[] = [];
  const relocations: ObjectRelocation[] = [];
  const commons = new Map<number, number>();
  for (const frame of wantedFrames(names, taken)) {
    const at = parts.length;
    const part = section.bytes.slice(frame.at, frame.end);
    if (frame.distance === 0) commons.set(frame.at, at);
    else {
      const common = commons.get(frame.at + 4 - frame.distance) ?? 0;
      new DataView(part.buffer).setUint32(4, at + 4 - common, true);
    }
    for (const one of frame.relocations) {
      relocations.push({ ...relocate(one), offset: one.offset + at - frame.at });
    }
    for (const byte of part) parts.push(byte);
  }
  const bytes = Uint8Array.from(parts);
  return [{ ...section, bytes, size: bytes.length, relocations }];
}
