/**
 * The functions of a C library that jump to where setjmp was called: places at which a recording
 * learns of what a jump leaves. They are recognised by their first instructions, so it takes no
 * look at the rest of the library.
 *
 * glibc's `longjmp`, `siglongjmp` and `_longjmp` are one function, and `__longjmp_chk` is the one
 * that programs call which were compiled with checks. musl's `siglongjmp` calls its `longjmp`.
 */
import { hexBytes } from "../base/brand.ts";
import { type ElfFile, offsetOfAddr, textSegments } from "../elf/elf-file.ts";
import { findByName, type SymbolTable } from "../symbols/symbol-table.ts";
import { gateSite, landingPadAt } from "./gate-site.ts";
import type { SiteCandidate, SiteList } from "./site.ts";
import { branchSize } from "./x86-64-layouts.ts";

/** What programs call. */
export const jumpNames: ReadonlySet<string> = new Set([
  "longjmp",
  "siglongjmp",
  "_longjmp",
  "__longjmp_chk",
]);

export type JumpSites = SiteList & {
  /** Whether what a jmp_buf holds is mangled (glibc), or as it is (musl). */
  readonly mangled: boolean;
};

export const noJumpSites: JumpSites = { sites: [], refused: [], mangled: false };

/** musl's are written by hand, and its jmp_buf has the registers as they are. */
const muslForms: readonly { readonly moved: Uint8Array; readonly behind: Uint8Array }[] = [
  {
    // xor eax, eax; cmp esi, 1; adc eax, esi; mov rbx, [rdi]
    moved: Uint8Array.of(0x31, 0xc0, 0x83, 0xfe, 0x01),
    behind: Uint8Array.of(0x11, 0xf0, 0x48, 0x8b, 0x1f),
  },
  {
    // mov rax, rsi; test rax, rax; jne; inc rax; mov rbx, [rdi] (before 1.2.0)
    moved: Uint8Array.of(0x48, 0x89, 0xf0, 0x48, 0x85, 0xc0),
    behind: Uint8Array.of(0x75, 0x03, 0x48, 0xff, 0xc0, 0x48, 0x8b, 0x1f),
  },
];

/** What a compiler begins glibc's with, as it likes: pushes, and moves between registers. */
const beginnings: readonly { readonly bytes: number; readonly pattern: RegExp }[] = [
  { bytes: 1, pattern: /^5[0-7]/ },
  { bytes: 2, pattern: /^415[0-7]/ },
  { bytes: 2, pattern: /^89[c-f]/ },
  { bytes: 3, pattern: /^4[0-f]89[c-f]/ },
  { bytes: 4, pattern: /^4883ec/ },
];
/** Functions of glibc alone: one that it exports, and one that is linked together with longjmp. */
const glibcNames = ["gnu_get_libc_version", "_longjmp_unwind"] as const;

const isAt = (bytes: Uint8Array, at: number, wanted: Uint8Array): boolean =>
  wanted.every((byte, index) => bytes[at + index] === byte);

/** Whole instructions at the function's beginning that nobody jumps into the middle of. */
type FindMoved = (bytes: Uint8Array, at: number) => Uint8Array | undefined;

const findMuslMoved: FindMoved = (bytes, at) =>
  muslForms.find(
    ({ moved, behind }) => isAt(bytes, at, moved) && isAt(bytes, at + moved.length, behind),
  )?.moved;

const findGlibcMoved: FindMoved = (bytes, at) => {
  let size = 0;
  while (size < branchSize) {
    const next = hexBytes(bytes.subarray(at + size, at + size + 3)).replaceAll(" ", "");
    const one = beginnings.find(({ pattern }) => pattern.test(next));
    if (one === undefined) return undefined;
    size += one.bytes;
  }
  return bytes.subarray(at, at + size);
};

/** The sites of an x86-64 file's functions that jump; none where they are of another form. */
export function findJumpSites(elf: ElfFile, symbols: SymbolTable): JumpSites {
  const text = textSegments(elf);
  const isGlibc = glibcNames.some((name) => findByName(symbols, name) !== undefined);
  const findMoved = isGlibc ? findGlibcMoved : findMuslMoved;
  const sites = new Map<bigint, SiteCandidate>();
  for (const name of jumpNames) {
    const found = findByName(symbols, name);
    const start = found === undefined ? -1 : offsetOfAddr(text, Number(found.addr));
    if (found === undefined || start < 0 || sites.has(found.addr)) continue;
    const moved = findMoved(elf.bytes, start + landingPadAt(elf.bytes, start));
    if (moved === undefined) continue;
    const functionAddr = found.addr;
    sites.set(
      functionAddr,
      gateSite(elf.bytes, { gate: "jump", name, functionAddr, start, moved }),
    );
  }
  return { sites: [...sites.values()], refused: [], mangled: isGlibc };
}
