import { describe, expect, it } from "vitest";
import { type BuiltSymbol, baseAddr, buildElf, textAddr } from "../../test/support/elf-builder.ts";
import { parseElf } from "../elf/elf-file.ts";
import { readSymbolTable } from "../symbols/symbol-table.ts";
import { findJumpSites, type JumpSites } from "./jump-sites.ts";

const endbr64 = "f3 0f 1e fa";
/** glibc 2.36, setjmp/longjmp.c. */
const glibc = "55 48 89 fd 53 89 f3 48 83 ec 08 e8 10 00 00 00 c3";
/** musl 1.2.3, src/setjmp/x86_64/longjmp.s. */
const musl = "31 c0 83 fe 01 11 f0 48 8b 1f 48 8b 6f 08";
/** musl 1.1.24. */
const oldMusl = "48 89 f0 48 85 c0 75 03 48 ff c0 48 8b 1f";

function sitesOf(code: string, symbols: readonly BuiltSymbol[]): JumpSites {
  const text = Uint8Array.from(code.trim().split(/\s+/), (byte) => Number.parseInt(byte, 16));
  const elf = parseElf(buildElf({ text, symbols }).bytes);
  return findJumpSites(elf, readSymbolTable(elf, undefined));
}

const named = (name: string, offset = 0): BuiltSymbol => ({ name, addr: textAddr + offset });

describe("findJumpSites", () => {
  it("takes a function of several names once, behind its landing pad", () => {
    const { sites, mangled } = sitesOf(`${endbr64} ${glibc}`, [
      named("siglongjmp"),
      named("longjmp"),
    ]);
    expect(mangled).toBe(true);
    expect(sites).toMatchObject([
      {
        addr: BigInt(textAddr + 4),
        functionAddr: BigInt(textAddr),
        symbol: "longjmp",
        fileOffset: textAddr + 4 - baseAddr,
        displaced: Uint8Array.of(0x55, 0x48, 0x89, 0xfd, 0x53),
        gate: "jump",
      },
    ]);
  });

  it("takes the checked one beside it", () => {
    const second = glibc.split(" ").length;
    const { sites } = sitesOf(`${glibc} ${glibc}`, [
      named("longjmp"),
      named("__longjmp_chk", second),
    ]);
    expect(sites.map(({ symbol }) => symbol)).toEqual(["longjmp", "__longjmp_chk"]);
  });

  it("knows that musl does not mangle, and moves whole instructions", () => {
    const now = sitesOf(musl, [named("longjmp")]);
    const before = sitesOf(oldMusl, [named("longjmp")]);
    expect([now.mangled, before.mangled]).toEqual([false, false]);
    expect(now.sites.map(({ displaced }) => displaced?.length)).toEqual([5]);
    expect(before.sites.map(({ displaced }) => displaced?.length)).toEqual([6]);
  });

  it("takes no function of another name, or that begins in another way", () => {
    expect(sitesOf(glibc, [named("jump")]).sites).toEqual([]);
    expect(sitesOf("55 48 89 e5 53 89 f3 48 83 ec 08 e8", [named("longjmp")]).sites).toEqual([]);
    expect(sitesOf("55 48 89 fd 53", [named("longjmp")]).sites).toEqual([]);
  });
});
