/** Patch sites of AArch64 and RISC-V programs, against their binutils. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseElf } from "../../src/elf/elf-file.ts";
import { findSites } from "../../src/patch/site.ts";
import { compile, hasTool, linesOf, outputOf } from "../support/compile.ts";

/** functions of `word/sites.c` that have a usable site whatever the options. */
const traceable = ["leaf", "local_function", "empty", "sum", "by_pointer", "main"];

type Row = { readonly bytes: string; readonly text: string };

/** Instructions by their address, as objdump reads them. */
function disassemble(triple: string, path: string): ReadonlyMap<number, Row> {
  const found = new Map<number, Row>();
  for (const line of linesOf(outputOf(`${triple}-objdump`, ["-d", "-w", path]))) {
    const match = /^ *([0-9a-f]+):\t([0-9a-f]+) *\t(.*)$/.exec(line);
    if (match === null) continue;
    const [, at = "", bytes = "", text = ""] = match;
    found.set(Number.parseInt(at, 16), { bytes, text: text.trim() });
  }
  return found;
}

/** Functions by name, as nm lists them. */
function functionAddrs(triple: string, path: string): ReadonlyMap<string, number> {
  const rows = linesOf(outputOf(`${triple}-nm`, [path])).map((line) => line.split(" "));
  const functions = rows.filter(([, type]) => type === "t" || type === "T");
  return new Map(functions.map(([at = "", , name = ""]) => [name, Number.parseInt(at, 16)]));
}

type Case = {
  readonly triple: "aarch64-linux-gnu" | "riscv64-linux-gnu";
  readonly flags: string;
  readonly clang?: boolean;
  readonly layout: string;
  /** Functions have a landing pad. */
  readonly pad?: boolean;
  readonly literal?: "aligned" | "not always aligned";
};

const arm = "aarch64-linux-gnu";
const riscv = "riscv64-linux-gnu";
const noC = "-march=rv64imafd_zicsr_zifencei";
const nop2 = "aarch64/nop2";
const cases: readonly Case[] = [
  { triple: arm, flags: "-fpatchable-function-entry=2", layout: nop2 },
  {
    ...{ triple: arm, layout: nop2, literal: "aligned" },
    flags: "-fpatchable-function-entry=4,2 -falign-functions=8",
  },
  {
    ...{ triple: arm, layout: nop2, pad: true },
    flags: "-fpatchable-function-entry=2 -mbranch-protection=standard",
  },
  {
    ...{ triple: arm, layout: nop2, pad: true, literal: "aligned" },
    flags: "-fpatchable-function-entry=4,2 -falign-functions=8 -mbranch-protection=standard",
  },
  {
    ...{ triple: arm, layout: nop2, clang: true, pad: true },
    flags: "-fpatchable-function-entry=2 -mbranch-protection=standard",
  },
  {
    ...{ triple: arm, layout: nop2, clang: true, literal: "not always aligned" },
    flags: "-fpatchable-function-entry=4,2",
  },
  { triple: riscv, flags: "-fpatchable-function-entry=4", layout: "riscv64/cnop4" },
  {
    ...{ triple: riscv, layout: "riscv64/cnop4", literal: "aligned" },
    flags: "-fpatchable-function-entry=8,4 -falign-functions=8",
  },
  {
    ...{ triple: riscv, layout: "riscv64/cnop4", literal: "not always aligned" },
    flags: "-fpatchable-function-entry=8,4",
  },
  {
    ...{ triple: riscv, layout: "riscv64/nop2", literal: "aligned" },
    flags: `${noC} -fpatchable-function-entry=4,2 -falign-functions=8`,
  },
  {
    ...{ triple: riscv, layout: "riscv64/nop2", literal: "aligned" },
    flags: `${noC} -fpatchable-function-entry=5,2 -falign-functions=8`,
  },
];

function build({ triple, flags, clang }: Case): string {
  if (clang !== true) return compile(`${triple}-gcc`, ["-O2", ...flags.split(" ")], "word/sites.c");
  const target = [`--target=${triple}`, "-fuse-ld=lld"];
  return compile("clang", [...target, "-O2", ...flags.split(" ")], "word/sites.c");
}

describe.skipIf(!hasTool(`${arm}-objdump`) || !hasTool(`${riscv}-objdump`))("sites", () => {
  it.each(cases.map((one) => [`${one.clang ? "clang" : "gcc"} ${one.triple} ${one.flags}`, one]))(
    "are no-ops at the functions' entries: %s",
    (_, one) => {
      if (typeof one === "string") return;
      const path = build(one);
      const code = disassemble(one.triple, path);
      const addrs = functionAddrs(one.triple, path);
      const { sites, refused } = findSites(parseElf(readFileSync(path)));
      expect(sites.map(({ symbol }) => symbol)).toEqual(expect.arrayContaining(traceable));
      for (const { symbol = "", addr, functionAddr, layout } of sites) {
        expect(layout.id).toBe(one.layout);
        expect(Number(functionAddr), symbol).toBe(addrs.get(symbol));
        const hasPad = code.get(Number(functionAddr))?.text.startsWith("bti") ?? false;
        if (one.pad !== true) expect(hasPad).toBe(false);
        expect(Number(addr - functionAddr), symbol).toBe(hasPad ? 4 : 0);
        let next = Number(addr);
        for (const size of layout.compiledSizes) {
          expect(code.get(next)?.text, `${symbol} at ${next.toString(16)}`).toBe("nop");
          next += size;
        }
      }
      const aligned = sites.filter(({ literal }) => literal?.aligned).length;
      const rooms = sites.filter(({ literal }) => literal !== undefined).length;
      if (one.literal === undefined) expect(rooms).toBe(0);
      else expect(rooms).toBe(sites.length);
      if (one.literal === "aligned") expect(aligned).toBe(rooms);
      for (const { symbol } of refused) expect(symbol).toBe("short_site");
    },
  );

  it("are refused where the option counted two-byte no-ops as four", () => {
    const flags = ["-O2", "-fpatchable-function-entry=5,2", "-falign-functions=8"];
    const { sites, refused } = findSites(
      parseElf(readFileSync(compile(`${riscv}-gcc`, flags, "word/sites.c"))),
    );
    expect(sites).toEqual([]);
    const entry = ["leaf", "too-short-compressed"];
    expect(refused.map(({ symbol, reason }) => [symbol, reason])).toContainEqual(entry);
  });
});
