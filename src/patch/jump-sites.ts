/**
 * The functions of a C library that jump to where setjmp was called: places at which a recording
 * learns of what a jump leaves. They are recognised by their first instructions, so it takes no
 * look at the rest of the library.
 *
 * glibc's `longjmp`, `siglongjmp` and `_longjmp` are one function, and `__longjmp_chk` is the one
 * that programs call which were compiled with checks. musl's `siglongjmp` calls its `longjmp`.
 */
import { fileOffset, linkAddr } from "../base/brand.ts";
import { type ElfFile, offsetOfAddr, textSegments } from "../elf/elf-file.ts";
import { findByName, type SymbolTable } from "../symbols/symbol-table.ts";
import { prologue } from "./prologue-layout.ts";
import type { SiteCandidate, SiteList } from "./site.ts";
import { branchSize, isEndbr64 } from "./x86-64-layouts.ts";

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

type Form = {
  /** Whole instructions that nobody jumps into the middle of. */
  readonly moved: Uint8Array;
  readonly behind: Uint8Array;
  readonly mangled: boolean;
};

const forms: readonly Form[] = [
  {
    // push rbp; mov rbp, rdi; push rbx; mov ebx, esi; sub rsp, 8; call
    moved: Uint8Array.of(0x55, 0x48, 0x89, 0xfd, 0x53),
    behind: Uint8Array.of(0x89, 0xf3, 0x48, 0x83, 0xec, 0x08, 0xe8),
    mangled: true,
  },
  {
    // xor eax, eax; cmp esi, 1; adc eax, esi; mov rbx, [rdi]
    moved: Uint8Array.of(0x31, 0xc0, 0x83, 0xfe, 0x01),
    behind: Uint8Array.of(0x11, 0xf0, 0x48, 0x8b, 0x1f),
    mangled: false,
  },
  {
    // mov rax, rsi; test rax, rax; jne; inc rax; mov rbx, [rdi] (musl before 1.2.0)
    moved: Uint8Array.of(0x48, 0x89, 0xf0, 0x48, 0x85, 0xc0),
    behind: Uint8Array.of(0x75, 0x03, 0x48, 0xff, 0xc0, 0x48, 0x8b, 0x1f),
    mangled: false,
  },
];

const landingPadSize = 4;

const isAt = (bytes: Uint8Array, at: number, wanted: Uint8Array): boolean =>
  wanted.every((byte, index) => bytes[at + index] === byte);

/** The sites of an x86-64 file's functions that jump; none where they are of another form. */
export function findJumpSites(elf: ElfFile, symbols: SymbolTable): JumpSites {
  const text = textSegments(elf);
  const sites = new Map<bigint, SiteCandidate>();
  let mangled = false;
  for (const name of jumpNames) {
    const found = findByName(symbols, name);
    const start = found === undefined ? -1 : offsetOfAddr(text, Number(found.addr));
    if (found === undefined || start < 0 || sites.has(found.addr)) continue;
    const pad = isEndbr64(elf.bytes, start) ? landingPadSize : 0;
    const at = start + pad;
    const form = forms.find(
      ({ moved, behind }) =>
        isAt(elf.bytes, at, moved) && isAt(elf.bytes, at + moved.length, behind),
    );
    if (form === undefined) continue;
    mangled ||= form.mangled;
    sites.set(found.addr, {
      addr: linkAddr(found.addr + BigInt(pad)),
      functionAddr: found.addr,
      symbol: name,
      layout: prologue,
      compiled: form.moved.subarray(0, branchSize),
      fileOffset: fileOffset(at),
      literal: undefined,
      displaced: form.moved,
      gate: "jump",
    });
  }
  return { sites: [...sites.values()], refused: [], mangled };
}
