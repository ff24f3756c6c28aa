/** Patch sites in really compiled programs, against objdump, nm and readelf. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { hexBytes } from "../../src/base/brand.ts";
import { parseElf } from "../../src/elf/elf-file.ts";
import { findSites, type SiteList } from "../../src/patch/site.ts";
import { compile, hasTool, linesOf, outputOf } from "../support/compile.ts";

type Instruction = { readonly bytes: string; readonly size: number; readonly text: string };

/** Instructions by their address, as objdump reads them. */
function disassemble(path: string): ReadonlyMap<number, Instruction> {
  const found = new Map<number, Instruction>();
  for (const line of linesOf(outputOf("objdump", ["-d", "-w", path]))) {
    const match = /^ *([0-9a-f]+):\t([0-9a-f ]+?) *(?:\t(.*))?$/.exec(line);
    if (match === null) continue;
    const [, at = "", bytes = "", text = ""] = match;
    found.set(Number.parseInt(at, 16), { bytes, size: bytes.split(" ").length, text });
  }
  return found;
}

/** Functions by name, as nm lists them. */
function functionAddrs(path: string): ReadonlyMap<string, number> {
  const rows = linesOf(outputOf("nm", [path])).map((line) => line.split(" "));
  const functions = rows.filter(([, type]) => type === "t" || type === "T");
  return new Map(functions.map(([at = "", , name = ""]) => [name, Number.parseInt(at, 16)]));
}

const sitesOf = (path: string): SiteList => findSites(parseElf(readFileSync(path)));

/** Bytes in all sections called `name`, as readelf lists them. */
function sectionBytes(path: string, name: string): number {
  const sizes = linesOf(outputOf("readelf", ["-SW", path]))
    .filter((line) => line.includes(` ${name} `))
    .map(
      (line) =>
        line
          .slice(line.indexOf(name) + name.length)
          .trim()
          .split(/ +/)[3] ?? "0",
    );
  return sizes.reduce((sum, size) => sum + Number.parseInt(size, 16), 0);
}

/** Functions of `sites.c` that have a usable site whatever the options. */
const traceable = [
  "leaf",
  "local_function",
  "empty",
  "count_down",
  "spin",
  "sum",
  "by_pointer",
  "main",
];

/** Where the window of the function at `start` has to be: behind a landing pad. */
const windowAt = (code: ReadonlyMap<number, Instruction>, start: number): number =>
  code.get(start)?.text.startsWith("endbr64") ? start + 4 : start;

/** @param lead bytes of other no-ops before the windows of some functions. */
function expectWindows(
  path: string,
  wanted: readonly string[],
  lead: ReadonlyMap<string, number> = new Map(),
): SiteList {
  const code = disassemble(path);
  const addrs = functionAddrs(path);
  const list = sitesOf(path);
  expect(list.sites.map((site) => site.symbol)).toEqual(expect.arrayContaining([...wanted]));
  for (const site of list.sites) {
    const start = addrs.get(site.symbol ?? "");
    expect(Number(site.functionAddr), site.symbol).toBe(start);
    const at = windowAt(code, start ?? 0) + (lead.get(site.symbol ?? "") ?? 0);
    expect(Number(site.addr), site.symbol).toBe(at);
    // The window is whole instructions, and the bytes are objdump's.
    const bytes: string[] = [];
    let next = at;
    for (const size of site.layout.compiledSizes) {
      const insn = code.get(next);
      expect(insn?.size, `${site.symbol} at ${next.toString(16)}`).toBe(size);
      bytes.push(insn?.bytes ?? "");
      next += size;
    }
    expect(hexBytes(site.compiled)).toBe(bytes.join(" "));
    const file = readFileSync(path).subarray(site.fileOffset, site.fileOffset + next - at);
    expect(hexBytes(file)).toBe(bytes.join(" "));
  }
  return list;
}

type Case = {
  readonly compiler: string;
  readonly flags: readonly string[];
  /** Usable no-op bytes after the function's entry. */
  readonly layout: RegExp;
  /** Bytes of no-ops before it. */
  readonly lead?: number;
  /** Needed beside the compiler. */
  readonly linker?: string;
};

const nop1 = /^x86-64\/nop1x5$/;
const cases: readonly Case[] = [
  ...["-O0", "-O2", "-Os"].flatMap((level): Case[] => [
    { compiler: "gcc", flags: [level, "-fpatchable-function-entry=5"], layout: nop1 },
    { compiler: "clang", flags: [level, "-fpatchable-function-entry=5"], layout: /nop5$/ },
  ]),
  ...["-no-pie", "-static", "-static-pie", "-shared -fPIC"].flatMap((link): Case[] => [
    {
      compiler: "gcc",
      flags: ["-O2", "-fpatchable-function-entry=5", ...link.split(" ")],
      layout: nop1,
    },
    {
      compiler: "clang",
      flags: ["-O2", "-fpatchable-function-entry=5", ...link.split(" ")],
      layout: /nop5$/,
    },
  ]),
  { compiler: "gcc", flags: ["-O2", "-fpatchable-function-entry=13,8"], layout: nop1, lead: 8 },
  { compiler: "gcc", flags: ["-O1", "-fpatchable-function-entry=9,3"], layout: nop1, lead: 3 },
  {
    compiler: "clang",
    flags: ["-O2", "-fpatchable-function-entry=13,8"],
    layout: /nop5$/,
    lead: 8,
  },
  { compiler: "clang", flags: ["-O2", "-fpatchable-function-entry=8"], layout: /nop8$/ },
  { compiler: "clang", flags: ["-O2", "-fpatchable-function-entry=20"], layout: /nop10$/ },
  ...["-fcf-protection=full"].flatMap((cet): Case[] => [
    { compiler: "gcc", flags: ["-O2", cet, "-fpatchable-function-entry=5"], layout: nop1 },
    { compiler: "clang", flags: ["-O2", cet, "-fpatchable-function-entry=5"], layout: /nop5$/ },
    {
      compiler: "gcc",
      flags: ["-O2", cet, "-fpatchable-function-entry=16,11"],
      layout: nop1,
      lead: 11,
    },
    {
      compiler: "clang",
      flags: ["-O2", cet, "-fpatchable-function-entry=16,11"],
      layout: /nop5$/,
      lead: 11,
    },
  ]),
  {
    compiler: "gcc",
    flags: ["-O2", "-fpatchable-function-entry=5", "-ffunction-sections", "-Wl,--gc-sections"],
    layout: nop1,
  },
  {
    compiler: "clang",
    flags: ["-O2", "-fpatchable-function-entry=5", "-ffunction-sections", "-Wl,--gc-sections"],
    layout: /nop5$/,
  },
  {
    compiler: "gcc",
    flags: ["-O2", "-fpatchable-function-entry=5", "-Wl,-z,pack-relative-relocs"],
    layout: nop1,
  },
  {
    compiler: "clang",
    flags: ["-O2", "-fpatchable-function-entry=5", "-fuse-ld=lld"],
    layout: /nop5$/,
    linker: "ld.lld",
  },
  {
    compiler: "clang",
    flags: [
      "-O2",
      "-fpatchable-function-entry=5",
      "-fuse-ld=lld",
      "-Wl,--pack-dyn-relocs=relr",
      "-Wl,--apply-dynamic-relocs",
    ],
    layout: /nop5$/,
    linker: "ld.lld",
  },
];

for (const { compiler, flags, layout, lead = 0, linker = "ld" } of cases) {
  const tools = [compiler, linker, "objdump", "nm", "readelf"];
  describe.skipIf(!tools.every(hasTool))(`${compiler} ${flags.join(" ")}`, () => {
    it("has the sites that its disassembly shows, and refuses the short one", () => {
      const path = compile(compiler, flags, "sites.c");
      const { sites, refused } = expectWindows(path, traceable);
      expect(sites.map((site) => site.symbol)).not.toContain("excluded");
      expect(refused.map(({ symbol, reason }) => `${symbol} ${reason}`)).toContain(
        "short_site too-short",
      );
      expect(sites.filter((site) => !layout.test(site.layout.id))).toEqual([]);
      const entries = sectionBytes(path, "__patchable_function_entries") / 8;
      expect(sites.length + refused.length).toBe(entries);
      for (const site of sites) {
        const room = lead >= 8 ? site.functionAddr - 8n : undefined;
        expect(site.literal?.addr, site.symbol).toBe(room);
      }
    });

    it("has the same sites without symbols", () => {
      const path = compile(compiler, flags, "sites.c");
      const before = sitesOf(path).sites.map((site) => [site.addr, site.functionAddr]);
      outputOf("strip", [path]);
      const after = sitesOf(path).sites.map((site) => [site.addr, site.functionAddr]);
      expect(after).toEqual(before);
    });
  });
}

describe.skipIf(!hasTool("gcc"))("gcc -pg -mfentry", () => {
  const record = ["-O2", "-pg", "-mfentry", "-mrecord-mcount"];
  // patchable_function_entry says nothing about -pg: with 2, two more no-ops stand before it.
  const all = [...traceable, "excluded", "short_site", "never_called"];
  const variants: readonly (readonly [string, readonly string[], RegExp])[] = [
    ["-mnop-mcount", ["-mnop-mcount", "-fno-pie", "-no-pie"], /nop5$/],
    ["calls", ["-fno-pie", "-no-pie"], /fentry5$/],
    ["calls through the GOT", ["-fPIE", "-pie"], /fentry6$/],
    ["calls in a static program", ["-static"], /fentry[56]$/],
    ["behind endbr64", ["-mnop-mcount", "-fno-pie", "-no-pie", "-fcf-protection=full"], /nop5$/],
  ];
  for (const [what, flags, layout] of variants) {
    it(`has a site in every function: ${what}`, () => {
      const path = compile("gcc", [...record, ...flags], "sites.c");
      const { sites, refused } = expectWindows(path, all, new Map([["short_site", 2]]));
      expect(refused).toMatchObject([{ symbol: "short_site", reason: "too-short" }]);
      expect(sites.filter((site) => !layout.test(site.layout.id))).toEqual([]);
    });
  }
});
