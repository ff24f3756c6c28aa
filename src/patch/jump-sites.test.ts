import { describe, expect, it } from "vitest";
import { type BuiltSymbol, baseAddr, buildElf, textAddr } from "../../test/support/elf-builder.ts";
import { parseElf } from "../elf/elf-file.ts";
import { readSymbolTable } from "../symbols/symbol-table.ts";
import { findJumpSites, type JumpSites } from "./jump-sites.ts";

const endbr64 = "f3 0f 1e fa";
/** glibc 2.36, setjmp/longjmp.c, as Debian has it. */
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

/** Only glibc has it. */
const ofGlibc: BuiltSymbol = { name: "gnu_get_libc_version", addr: textAddr };
const named = (name: string, offset = 0): BuiltSymbol => ({ name, addr: textAddr + offset });

describe("findJumpSites", () => {
  it("takes a function of several names once, behind its landing pad", () => {
    const { sites, mangled } = sitesOf(`${endbr64} ${glibc}`, [
      ofGlibc,
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
      ofGlibc,
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

  it.each([
    ["with a frame pointer", "55 48 89 e5 41 54 41 89 f4 53 48 89 fb e8 10 00 00 00", 6],
    ["with more room", "41 54 55 53 48 83 ec 10 e8 10 00 00 00", 8],
  ])("takes glibc's when it was compiled %s", (_, code, bytes) => {
    const { sites, mangled } = sitesOf(code, [ofGlibc, named("longjmp")]);
    expect(mangled).toBe(true);
    expect(sites.map(({ displaced }) => displaced?.length)).toEqual([bytes]);
  });

  it("takes no function of another name, or that begins in another way", () => {
    const symbols = [ofGlibc, named("longjmp")];
    expect(sitesOf(glibc, [ofGlibc, named("jump")]).sites).toEqual([]);
    expect(sitesOf("48 8b 07 55 53 48 83 ec 08 e8 00 00 00 00", symbols).sites).toEqual([]);
    expect(sitesOf("55 53 c3 90 90 90 90 90", symbols).sites).toEqual([]);
    expect(sitesOf("55 53", symbols).sites).toEqual([]);
  });

  it("takes nobody's own function of such a name", () => {
    expect(sitesOf(glibc, [named("longjmp")]).sites).toEqual([]);
    expect(sitesOf(musl.replace("8b 1f", "8b 1e"), [named("longjmp")]).sites).toEqual([]);
  });
});
