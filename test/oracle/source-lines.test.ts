/** Source lines and inlining of compiled programs, against LLVM's and GNU's addr2line. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { linkAddr } from "../../src/base/brand.ts";
import { parseElf } from "../../src/elf/elf-file.ts";
import { openProgramFile } from "../../src/session/program-file.ts";
import { readSymbolTable } from "../../src/symbols/symbol-table.ts";
import { compile, hasTool, linesOf, outputOf } from "../support/compile.ts";

/** Addresses all over the functions of a program, in the middle of instructions too. */
function sampleAddrs(path: string): number[] {
  const table = readSymbolTable(parseElf(readFileSync(path)));
  const addrs = new Set<number>();
  for (let i = 0; i < table.count; i++) {
    const size = Math.min(table.sizes[i] ?? 0, 400);
    for (let at = 0; at < size; at += 3) addrs.add((table.addrs[i] ?? 0) + at);
  }
  return [...addrs];
}

/** `file:line`, with all ways of not knowing written as one. */
function plain(text: string): string {
  const [, file = "", line = ""] = /^(.*?):(\d+|\?)(?: \(discriminator \d+\))?$/.exec(text) ?? [];
  return file === "??" || file === "" || line === "?" || line === "0"
    ? "unknown"
    : `${file}:${line}`;
}

function expectLines(path: string, oracle: string): void {
  const addrs = sampleAddrs(path);
  const input = addrs.map((addr) => `0x${addr.toString(16)}\n`).join("");
  const theirs = linesOf(outputOf(oracle, ["-e", path], input)).map(plain);
  const program = openProgramFile(path);
  const ours = addrs.map((addr) => {
    const line = program.sourceLine(linkAddr(BigInt(addr)));
    return line === undefined ? "unknown" : `${line.file}:${line.line}`;
  });
  expect(theirs.filter((line) => line !== "unknown").length).toBeGreaterThan(50);
  const wrong = addrs.flatMap((addr, i) =>
    ours[i] === theirs[i] ? [] : [`0x${addr.toString(16)}: ${ours[i]}, not ${theirs[i]}`],
  );
  expect(wrong).toEqual([]);
}

const versions = ["-gdwarf-2", "-gdwarf-3", "-gdwarf-4", "-gdwarf-5"];
const variants: readonly (readonly [string, readonly string[]])[] = [
  ...versions.flatMap((version): (readonly [string, readonly string[]])[] => [
    ["g++", ["-O0", version]],
    ["g++", ["-O2", version]],
    ["clang++", ["-O2", version]],
  ]),
  ["g++", ["-O2", "-g", "-gz", "-ffunction-sections", "-Wl,--gc-sections"]],
  ["clang++", ["-O2", "-g", "-gz", "-ffunction-sections", "-Wl,--gc-sections"]],
  ["g++", ["-O2", "-g", "-gdwarf64", "-no-pie"]],
  ["g++", ["-O2", "-g", "-gsplit-dwarf"]],
  ["clang++", ["-O2", "-g", "-gsplit-dwarf"]],
];

for (const [compiler, flags] of variants) {
  const skip = ![compiler, "llvm-addr2line"].every(hasTool);
  it.skipIf(skip)(`${compiler} ${flags.join(" ")}: llvm-addr2line's lines`, () => {
    expectLines(compile(compiler, flags, "names.cpp"), "llvm-addr2line");
  });
}

describe.skipIf(!["gcc", "addr2line"].every(hasTool))("GNU addr2line's lines", () => {
  // Its 2.40 takes file 1 for file 0 in DWARF 5, so that only a program of one file compares.
  for (const flags of [
    ["-O2", "-gdwarf-4"],
    ["-O0", "-gdwarf-5"],
    ["-O2", "-gdwarf-5", "-gz"],
  ]) {
    it(flags.join(" "), () => expectLines(compile("gcc", flags, "sites.c"), "addr2line"));
  }
});

describe("inlining", () => {
  const compilers = ["gcc", "clang"].filter(hasTool);
  const debug = ["-gdwarf-4", "-gdwarf-5"];
  for (const [compiler, version] of compilers.flatMap((one) => debug.map((v) => [one, v]))) {
    it(`is told by ${compiler} ${version}`, () => {
      const program = openProgramFile(compile(compiler ?? "", ["-O2", version ?? ""], "sites.c"));
      const facts = program.inlining((names) => names.name === "squared");
      expect(facts).toMatchObject({ isKnown: true, hasCode: false, isInlined: true });
      const places = facts?.places.map(({ caller, source }) => [caller?.name, source?.line]);
      // As the source has it: `leaf` returns it, `main` adds it.
      const lines = readFileSync(facts?.places[0]?.source?.file ?? "", "utf8").split("\n");
      const lineOf = (text: string): number => lines.findIndex((line) => line.includes(text)) + 1;
      expect(new Map(places?.map(([caller, line]) => [caller, line]))).toEqual(
        new Map<unknown, unknown>([
          ["leaf", lineOf("return squared(x) + 1")],
          ["main", lineOf("squared(argc)")],
        ]),
      );
    });
  }

  it.skipIf(!hasTool("clang++"))("knows C++ functions by their linkage names", () => {
    const program = openProgramFile(compile("clang++", ["-O2", "-g"], "names.cpp"));
    const hidden = "_ZN5outer12_GLOBAL__N_16hiddenEi";
    const facts = program.inlining((names) => names.linkageName === hidden);
    expect(facts?.isInlined).toBe(true);
    const callers = facts?.places.map(({ caller }) => caller?.linkageName);
    expect(new Set(callers)).toEqual(new Set(["_ZN5outer10use_hiddenEi"]));
  });

  it.skipIf(!hasTool("gcc"))("tells a function that has code, and one that is not there", () => {
    const program = openProgramFile(compile("gcc", ["-O2", "-g"], "sites.c"));
    const leaf = program.inlining((names) => names.name === "leaf");
    expect(leaf).toMatchObject({ isKnown: true, hasCode: true, placeCount: 0 });
    expect(program.inlining((names) => names.name === "nothing")?.isKnown).toBe(false);
  });
});
