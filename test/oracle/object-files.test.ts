/**
 * Object files: read as readelf reads them, written so that binutils find the same in them, and
 * compared, two versions of a source file, as objdump's disassembly of both would be.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { sectionType } from "../../src/elf/constants.ts";
import { diffObjects } from "../../src/elf/object-diff.ts";
import { type ObjectFile, parseObject, writeObject } from "../../src/elf/object-file.ts";
import { fixture, hasTool, linesOf, outputOf, scratchFolder } from "../support/compile.ts";

const sources = [
  ["gcc", "sites.c"],
  ["g++", "names.cpp"],
  ["g++", "live/exceptions.cc"],
  ["clang", "live/typed.c"],
  ["gcc", "live/versions.c"],
] as const;
const flags = ["-O2", "-g", "-ffunction-sections", "-fdata-sections", "-c"];

function objectOf(
  compiler: string,
  source: string,
  name = "one.o",
  more: readonly string[] = [],
): string {
  const path = join(scratchFolder(), name);
  outputOf(compiler, [...flags, ...more, source, "-o", path]);
  return path;
}

const parse = (path: string): ObjectFile => parseObject(new Uint8Array(readFileSync(path)));

/** Sections as `readelf -SW` lists them, but for where they lie in the file. */
const sectionsOf = (path: string): readonly string[] =>
  linesOf(outputOf("readelf", ["-SW", path])).flatMap((line) => {
    const match =
      /^ *\[ *(\d+)\] (.*?) +\S+ +[0-9a-f]{16} [0-9a-f]+ ([0-9a-f]+) ([0-9a-f]+) .*?(\d+)$/.exec(
        line,
      );
    return match === null || match[1] === "0" ? [] : [match.slice(2).join(" ")];
  });

const kinds = ["NOTYPE", "OBJECT", "FUNC", "SECTION", "FILE", "COMMON", "TLS"];
const bindings = ["LOCAL", "GLOBAL", "WEAK"];

/** Symbols as `readelf -sW` lists them: value, size, kind, binding, section, name. */
const symbolsOf = (path: string): readonly string[] =>
  linesOf(outputOf("readelf", ["-sW", path])).flatMap((line) => {
    const match = /^ *\d+: ([0-9a-f]+) +(\S+) (\w+) +(\w+) +\w+ +(\S+) ?(.*)$/.exec(line);
    if (match === null) return [];
    const [, value = "", size = "", kind = "", binding = "", section = "", name = ""] = match;
    // A section's symbol has no name of its own; readelf shows the section's.
    const shown = kind === "SECTION" ? "" : name;
    return [`${Number.parseInt(value, 16)} ${Number(size)} ${kind} ${binding} ${section} ${shown}`];
  });

const specialSections: Readonly<Record<number, string>> = { 0: "UND", 65521: "ABS", 65522: "COM" };

const ourSymbols = ({ symbols }: ObjectFile): readonly string[] =>
  symbols.map(({ value, size, type, binding, section, name }) => {
    const place = specialSections[section] ?? `${section}`;
    return `${value} ${size} ${kinds[type]} ${bindings[binding]} ${place} ${name}`;
  });

/** Relocations as `readelf -rW` lists them: section, offset, type, symbol's number is left out. */
const relocationsOf = (path: string): readonly string[] => {
  let section = "";
  return linesOf(outputOf("readelf", ["-rW", path])).flatMap((line) => {
    section = /^Relocation section '\.rela([^']*)'/.exec(line)?.[1] ?? section;
    const match = /^([0-9a-f]{16}) +([0-9a-f]{16}) /.exec(line);
    if (match === null) return [];
    const addend = / ([+-]) ([0-9a-f]+)$/.exec(line);
    const size = BigInt(`0x${addend?.[2] ?? "0"}`);
    const info = BigInt(`0x${match[2]}`);
    return [
      `${section} ${BigInt(`0x${match[1]}`)} ${info & 0xffff_ffffn} ${info >> 32n} ` +
        `${addend?.[1] === "-" ? -size : size}`,
    ];
  });
};

const ourRelocations = ({ sections }: ObjectFile): readonly string[] =>
  sections.flatMap(({ name, relocations }) =>
    relocations.map(
      ({ offset, type, symbol, addend }) => `${name} ${offset} ${type} ${symbol} ${addend}`,
    ),
  );

/** Tables of symbols, strings and relocations, and groups of sections. */
const tableTypes: ReadonlySet<number> = new Set([
  ...[sectionType.symtab, sectionType.strtab, sectionType.rela],
  17,
]);

const tools = ["gcc", "g++", "clang", "readelf", "objdump", "ld"];

describe.skipIf(!tools.every(hasTool))("an object file", () => {
  it.each(sources)("of %s and %s is read as readelf reads it", (compiler, source) => {
    const path = objectOf(compiler, fixture(source));
    const object = parse(path);
    const ours = object.sections
      .slice(1)
      .map(({ name, size, entrySize, alignment }) =>
        [
          name,
          size.toString(16).padStart(6, "0"),
          entrySize.toString(16).padStart(2, "0"),
          alignment,
        ].join(" "),
      );
    expect(ours).toEqual(sectionsOf(path));
    expect(ours.length).toBeGreaterThan(10);
    expect(ourSymbols(object)).toEqual(symbolsOf(path));
    expect([...ourRelocations(object)].sort()).toEqual([...relocationsOf(path)].sort());
  });

  it.each(sources)("of %s and %s is written as binutils read it", (compiler, source) => {
    const path = objectOf(compiler, fixture(source));
    const { sections, symbols } = parse(path);
    // Tables are made anew; the old ones keep their numbers, and nothing else.
    const kept = sections.map((one) =>
      tableTypes.has(one.type) ? { ...one, name: ".old", type: sectionType.progbits } : one,
    );
    const written = join(scratchFolder(), "two.o");
    writeFileSync(written, writeObject({ sections: kept, symbols }));
    const dump = (file: string): string =>
      outputOf("objdump", ["-dr", file]).replace(/^.*file format.*$/m, "");
    expect(dump(written)).toBe(dump(path));
    expect(symbolsOf(written)).toEqual(symbolsOf(path));
  });
});

/** What a label of the compiler's stands for in its assembly: all up to the next label. */
function definitions(assembly: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const [, label = "", text = ""] of assembly.matchAll(/^([.\w]+):\n((?:\t.*\n)*)/gm)) {
    const data = /^\t\.(?:long|quad|value|byte|zero|string|ascii)\t.*$/gm;
    found.set(label, [...text.matchAll(data)].join("\n"));
  }
  return found;
}

/** Functions of a source file by name: the compiler's assembly, numbers of labels left out. */
function assemblyOf(source: string): ReadonlyMap<string, string> {
  const path = join(scratchFolder(), "one.s");
  outputOf("gcc", ["-O2", "-S", source, "-o", path]);
  const assembly = readFileSync(path, "utf8");
  const defined = definitions(assembly);
  const spell = (text: string, depth = 0): string => {
    const order: string[] = [];
    return text.replaceAll(/\.L[A-Z]*\d+|\b[a-z]\w*\.\d+|\bCSWTCH\.\d+/g, (label) => {
      const isCode =
        /^\.L[^C]/.test(label) && !/\.long|\.string|\.quad/.test(defined.get(label) ?? "");
      if (!order.includes(label)) order.push(label);
      if (isCode || depth > 2) return `label ${order.indexOf(label)}`;
      return `{${spell(defined.get(label) ?? "", depth + 1)}}`;
    });
  };
  const functions = assembly.matchAll(/^\t\.type\t(\w+), @function\n((?:.*\n)*?)\t\.size\t\1,/gm);
  return new Map([...functions].map(([, name = "", text = ""]) => [name, spell(text)]));
}

const changes: readonly (readonly [string, string, string, readonly string[]])[] = [
  ["nothing", "", "", []],
  ["an instruction", "return a + b", "return a - b", ["add"]],
  ["a constant", "x * 0.5", "x * 0.25", ["half"]],
  ["a string", '"hello"', '"hallo"', ["say"]],
  ["a string in a table of its own", '"two"', '"too"', ["name"]],
  ["a table of its own", "9, 13", "9, 14", ["table"]],
  ["a table that the compiler made", "return 12;", "return 13;", ["pick"]],
  ["whom it calls", "return table(i);", "return pick(i);", ["choose"]],
  ["the order of cases", "case 3: puts", "case 5: puts", ["choose"]],
  ["a condition that is asserted", "assert(x > 0)", "assert(x > 1)", ["check"]],
  [
    "numbers alone",
    "/* room for one more */",
    "NOINLINE int more(int x) { static int last = 5; assert(x > 3); return last += x; }",
    [],
  ],
];

describe.skipIf(!tools.every(hasTool))("two versions of a source file", () => {
  const source = readFileSync(fixture("parts.c"), "utf8");
  it.each(changes)("differ where the compiler's assembly does: %s", (_, from, to, expected) => {
    const folder = scratchFolder();
    // The name of the file is in what assert() prints.
    const [old, next] = ["old", "new"].map((name) => {
      const path = join(folder, name, "parts.c");
      mkdirSync(join(folder, name));
      writeFileSync(path, name === "old" ? source : source.replace(from, to));
      return path;
    });
    const [was, is] = [old ?? "", next ?? ""].map((path) => {
      const anywhere = `-fmacro-prefix-map=${join(path, "..")}=`;
      return parse(objectOf("gcc", path, "parts.o", [anywhere]));
    });
    if (was === undefined || is === undefined) throw new Error("two objects");
    const diff = diffObjects(was, is);
    expect(diff.changed).toEqual(expected);
    expect(diff.data).toEqual([]);
    const [before, after] = [assemblyOf(old ?? ""), assemblyOf(next ?? "")];
    const theirs = [...after].filter(([name, text]) => {
      const known = before.get(name);
      return known !== undefined && known !== text.replaceAll("/new/", "/old/");
    });
    expect(theirs.map(([name]) => name)).toEqual(expected);
  });

  it("say when a static begins otherwise, also that of a function", () => {
    const folder = scratchFolder();
    const [old, next] = [join(folder, "old.c"), join(folder, "new.c")];
    writeFileSync(old, source);
    writeFileSync(next, source.replace("last = 1", "last = 2"));
    const flagsOf = (path: string) => [`-fmacro-prefix-map=${path}=parts.c`];
    const diff = diffObjects(
      parse(objectOf("gcc", old, "old.o", flagsOf(old))),
      parse(objectOf("gcc", next, "new.o", flagsOf(next))),
    );
    expect(diff.changed).toEqual([]);
    expect(diff.data).toEqual([
      { name: expect.stringMatching(/^last\.\d$/), how: "begins with other contents" },
    ]);
  });
});
