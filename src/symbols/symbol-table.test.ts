import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type BuiltSymbol, buildElf, textAddr } from "../../test/support/elf-builder.ts";
import { linkAddr } from "../base/brand.ts";
import { parseElf } from "../elf/elf-file.ts";
import {
  findFunction,
  indexContaining,
  indexOfStart,
  readSymbolTable,
  type SymbolTable,
  symbolName,
} from "./symbol-table.ts";

const textBytes = 4096;

function tableOf(
  symbols: readonly BuiltSymbol[],
  dynamicSymbols?: readonly BuiltSymbol[],
): SymbolTable {
  const text = new Uint8Array(textBytes).fill(0xcc);
  const more = dynamicSymbols === undefined ? {} : { dynamicSymbols };
  return readSymbolTable(parseElf(buildElf({ text, symbols, ...more }).bytes));
}

const namesOf = (table: SymbolTable): string[] =>
  Array.from({ length: table.count }, (_, i) => symbolName(table, i));

describe("readSymbolTable", () => {
  it("sorts by address and puts the name that people mean first", () => {
    const table = tableOf([
      { name: "label", addr: textAddr + 16, type: 0 },
      { name: "local", addr: textAddr + 16, binding: 0 },
      { name: "weak", addr: textAddr + 16, binding: 2 },
      { name: "global", addr: textAddr + 16 },
      { name: "first", addr: textAddr },
    ]);
    expect(namesOf(table)).toEqual(["first", "global", "weak", "local", "label"]);
    expect(symbolName(table, indexOfStart(table, textAddr + 16))).toBe("global");
    expect(indexOfStart(table, textAddr + 8)).toBe(-1);
  });

  it("leaves out what is no function in the program's code", () => {
    const table = tableOf([
      { name: "object", addr: textAddr, type: 1 },
      { name: "elsewhere", addr: 0x10 },
      { name: "$x", addr: textAddr, type: 0 },
      { name: "f", addr: textAddr },
    ]);
    expect(namesOf(table)).toEqual(["f"]);
  });

  it("takes a symbol that both tables have once, and others of the second too", () => {
    const f = { name: "f", addr: textAddr };
    const table = tableOf(
      [f, { name: "f_local", addr: textAddr, binding: 0 }],
      [f, { name: "exported", addr: textAddr + 4 }],
    );
    expect(namesOf(table)).toEqual(["f", "f_local", "exported"]);
  });
});

describe("indexContaining", () => {
  it("reads a size of 0 as up to the next symbol, and knows smaller symbols inside", () => {
    const table = tableOf([
      { name: "unsized", addr: textAddr },
      { name: "outer", addr: textAddr + 16, size: 32 },
      { name: "inner", addr: textAddr + 20, size: 4 },
    ]);
    const at = (offset: number): string | undefined =>
      findFunction(table, linkAddr(BigInt(textAddr + offset)))?.name;
    expect([at(0), at(15), at(16), at(20), at(24), at(47), at(48), at(-1)]).toEqual([
      "unsized",
      "unsized",
      "outer",
      "inner",
      "outer",
      "outer",
      undefined,
      undefined,
    ]);
  });

  it("agrees with a search through all symbols that do not overlap", () => {
    const gaps = fc.array(fc.tuple(fc.nat(20), fc.integer({ min: 1, max: 20 })), { maxLength: 40 });
    fc.assert(
      fc.property(gaps, fc.nat(textBytes - 1), (steps, wanted) => {
        let addr = textAddr;
        const symbols = steps.map(([gap, size], i) => {
          const symbol = { name: `f${i}`, addr: addr + gap, size };
          addr += gap + size;
          return symbol;
        });
        const table = tableOf(symbols);
        const target = textAddr + wanted;
        const naive = symbols.find((s) => target >= s.addr && target < s.addr + s.size);
        const index = indexContaining(table, target);
        expect(index < 0 ? undefined : symbolName(table, index)).toBe(naive?.name);
      }),
      { numRuns: 50 },
    );
  });
});

it("reads a million symbols and finds them", () => {
  const count = 1_000_000;
  const text = new Uint8Array(count * 4);
  const symbols = Array.from({ length: count }, (_, i) => ({
    name: `function_${i}`,
    // From the last to the first, so that they have to be sorted.
    addr: textAddr + (count - 1 - i) * 4,
    size: 4,
  }));
  const table = readSymbolTable(parseElf(buildElf({ text, symbols }).bytes));
  expect(table.count).toBe(count);
  expect(symbolName(table, indexContaining(table, textAddr + 7))).toBe(`function_${count - 2}`);
});
