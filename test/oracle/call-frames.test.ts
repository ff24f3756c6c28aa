/**
 * Frame descriptions, run up to every place where their rules change, against what readelf works
 * out of them: where the caller's stack pointer is, and where each register was saved.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { CallFrames, type FrameRegisters } from "../../src/elf/call-frames.ts";
import { parseElf } from "../../src/elf/elf-file.ts";
import { compile, hasTool, linesOf, outputOf } from "../support/compile.ts";

/** readelf's names, in DWARF's order; the last one is the return address. */
const names = "rax rdx rcx rbx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 ra".split(" ");

/** Values that tell which register they are of. */
const registers: FrameRegisters = names.map((_, index) => BigInt(index + 1) << 40n);
/** A word of memory that tells its address. */
const word = (address: bigint): bigint => address ^ 0x5a5a_0000_0000_0000n;

type Row = { readonly addr: number; readonly cells: ReadonlyMap<string, string> };

/** All rows that `readelf --debug-dump=frames-interp` prints of functions. */
function rowsOf(path: string): readonly Row[] {
  const rows: Row[] = [];
  let columns: readonly string[] = [];
  let isFunction = false;
  // Complains, with status 1, of libraries whose separate debug file is not there.
  const { stdout } = spawnSync("readelf", ["-wF", path], { encoding: "utf8", maxBuffer: 2 ** 30 });
  for (const line of linesOf(stdout.replaceAll(/ \(\w+\)/g, ""))) {
    const cells = line.trim().split(/\s+/);
    if (/^[0-9a-f]{8} /.test(line)) isFunction = line.includes(" FDE ");
    else if (cells[0] === "LOC") columns = cells.slice(1);
    else if (isFunction && /^[0-9a-f]{16} /.test(line)) {
      const addr = Number.parseInt(cells[0] ?? "", 16);
      rows.push({ addr, cells: new Map(columns.map((name, i) => [name, cells[i + 1] ?? ""])) });
    }
  }
  return rows;
}

/** The value that a cell stands for: `rsp+16`, `c-24`, `u`; undefined where it does not say. */
function meaningOf(cell: string, cfa: bigint, own: bigint | undefined): bigint | undefined {
  if (cell === "u" || cell === "s") return own;
  if (/^r\d+$/.test(cell)) return registers[Number(cell.slice(1))];
  const match = /^(c|v|[a-z]\w*)([+-]\d+)$/.exec(cell);
  if (match === null) return undefined;
  const [, base = "", offset = "0"] = match;
  if (base === "c") return word(cfa + BigInt(offset));
  if (base === "v") return cfa + BigInt(offset);
  return (registers[names.indexOf(base)] ?? 0n) + BigInt(offset);
}

/** What differs in one row; undefined where readelf does not say enough. */
function compareRow(frames: CallFrames, { addr, cells }: Row): string | undefined {
  const cfa = meaningOf(cells.get("CFA") ?? "", 0n, undefined);
  if (cfa === undefined) return undefined;
  const where = `0x${addr.toString(16)}`;
  const found = frames.unwind(addr, registers, word);
  if (cells.get("ra") === "u") return found.kind === "outermost" ? "" : `${where}: ${found.kind}`;
  if (found.kind !== "caller") return `${where}: ${found.kind}`;
  // The caller's stack pointer is the frame's address, unless a rule says otherwise (longjmp).
  const stack = cells.get("rsp") ?? "u";
  const rules = [...cells, ["rsp", stack === "u" ? "v+0" : stack] as const];
  const wrong = rules.flatMap(([name, cell]) => {
    const index = names.indexOf(name);
    const expected = meaningOf(cell, cfa, registers[index]);
    // The expression's result is readelf's secret.
    if (expected === undefined || index < 0 || (name === "rsp" && cell === "u")) return [];
    return found.registers[index] === expected ? [] : [`${name} ${cell}`];
  });
  return wrong.length === 0 ? "" : `${where}: ${wrong.join(", ")}`;
}

const libraryOf = (compiler: string, name: string): string =>
  outputOf(compiler, [`-print-file-name=${name}`]).trim();

describe.skipIf(!["gcc", "g++", "clang", "readelf"].every(hasTool))("frame descriptions", () => {
  it.each([
    ["the C library", () => libraryOf("gcc", "libc.so.6")],
    ["the C++ library", () => libraryOf("g++", "libstdc++.so.6")],
    ["gcc's program", () => compile("g++", ["-O2", "-static"], "names.cpp")],
    ["clang's program", () => compile("clang", ["-O1", "-fno-omit-frame-pointer"], "sites.c")],
  ])("of %s say what readelf says", (_, find) => {
    const path = find();
    const frames = new CallFrames(parseElf(readFileSync(path)));
    const rows = rowsOf(path);
    const differences = rows.map((row) => compareRow(frames, row));
    expect(differences.filter((one) => one !== undefined && one !== "").slice(0, 5)).toEqual([]);
    const compared = differences.filter((one) => one === "").length;
    expect(compared).toBeGreaterThan(Math.min(10, rows.length / 2));
    expect(compared).toBeGreaterThan(rows.length * 0.9);
  });
});
