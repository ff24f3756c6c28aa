/**
 * The functions of a C library that make the system calls execve(2) and execveat(2), as places to
 * wait at. They are a few fixed instructions, so it takes no look at the rest of the library to see
 * that their first ones can be moved: one or two that name the call, and the call itself.
 */
import { linkAddr } from "../base/brand.ts";
import { type ElfFile, offsetOfAddr, textSegments } from "../elf/elf-file.ts";
import { findSymbols } from "../elf/named-symbols.ts";
import { gateSite, landingPadAt } from "./gate-site.ts";
import type { SiteCandidate, SiteList } from "./site.ts";

type Stub = {
  readonly name: string;
  /** Whole instructions that nobody jumps into the middle of; what is behind them is `syscall`. */
  readonly moved: Uint8Array;
};

const stubs: readonly Stub[] = [
  // mov eax, 59
  { name: "execve", moved: Uint8Array.of(0xb8, 59, 0, 0, 0) },
  // sub rsp, 8; mov eax, 59 (musl)
  { name: "execve", moved: Uint8Array.of(0x48, 0x83, 0xec, 0x08, 0xb8, 59, 0, 0, 0) },
  // mov r10, rcx; mov eax, 322
  { name: "execveat", moved: Uint8Array.of(0x49, 0x89, 0xca, 0xb8, 0x42, 1, 0, 0) },
];
const syscall = Uint8Array.of(0x0f, 0x05);

const isAt = (bytes: Uint8Array, at: number, wanted: Uint8Array): boolean =>
  wanted.every((byte, index) => bytes[at + index] === byte);

/** The sites of an x86-64 file's functions that exec; none where they are of another form. */
export function findExecSites(elf: ElfFile): SiteList {
  const text = textSegments(elf);
  const names = new Set(stubs.map(({ name }) => name));
  const sites = [...findSymbols(elf, (name) => names.has(name))].flatMap(([name, symbols]) =>
    symbols.flatMap(({ addr, kind }): readonly SiteCandidate[] => {
      const start = kind === "function" ? offsetOfAddr(text, addr) : -1;
      if (start < 0) return [];
      const at = start + landingPadAt(elf.bytes, start);
      const isThis = (stub: Stub): boolean =>
        stub.name === name &&
        isAt(elf.bytes, at, stub.moved) &&
        isAt(elf.bytes, at + stub.moved.length, syscall);
      const moved = stubs.find(isThis)?.moved;
      if (moved === undefined) return [];
      const functionAddr = linkAddr(BigInt(addr));
      return [gateSite(elf.bytes, { gate: "exec", name, functionAddr, start, moved })];
    }),
  );
  return { sites, refused: [] };
}
