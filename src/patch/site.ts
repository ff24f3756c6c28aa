/**
 * Patch sites: where a program lets itself be patched, and what stands there.
 *
 * A site is offered only when the bytes in the file match a layout; whatever else a table names
 * is refused, with the reason and the bytes, so that people can be told.
 */
import { type CodeAddr, type FileOffset, hexBytes, type LinkAddr } from "../base/brand.ts";
import type { ElfFile, Machine } from "../elf/elf-file.ts";
import type { SdtOperand } from "../elf/sdt-operands.ts";
import { readSymbolTable, type SymbolTable } from "../symbols/symbol-table.ts";
import { aarch64Dialect } from "./aarch64-sites.ts";
import type { Layout, SiteState } from "./layout.ts";
import { riscvDialect } from "./riscv-sites.ts";
import { type SiteDialect, searchSites } from "./site-search.ts";
import { x8664Dialect } from "./x86-64-sites.ts";

/** A site whose bytes in the file match a layout. */
export type SiteCandidate = {
  /** The window's first byte. */
  readonly addr: LinkAddr;
  /** The function's first instruction, before its landing pad if it has one. */
  readonly functionAddr: LinkAddr;
  /** The function's raw name; absent when the program has no symbol for it. */
  readonly symbol: string | undefined;
  readonly layout: Layout;
  /**
   * What the compiler left in the window, `layout.windowSize` bytes. Shared between sites and
   * never written.
   */
  readonly compiled: Uint8Array;
  /** Where the window stands in the file. */
  readonly fileOffset: FileOffset;
  /** Room before the function that can hold a pointer. */
  readonly literal: LiteralRoom | undefined;
  /**
   * For a function that was compiled without a site: the whole instructions that the window lies
   * in (borrowed), which have to run elsewhere while the window holds a jump.
   */
  readonly displaced?: Uint8Array;
  /** A fix stands there: the bytes are its jump, in the process and not in the file. */
  readonly isPatched?: true;
  /** It is there for threads to call a gate before they do that, and nobody's to trace. */
  readonly gate?: "exec" | "fork" | "jump";
  /** Why its return can't be hooked; absent where it can be. */
  readonly entriesOnly?: string;
  /**
   * For a place in the middle of a function: what is on the stack below the stack pointer is in
   * use there. The program looks at the semaphore, a u16, to see whether somebody listens.
   */
  readonly inside?: {
    readonly semaphore: LinkAddr | undefined;
    /** Where its values are. */
    readonly operands: readonly SdtOperand[];
  };
};

/** The no-ops before a function (`-fpatchable-function-entry=n,m`, m >= 8), as room for data. */
export type LiteralRoom = {
  /** First byte of the 8; always 8 bytes before the function. */
  readonly addr: LinkAddr;
  readonly size: 8;
  /** Whether one 8-byte store changes it: it is a multiple of 8. */
  readonly aligned: boolean;
};

/** Why an entry of a site table is not offered; part of the `--json` contract. */
export type RefusalReason =
  /** The linker dropped the function and left a zero. */
  | "dropped"
  /** The address is not in a segment that is executable and in the file. */
  | "not-text"
  /** Nothing says where the function begins. */
  | "no-function"
  /** There are no-ops, but fewer bytes than a branch needs. */
  | "too-short"
  /** The same on RISC-V with the C extension, whose no-ops have two bytes. */
  | "too-short-compressed"
  /** What stands there is no no-op. */
  | "not-nop"
  /** Another entry names the same function. */
  | "duplicate"
  /** A call, but not of the profiler's `__fentry__`. */
  | "foreign-call"
  // Of functions without a site of their own, see `prologue-sites.ts`.
  /** The function ends before there is room for a jump. */
  | "function-too-short"
  /** Nothing says how long the function is. */
  | "no-size"
  /** Some of its bytes are no instructions. */
  | "undecodable"
  /** Something jumps to an instruction in the window behind its first, or may. */
  | "branch-into-window"
  /** A loop begins at the function's first instruction. */
  | "loop-at-entry"
  /** A call would return into the window. */
  | "call-in-window"
  /** The window holds a system call, in which a thread may sleep for long. */
  | "system-call"
  /** The window holds an instruction that can't run elsewhere. */
  | "not-movable"
  /** A part of a function, which jumps to it. */
  | "split-part"
  /** It isn't entered by a call: a signal trampoline, a program's entry point. */
  | "not-called"
  /** Its name is that of the function that it chooses. */
  | "ifunc"
  /** Generated code of a virtual machine that inspects its own stack. */
  | "runtime";

/** What each reason means, to people. */
export const refusalTexts: Readonly<Record<RefusalReason, string>> = {
  dropped: "the linker dropped the function and left address 0",
  "not-text": "the address lies outside of the program's code",
  "no-function": "neither a symbol nor a frame description says where the function begins",
  "too-short":
    "fewer no-ops than a branch needs; compile with -fpatchable-function-entry=5, on AArch64 and" +
    " RISC-V without C with =2, on RISC-V with C with =4",
  "too-short-compressed":
    "fewer than 8 bytes of no-ops; with the C extension they have 2 bytes each, so compile with" +
    " -fpatchable-function-entry=4, or =8,4 for a literal in front",
  "not-nop": "the bytes there are no no-ops",
  duplicate: "the table names the function twice",
  "foreign-call": "the call there is not one of __fentry__",
  "function-too-short": "it has fewer bytes than a jump",
  "no-size": "neither a symbol nor a frame description says how long it is",
  undecodable: "some of its bytes are no instructions",
  "branch-into-window": "something jumps into the bytes that a jump would replace, or may",
  "loop-at-entry": "a loop begins at its first instruction",
  "call-in-window": "a call among its first instructions would return into the bytes of a jump",
  "system-call": "a thread may sleep in a system call among its first instructions",
  "not-movable": "one of its first instructions can't run elsewhere",
  "split-part": "it is a part of another function, which jumps into it",
  "not-called": "it is not entered by a call",
  ifunc: "it only chooses the function of this name that suits the processor",
  runtime: "it is code of a virtual machine that inspects its own stack",
};

/** An entry of a site table that is not offered. */
export type RefusedSite = {
  /** Where the window would be: what the table says, or the function's entry if it is known. */
  readonly addr: LinkAddr;
  readonly symbol: string | undefined;
  readonly reason: RefusalReason;
  /** The bytes that stand there, up to 16 (borrowed from the file). */
  readonly bytes: Uint8Array;
};

/** Sites of a program, ascending by address, and what was refused. */
export type SiteList = {
  readonly sites: readonly SiteCandidate[];
  readonly refused: readonly RefusedSite[];
};

const dialects: Readonly<Record<Machine, SiteDialect>> = {
  "x86-64": x8664Dialect,
  aarch64: aarch64Dialect,
  riscv64: riscvDialect,
};

/**
 * Finds the patch sites of `elf`. O(n log n) in the number of sites.
 * @param symbols the program's functions, when they are at hand (with a debug file's, say).
 * @throws FormatError where the file is damaged.
 */
export function findSites(elf: ElfFile, symbols: SymbolTable = readSymbolTable(elf)): SiteList {
  return searchSites(elf, symbols, dialects[elf.machine]);
}

/** What stands in a site's window in a process; `unknown` is never patched. */
export type StandingState = SiteState | { readonly kind: "unknown"; readonly bytes: Uint8Array };

/**
 * Compares the bytes (borrowed) that stand in a process with every state the layout knows.
 * @param at the window's address in that process.
 */
export function checkSite(
  site: Pick<SiteCandidate, "layout" | "compiled">,
  bytes: Uint8Array,
  at: CodeAddr,
): StandingState {
  const state = site.layout.recognise(bytes, at, site.compiled);
  return state ?? { kind: "unknown", bytes: bytes.slice() };
}

/** A refusal in one line, with the bytes. */
export function describeRefusal(refused: RefusedSite): string {
  const bytes = refused.bytes.length === 0 ? "" : ` (${hexBytes(refused.bytes.subarray(0, 8))})`;
  return `${refusalTexts[refused.reason]}${bytes}`;
}
