/**
 * Damaged programs: whatever is changed or cut off, reading one ends, and with nothing but a
 * format error. The programs are compiled ones, so that all parts of the readers are reached.
 */
import { readFileSync } from "node:fs";
import { inflateSync } from "node:zlib";
import * as fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { linkAddr } from "../../src/base/brand.ts";
import { FormatError } from "../../src/base/cursor.ts";
import { type ElfFile, parseElf } from "../../src/elf/elf-file.ts";
import { findBuildId, findDebugLink } from "../../src/elf/notes.ts";
import { explainNoSites } from "../../src/patch/no-sites.ts";
import { findSites } from "../../src/patch/site.ts";
import { DebugInfo } from "../../src/symbols/dwarf/debug-info.ts";
import { findInlining } from "../../src/symbols/dwarf/inlining.ts";
import { findSignatures } from "../../src/symbols/dwarf/signatures.ts";
import { SourceLines } from "../../src/symbols/source-lines.ts";
import { functionAt, readSymbolTable, symbolName } from "../../src/symbols/symbol-table.ts";
import { compile, hasTool, outputOf } from "../support/compile.ts";

/** Runs one reader; a format error is the one thing it may throw. */
function attempt(read: () => void): void {
  try {
    read();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    expect(error.message).not.toContain("\n");
  }
}

const inflate = (bytes: Uint8Array, size: number): Uint8Array =>
  inflateSync(bytes, { maxOutputLength: Math.max(1, size) });

function readLines(elf: ElfFile): void {
  const info = new DebugInfo(elf, inflate);
  const lines = new SourceLines(info);
  const table = readSymbolTable(elf);
  for (let i = 0; i < Math.min(table.count, 40); i++) {
    symbolName(table, i);
    attempt(() => lines.find(functionAt(table, i).addr));
  }
  attempt(() => lines.find(linkAddr(0x1234n)));
  attempt(() => findInlining(info, (names) => names.name === "squared"));
}

/** Everything that is ever read of a file. */
/** Signatures of all functions, and what they are called by. */
function readSignatures(elf: ElfFile): void {
  const addresses = readSymbolTable(elf).addrs;
  const { bySite, enumerators } = findSignatures(new DebugInfo(elf, inflate), new Set(addresses));
  for (const { parameters } of bySite.values()) {
    for (const { type } of parameters) if (type.kind === "enum") enumerators(type.at);
  }
}

function readAll(bytes: Uint8Array): void {
  attempt(() => {
    const elf = parseElf(bytes);
    attempt(() => findBuildId(elf));
    attempt(() => findDebugLink(elf));
    attempt(() => explainNoSites(elf));
    attempt(() => findSites(elf));
    attempt(() => readLines(elf));
    attempt(() => readSignatures(elf));
  });
}

const recipes: readonly (readonly [string, readonly string[]])[] = [
  ["gcc", ["-O2", "-g", "-gdwarf-5", "-fpatchable-function-entry=13,8"]],
  ["gcc", ["-O2", "-g", "-gdwarf-4", "-pg", "-mfentry", "-mrecord-mcount"]],
  ["clang", ["-O2", "-g", "-fcf-protection=full", "-fpatchable-function-entry=5"]],
  ["gcc", ["-O2", "-g", "-gz", "-fpatchable-function-entry=5"]],
];

for (const [compiler, flags] of recipes) {
  describe.skipIf(!hasTool(compiler))(`${compiler} ${flags.join(" ")}`, () => {
    let whole: Buffer;
    let stripped: Buffer;
    beforeAll(() => {
      const path = compile(compiler, flags, "sites.c");
      whole = readFileSync(path);
      outputOf("strip", [path]);
      stripped = readFileSync(path);
    });

    it("survives a few changed bytes anywhere", () => {
      const change = fc.tuple(
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        fc.nat(255),
      );
      fc.assert(
        fc.property(
          fc.boolean(),
          fc.array(change, { minLength: 1, maxLength: 8 }),
          (own, changes) => {
            const bytes = Uint8Array.from(own ? whole : stripped);
            for (const [where, value] of changes) bytes[Math.floor(where * bytes.length)] = value;
            readAll(bytes);
          },
        ),
        { numRuns: 150 },
      );
    });

    it("survives changed bytes in the sections that it reads closest", () => {
      const debug = /^\.debug_(info|abbrev|line|aranges|rnglists|ranges|addr|str_offsets)$/;
      const others = /^\.(eh_frame|symtab|dynamic|rela\.dyn)|^__/;
      const sections = parseElf(whole).sections.filter(
        ({ name }) => debug.test(name) || others.test(name),
      );
      const change = fc.tuple(fc.constantFrom(...sections), fc.nat(), fc.nat(255));
      fc.assert(
        fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), (changes) => {
          const bytes = Uint8Array.from(whole);
          for (const [section, at, value] of changes) {
            if (section.size > 0) bytes[section.offset + (at % section.size)] = value;
          }
          readAll(bytes);
        }),
        { numRuns: 300 },
      );
    });

    it("refuses what is cut off, wherever", () => {
      const length = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
      fc.assert(
        fc.property(length, (part) => {
          const bytes = whole.subarray(0, Math.floor(part * whole.length));
          expect(() => parseElf(bytes)).toThrow(FormatError);
        }),
      );
    });
  });
}
