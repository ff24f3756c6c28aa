import { describe, expect, it } from "vitest";
import {
  type BuiltSymbol,
  baseAddr,
  buildElf,
  textAddr,
  words,
} from "../../test/support/elf-builder.ts";
import { codeAddr, linkAddr } from "../base/brand.ts";
import { parseElf } from "../elf/elf-file.ts";
import { checkSite, findSites, type SiteList } from "./site.ts";

type Program = {
  /** Code from `textAddr` on, as hexadecimal bytes. */
  readonly code: string;
  readonly symbols?: readonly BuiltSymbol[];
  /** Entries of the table. */
  readonly entries: readonly number[];
  readonly table?: string;
};

function sitesOf({ code, symbols = [], entries, table }: Program): SiteList {
  const text = Uint8Array.from(code.trim().split(/\s+/), (byte) => Number.parseInt(byte, 16));
  const name = table ?? "__patchable_function_entries";
  const { bytes } = buildElf({ text, symbols, sections: [{ name, bytes: words(entries) }] });
  return findSites(parseElf(bytes));
}

const f = (offset = 0): BuiltSymbol => ({ name: `f${offset}`, addr: textAddr + offset });
const nop1x5 = "90 90 90 90 90";
const nop5 = "0f 1f 44 00 08";
const endbr64 = "f3 0f 1e fa";

describe("findSites", () => {
  it("takes gcc's single-byte no-ops at the symbol", () => {
    const { sites, refused } = sitesOf({
      code: `${nop1x5} c3`,
      symbols: [f()],
      entries: [textAddr],
    });
    expect(refused).toEqual([]);
    expect(sites).toMatchObject([
      {
        addr: linkAddr(BigInt(textAddr)),
        functionAddr: linkAddr(BigInt(textAddr)),
        symbol: "f0",
        layout: { id: "x86-64/nop1x5" },
        fileOffset: textAddr - baseAddr,
        literal: undefined,
      },
    ]);
  });

  it("looks behind endbr64, whether the table names what is before or behind it", () => {
    for (const entry of [textAddr, textAddr + 4]) {
      const { sites } = sitesOf({
        code: `${endbr64} ${nop5} c3`,
        symbols: [f()],
        entries: [entry],
      });
      expect(sites).toMatchObject([
        { addr: BigInt(textAddr + 4), functionAddr: BigInt(textAddr), symbol: "f0" },
      ]);
    }
  });

  it("finds the function behind the no-ops before it, and their room for a literal", () => {
    const lead = "90 90 90 90 90 90 90 90";
    const { sites } = sitesOf({
      code: `${lead} ${endbr64} ${nop1x5} c3`,
      symbols: [f(8)],
      entries: [textAddr],
    });
    expect(sites).toMatchObject([
      {
        addr: BigInt(textAddr + 12),
        functionAddr: BigInt(textAddr + 8),
        literal: { addr: BigInt(textAddr), size: 8, aligned: true },
      },
    ]);
  });

  it("says that a literal's room is not aligned, and that fewer than 8 bytes are none", () => {
    const at = (lead: number): SiteList =>
      sitesOf({
        code: `${"90 ".repeat(lead)} ${nop1x5} c3`,
        symbols: [f(lead)],
        entries: [textAddr],
      });
    expect(at(9).sites[0]?.literal).toMatchObject({ addr: BigInt(textAddr + 1), aligned: false });
    expect(at(7).sites[0]?.literal).toBeUndefined();
  });

  it("takes the whole of a long no-op as the window", () => {
    const { sites } = sitesOf({
      code: "2e 66 0f 1f 84 00 00 02 00 00 0f 1f 00 c3",
      symbols: [f()],
      entries: [textAddr],
    });
    expect(sites).toMatchObject([{ layout: { id: "x86-64/nop10", windowSize: 10 } }]);
  });

  it("reads __mcount_loc", () => {
    const { sites } = sitesOf({
      code: `${nop5} c3`,
      symbols: [f()],
      entries: [textAddr],
      table: "__mcount_loc",
    });
    expect(sites).toMatchObject([{ layout: { id: "x86-64/nop5" } }]);
  });

  it("takes a call of __fentry__ in __mcount_loc, and no other", () => {
    const symbols = [f(), f(8), { name: "__fentry__", addr: textAddr + 16 }];
    // Calls of textAddr+16 and of textAddr+17.
    const { sites, refused } = sitesOf({
      code: "e8 0b 00 00 00 c3 cc cc e8 04 00 00 00 c3 cc cc c3 c3",
      symbols,
      entries: [textAddr, textAddr + 8],
      table: "__mcount_loc",
    });
    expect(sites).toMatchObject([{ symbol: "f0", layout: { id: "x86-64/fentry5" } }]);
    expect(refused).toMatchObject([{ symbol: "f8", reason: "foreign-call" }]);
  });
});

describe("what is refused", () => {
  const refusals: readonly (readonly [string, Program, string])[] = [
    ["a zero", { code: "c3", entries: [0] }, "dropped"],
    ["an address outside of the code", { code: "c3", entries: [0x10] }, "not-text"],
    [
      "a function whose beginning nothing says",
      { code: `${nop1x5} c3`, entries: [textAddr] },
      "no-function",
    ],
    [
      "an entry inside a function",
      { code: `c3 ${nop1x5} c3`, symbols: [f()], entries: [textAddr + 1] },
      "no-function",
    ],
    [
      "four single no-ops",
      { code: "90 90 90 90 c3", symbols: [f()], entries: [textAddr] },
      "too-short",
    ],
    [
      "a short no-op with others behind it",
      { code: `66 90 ${nop1x5}`, symbols: [f()], entries: [textAddr] },
      "too-short",
    ],
    ["other code", { code: "55 48 89 e5 c3", symbols: [f()], entries: [textAddr] }, "not-nop"],
  ];
  for (const [what, program, reason] of refusals) {
    it(`${what}: ${reason}`, () => {
      const { sites, refused } = sitesOf(program);
      expect(sites).toEqual([]);
      expect(refused).toMatchObject([{ reason }]);
    });
  }

  it("a second entry for one function", () => {
    const { sites, refused } = sitesOf({
      code: `${nop1x5} c3`,
      symbols: [f()],
      entries: [textAddr, textAddr],
    });
    expect(sites.length).toBe(1);
    expect(refused).toMatchObject([{ reason: "duplicate", symbol: "f0" }]);
  });

  it("shows the bytes that stand there", () => {
    const { refused } = sitesOf({ code: "55 c3", symbols: [f()], entries: [textAddr] });
    expect(refused[0]?.bytes.subarray(0, 2)).toEqual(Uint8Array.of(0x55, 0xc3));
  });
});

describe("checkSite", () => {
  it("says what stands in a process, and keeps what it does not know", () => {
    const [site] = sitesOf({ code: `${nop1x5} c3`, symbols: [f()], entries: [textAddr] }).sites;
    if (site === undefined) throw new Error("a site");
    const at = codeAddr(0x7000n);
    const state = (bytes: readonly number[]): unknown =>
      checkSite(site, Uint8Array.from(bytes), at);
    expect(state([0x90, 0x90, 0x90, 0x90, 0x90])).toEqual({ kind: "compiled" });
    expect(state([0x0f, 0x1f, 0x44, 0, 0])).toEqual({ kind: "idle" });
    expect(state([0xe8, 0xfb, 0xff, 0xff, 0xff])).toEqual({ kind: "call", target: 0x7000n });
    expect(state([0xe9, 0, 1, 0, 0])).toEqual({ kind: "jump", target: 0x7105n });
    const foreign = [0xcc, 0x90, 0x90, 0x90, 0x90];
    expect(state(foreign)).toEqual({ kind: "unknown", bytes: Uint8Array.from(foreign) });
  });
});

it("scans a hundred thousand sites in one go", () => {
  const count = 100_000;
  const code = new Uint8Array(count * 16).fill(0x90);
  const symbols = Array.from({ length: count }, (_, i) => f(i * 16));
  const sections = [
    { name: "__patchable_function_entries", bytes: words(symbols.map((symbol) => symbol.addr)) },
  ];
  const elf = parseElf(buildElf({ text: code, symbols, sections }).bytes);
  const { sites } = findSites(elf);
  expect(sites.length).toBe(count);
  expect(sites.at(-1)?.symbol).toBe(`f${(count - 1) * 16}`);
  // Windows with the same bytes share one array.
  expect(new Set(sites.map((site) => site.compiled)).size).toBe(1);
});
