/** Where a C library forks, in what gcc and the C libraries' makers have made. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { hexBytes } from "../../src/base/brand.ts";
import { findForkSites } from "../../src/patch/fork-sites.ts";
import { openProgramFile } from "../../src/session/program-file.ts";

/** The sites of a library with these functions, as assembly. */
function sitesOf(functions: Readonly<Record<string, string>>) {
  const folder = mkdtempSync(join(tmpdir(), "patchbay-forks-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const text = Object.entries(functions).map(
    ([name, body]) =>
      `.globl ${name}\n.type ${name}, @function\n${name}:\n${body}\n.size ${name}, . - ${name}\n`,
  );
  const [source, library] = [join(folder, "fork.s"), join(folder, "libfork.so")];
  writeFileSync(source, `.text\n${text.join("")}.section .note.GNU-stack\n`);
  execFileSync("gcc", ["-shared", "-nostdlib", "-o", library, source]);
  return findForkSites(openProgramFile(library).elf).sites.map(({ symbol, displaced }) => [
    symbol,
    hexBytes(displaced ?? new Uint8Array(0)),
  ]);
}

const plain = "mov $57, %eax\nsyscall\nret";

describe("where a C library forks", () => {
  it("is _Fork where there is one, since fork calls it", () => {
    expect(sitesOf({ _Fork: plain, fork: "jmp _Fork" })).toEqual([["_Fork", "b8 39 00 00 00"]]);
    expect(sitesOf({ fork: plain })).toEqual([["fork", "b8 39 00 00 00"]]);
  });

  it("begins behind a landing pad", () => {
    expect(sitesOf({ _Fork: `endbr64\n${plain}` })).toEqual([["_Fork", "b8 39 00 00 00"]]);
  });

  it("is not taken where code leads in between, or can't be moved", () => {
    expect(sitesOf({ _Fork: `nop\n1: nop\n${plain}\njmp 1b` })).toEqual([]);
    expect(sitesOf({ _Fork: `nop\n1: nop\n${plain}\njz 1b\n.skip 300\njz 1b` })).toEqual([]);
    expect(sitesOf({ _Fork: "push %rax\nsyscall\nret\nnop\nnop" })).toEqual([]);
    expect(sitesOf({ _Fork: "ret" })).toEqual([]);
  });

  it("is where code leads to its beginning", () => {
    expect(sitesOf({ _Fork: `1: ${plain}\njmp 1b` })).toEqual([["_Fork", "b8 39 00 00 00"]]);
  });

  it.each(["/lib/x86_64-linux-gnu/libc.so.6", "/lib/ld-musl-x86_64.so.1"])("is in %s", (path) => {
    expect(existsSync(path)).toBe(true);
    const { sites } = findForkSites(openProgramFile(path).elf);
    expect(sites.map(({ symbol }) => symbol)).toEqual(["_Fork"]);
  });
});
