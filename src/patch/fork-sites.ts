/**
 * The functions of a C library that fork(2), as places to call out from. `_Fork` is all of it, in
 * libraries that have one (glibc since 2.34, musl since 1.2.2): `fork` calls it. Its first
 * instructions are moved out of the way; that nothing jumps in between is seen from the function's
 * own code alone, since nobody else knows its inside.
 */
import { linkAddr } from "../base/brand.ts";
import { type ElfFile, offsetOfAddr, textSegments } from "../elf/elf-file.ts";
import { findSymbols, type NamedSymbol } from "../elf/named-symbols.ts";
import { decodeInto, Instruction } from "../isa/x86-64/decode-into.ts";
import { attribute } from "../isa/x86-64/opcode-attributes.ts";
import { viewOf } from "./code-ranges.ts";
import { gateSite, landingPadAt } from "./gate-site.ts";
import { displacedAt } from "./moved-window.ts";
import type { SiteCandidate, SiteList } from "./site.ts";

/** Names of a function that forks; those of the first line are called by those of the second. */
const names: readonly (readonly string[])[] = [["_Fork"], ["__libc_fork", "fork"]];

/** Whether `symbol` is the name of a function that forks. */
export const isForkName = (symbol: string | undefined): boolean =>
  names.some((line) => line.some((name) => name === symbol));

/** The sites of an x86-64 file's functions that fork; none where they can't be moved. */
export function findForkSites(elf: ElfFile): SiteList {
  const found = findSymbols(elf, isForkName);
  const text = textSegments(elf);
  const line = names.find((line) => line.some((name) => found.has(name))) ?? [];
  const symbols = line.flatMap((name) => found.get(name) ?? []);
  const byAddress = new Map(symbols.map((symbol) => [symbol.addr, symbol]));
  const sites = [...byAddress.values()].flatMap((symbol): readonly SiteCandidate[] => {
    const at = symbol.kind === "function" ? offsetOfAddr(text, symbol.addr) : -1;
    return at < 0 ? [] : siteOf(elf, symbol, at);
  });
  return { sites, refused: [] };
}

/** @param start the function's place in the file. */
function siteOf(
  elf: ElfFile,
  { name, addr, size }: NamedSymbol,
  start: number,
): readonly SiteCandidate[] {
  const pad = landingPadAt(elf.bytes, start);
  const body = elf.bytes.subarray(start, start + size);
  const references = {
    at: () => 0,
    isDecoded: () => true,
    leadsInto: (from: number, to: number): boolean => leadsInto(body, from - addr, to - addr),
  };
  const code = { elf, starts: new Float64Array(0), references };
  const at = start + pad;
  const displaced = displacedAt(code, addr + pad, at, start + size);
  if (typeof displaced === "string") return [];
  const functionAddr = linkAddr(BigInt(addr));
  return [gateSite(elf.bytes, { gate: "fork", name, functionAddr, start, moved: displaced })];
}

/** Whether code leads into (`from`, `to`) of itself, or can't be read. */
function leadsInto(code: Uint8Array, from: number, to: number): boolean {
  const instruction = new Instruction();
  const view = viewOf(code);
  for (let offset = 0; offset < code.length; ) {
    const length = decodeInto(code, offset, instruction);
    if (length === 0) return true;
    if ((instruction.word & attribute.distance) !== 0) {
      const at = offset + instruction.immediateOffset;
      const distance =
        instruction.immediateBytes === 1 ? view.getInt8(at) : view.getInt32(at, true);
      const target = offset + length + distance;
      if (target > from && target < to) return true;
    }
    offset += length;
  }
  return false;
}
