/**
 * Finding sites in x86-64 programs: the tables that compilers write, and what stands where they
 * point.
 *
 * - `__patchable_function_entries` (gcc and clang, `-fpatchable-function-entry=n[,m]`): the address
 *   of the first of the n no-ops. m of them stand before the function. gcc names the first no-op
 *   before `endbr64`; clang, when m is 0, the one behind it.
 * - `__mcount_loc` (`-pg -mfentry -mrecord-mcount`): the address of `call __fentry__`, or of the
 *   no-op that `-mnop-mcount` makes of it.
 *
 * Neither table says how long a site is nor where its function begins: symbols say it, and the
 * unwinder's table where there are none.
 */
import { fileOffset, linkAddr } from "../base/brand.ts";
import { type ElfFile, offsetOfAddr, sectionsNamed, textSegments } from "../elf/elf-file.ts";
import { functionStarts } from "../elf/function-starts.ts";
import { readAddressTable } from "../elf/pointers.ts";
import { indexOfStart, lowerBound, type SymbolTable, symbolName } from "../symbols/symbol-table.ts";
import type { Layout } from "./layout.ts";
import type { LiteralRoom, RefusalReason, RefusedSite, SiteCandidate, SiteList } from "./site.ts";
import { type FentryTargets, fentryLayoutAt, findFentryTargets } from "./x86-64-fentry.ts";
import { branchSize, endbr64, isEndbr64, longNops, nop1x5, nopSizeAt } from "./x86-64-layouts.ts";

/** No-ops before a function at the most: gcc refuses more than 65535 (-fpatchable-function-entry). */
const leadMax = 65535;
/** Bytes of a refused site that are shown. */
const shownBytes = 16;
const literalBytes = 8;
const nop = 0x90;

/** What the search knows of a program. */
type Program = {
  readonly elf: ElfFile;
  readonly symbols: SymbolTable;
  readonly text: ReturnType<typeof textSegments>;
  /** Where functions begin by the unwinder's table; read when a symbol is missing. */
  frames: Float64Array | undefined;
  fentry: FentryTargets | undefined;
  /** Compiled windows by their bytes, so that equal ones share an array. */
  readonly windows: Map<string, Uint8Array>;
  readonly sites: SiteCandidate[];
  readonly refused: RefusedSite[];
  /** Functions that have a site already. */
  readonly taken: Set<number>;
};

/** The layout whose window the no-ops at `bytes[at]` are. */
function layoutAt(bytes: Uint8Array, at: number): Layout | "too-short" | "not-nop" {
  if (bytes[at] === nop) {
    for (let i = 1; i < branchSize; i++) if (bytes[at + i] !== nop) return "too-short";
    return nop1x5;
  }
  const size = nopSizeAt(bytes, at);
  // Compilers put the longest no-op first: what follows a short one is not the site's.
  return size === 0 ? "not-nop" : (longNops.get(size) ?? "too-short");
}

/** Whether bytes `from` to `to` of the file are no-ops and nothing else. */
function areNops(bytes: Uint8Array, from: number, to: number): boolean {
  let at = from;
  while (at < to) {
    const size = nopSizeAt(bytes, at);
    if (size === 0) return false;
    at += size;
  }
  return at === to;
}

/** The first place at or after `addr` where something says that a function begins; -1: none. */
function nextStart(program: Program, addr: number): number {
  const { symbols } = program;
  const bySymbol = symbols.addrs[lowerBound(symbols.addrs, addr)] ?? Number.POSITIVE_INFINITY;
  if (bySymbol === addr) return addr;
  program.frames ??= functionStarts(program.elf);
  const byFrame = program.frames[lowerBound(program.frames, addr)] ?? Number.POSITIVE_INFINITY;
  const next = Math.min(bySymbol, byFrame);
  return next - addr <= leadMax ? next : -1;
}

/** The last place at or before `addr` where something says that a function begins; -1: none. */
function previousStart(program: Program, addr: number): number {
  const { symbols } = program;
  const bySymbol = symbols.addrs[lowerBound(symbols.addrs, addr + 1) - 1] ?? -1;
  if (bySymbol === addr) return addr;
  program.frames ??= functionStarts(program.elf);
  return Math.max(bySymbol, program.frames[lowerBound(program.frames, addr + 1) - 1] ?? -1);
}

/** Where the function begins that a place in its bytes belongs to; -1 when nothing says it. */
type FindStart = (program: Program, addr: number, at: number) => number;

/** For an entry of `__patchable_function_entries`: mapped at `addr`, at `at` in the file. */
const patchableStart: FindStart = (program, addr, at) => {
  const { elf } = program;
  const next = nextStart(program, addr);
  if (next === addr) return addr;
  const landingPad = endbr64.length;
  if (at >= landingPad && isEndbr64(elf.bytes, at - landingPad)) {
    if (nextStart(program, addr - landingPad) === addr - landingPad) return addr - landingPad;
  }
  if (next > addr && areNops(elf.bytes, at, at + next - addr)) return next;
  return -1;
};

/** For an entry of `__mcount_loc`, which comes first but for a landing pad and no-ops. */
const mcountStart: FindStart = (program, addr, at) => {
  const start = previousStart(program, addr);
  const startAt = at - (addr - start);
  if (start < 0 || startAt < 0 || addr - start > leadMax) return -1;
  const { bytes } = program.elf;
  const pad = startAt < at && isEndbr64(bytes, startAt) ? endbr64.length : 0;
  return areNops(bytes, startAt + pad, at) ? start : -1;
};

/** `bytes[at..at+size]` as an array that all equal windows share. */
function internWindow(program: Program, at: number, size: number): Uint8Array {
  const { bytes } = program.elf;
  let key = "";
  for (let i = 0; i < size; i++) key += String.fromCharCode(bytes[at + i] ?? 0);
  let window = program.windows.get(key);
  if (window === undefined) {
    window = bytes.slice(at, at + size);
    program.windows.set(key, window);
  }
  return window;
}

function literalRoom(lead: number, start: number): LiteralRoom | undefined {
  if (lead < literalBytes) return undefined;
  const addr = start - literalBytes;
  return { addr: linkAddr(BigInt(addr)), size: literalBytes, aligned: addr % literalBytes === 0 };
}

/** A table's entry that is a site. */
type Placed = {
  readonly kind: "site";
  /** Where the function begins, and the window inside it. */
  readonly start: number;
  readonly addr: number;
  /** The window's place in the file. */
  readonly at: number;
  /** Bytes of no-ops before the function. */
  readonly lead: number;
  readonly layout: Layout;
};

/** A table's entry that is none, and why. */
type Refused = {
  readonly kind: "refused";
  readonly reason: RefusalReason;
  readonly addr: number;
  /** -1 when it is not known. */
  readonly start: number;
};

const refusal = (reason: RefusalReason, addr: number, start = -1): Refused => ({
  kind: "refused",
  reason,
  addr,
  start,
});

/** A site, if its window ends inside the segment that it begins in. */
function placed(program: Program, site: Omit<Placed, "kind">): Placed | Refused {
  const last = site.layout.windowSize - 1;
  const isInside = offsetOfAddr(program.text, site.addr + last) === site.at + last;
  return isInside ? { kind: "site", ...site } : refusal("not-text", site.addr, site.start);
}

/** Where an entry's function begins, and the entry's place in the file. */
type Located = { readonly kind: "located"; readonly start: number; readonly at: number };

/** What both tables' entries have to be: the address of a function's site, for the first time. */
function locate(program: Program, entry: number, findStart: FindStart): Located | Refused {
  if (entry === 0) return refusal("dropped", entry);
  const at = offsetOfAddr(program.text, entry);
  if (at < 0) return refusal("not-text", entry);
  const start = findStart(program, entry, at);
  if (start < 0) return refusal("no-function", entry);
  if (program.taken.has(start)) return refusal("duplicate", entry, start);
  return { kind: "located", start, at };
}

/** One entry of `__patchable_function_entries`. */
function judgePatchableEntry(program: Program, entry: number): Placed | Refused {
  const { elf, text } = program;
  const found = locate(program, entry, patchableStart);
  if (found.kind === "refused") return found;
  const { start } = found;
  const startAt = offsetOfAddr(text, start);
  if (startAt < 0) return refusal("not-text", start, start);
  const pad = isEndbr64(elf.bytes, startAt) ? endbr64.length : 0;
  const addr = start + pad;
  const at = startAt + pad;
  const layout = layoutAt(elf.bytes, at);
  if (typeof layout === "string") return refusal(layout, addr, start);
  return placed(program, { start, addr, at, lead: Math.max(0, start - entry), layout });
}

/** One entry of `__mcount_loc`. */
function judgeMcountEntry(program: Program, entry: number): Placed | Refused {
  const found = locate(program, entry, mcountStart);
  if (found.kind === "refused") return found;
  const { start, at } = found;
  const size = nopSizeAt(program.elf.bytes, at);
  if (size > 0) {
    const layout = longNops.get(size);
    if (layout === undefined) return refusal("too-short", entry, start);
    return placed(program, { start, addr: entry, at, lead: 0, layout });
  }
  program.fentry ??= findFentryTargets(program.elf);
  const layout = fentryLayoutAt(program.fentry, program.elf, at, entry);
  if (typeof layout === "string") return refusal(layout, entry, start);
  return placed(program, { start, addr: entry, at, lead: 0, layout });
}

function record(program: Program, verdict: Placed | Refused): void {
  const { elf, symbols, text } = program;
  const { addr, start } = verdict;
  const index = start < 0 ? -1 : indexOfStart(symbols, start);
  const symbol = index < 0 ? undefined : symbolName(symbols, index);
  if (verdict.kind === "refused") {
    const at = offsetOfAddr(text, addr);
    const bytes = at < 0 ? new Uint8Array(0) : elf.bytes.subarray(at, at + shownBytes);
    program.refused.push({ addr: linkAddr(BigInt(addr)), symbol, reason: verdict.reason, bytes });
    return;
  }
  const { at, lead, layout } = verdict;
  program.taken.add(start);
  program.sites.push({
    addr: linkAddr(BigInt(addr)),
    functionAddr: linkAddr(BigInt(start)),
    symbol,
    layout,
    compiled: internWindow(program, at, layout.windowSize),
    fileOffset: fileOffset(at),
    literal: literalRoom(lead, start),
  });
}

const byAddr = (a: { readonly addr: bigint }, b: { readonly addr: bigint }): number =>
  a.addr < b.addr ? -1 : a.addr > b.addr ? 1 : 0;

/** The sites of an x86-64 program; see `findSites`. */
export function findX8664Sites(elf: ElfFile, symbols: SymbolTable): SiteList {
  const program: Program = {
    elf,
    symbols,
    text: textSegments(elf),
    frames: undefined,
    fentry: undefined,
    windows: new Map(),
    sites: [],
    refused: [],
    taken: new Set(),
  };
  for (const section of sectionsNamed(elf, "__patchable_function_entries")) {
    for (const entry of readAddressTable(elf, section)) {
      record(program, judgePatchableEntry(program, entry));
    }
  }
  for (const section of sectionsNamed(elf, "__mcount_loc")) {
    for (const entry of readAddressTable(elf, section)) {
      record(program, judgeMcountEntry(program, entry));
    }
  }
  return { sites: program.sites.sort(byAddr), refused: program.refused };
}
