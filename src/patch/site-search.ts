/**
 * Finding sites in programs: the tables that compilers write, and what stands where they point.
 *
 * - `__patchable_function_entries` (gcc and clang, `-fpatchable-function-entry=n[,m]`): the address
 *   of the first of the n no-ops. m of them stand before the function. gcc names the first no-op
 *   before the landing pad; clang, when m is 0, the one behind it.
 * - `__mcount_loc` (x86-64, `-pg -mfentry -mrecord-mcount`): the address of `call __fentry__`, or
 *   of the no-op that `-mnop-mcount` makes of it.
 * - `xray_instr_map` (x86-64, clang, `-fxray-instrument`): the sleds, see `x86-64-xray.ts`.
 *
 * No table says how long a site is nor where its function begins: symbols say it, and the
 * unwinder's table where there are none. What instructions are is the dialect's to say.
 */
import { fileOffset, hexBytes, type LinkAddr } from "../base/brand.ts";
import { type ElfFile, offsetOfAddr, sectionsNamed, textSegments } from "../elf/elf-file.ts";
import { functionStarts } from "../elf/function-starts.ts";
import { readAddressTable } from "../elf/pointers.ts";
import { lowerBound, type SymbolTable, symbolName } from "../symbols/symbol-table.ts";
import type { Layout } from "./layout.ts";
import type { LiteralRoom, RefusalReason, RefusedSite, SiteCandidate, SiteList } from "./site.ts";

/** No-ops before a function at the most: gcc refuses more than 65535. */
const leadMax = 65535;
/** Bytes of a refused site that are shown. */
const shownBytes = 16;
const literalBytes = 8;

/** Places that come first in their functions, but for a landing pad and no-ops. */
export type PlaceTable = {
  readonly addrs: Iterable<number>;
  /** The layout of what stands at `addr`, which is at `at` in the file. */
  readonly layoutAt: (addr: number, at: number) => Layout | RefusalReason;
};

/** What finding sites has to know of an ISA. */
export type SiteDialect = {
  /** Bytes of the landing pad at `bytes[at]`; 0: there is none. */
  readonly padSizeAt: (bytes: Uint8Array, at: number) => number;
  /** Bytes of the longest landing pad. */
  readonly padSizeMax: number;
  /** Length of the no-op at `bytes[at]`; 0: it is none. */
  readonly nopSizeAt: (bytes: Uint8Array, at: number) => number;
  /** The layout whose window the no-ops at `bytes[at]` are, in a function that is at `addr`. */
  readonly layoutAt: (bytes: Uint8Array, at: number, addr: number) => Layout | RefusalReason;
  /** Tables of places that come first in their functions, for ISAs that have such. */
  readonly tables?: (elf: ElfFile) => readonly PlaceTable[];
  /** Why the return of the function whose window stands at `bytes[at]` can't be hooked. */
  readonly entriesOnlyAt?: (bytes: Uint8Array, at: number, start: number) => string | undefined;
};

/** What the search knows of a program. */
type Program = {
  readonly elf: ElfFile;
  readonly dialect: SiteDialect;
  readonly symbols: SymbolTable;
  readonly text: ReturnType<typeof textSegments>;
  /** Where functions begin by the unwinder's table; read when a symbol is missing. */
  frames: Float64Array | undefined;
  /** Compiled windows by their bytes, so that equal ones share an array. */
  readonly windows: Map<string, Uint8Array>;
  /** The one of the site before: most follow one like themselves. */
  lastWindow: Uint8Array;
  readonly sites: SiteCandidate[];
  readonly refused: RefusedSite[];
  /** Functions that have a site already; filled when they turn out not to be in order. */
  taken: Set<number> | undefined;
  /** The highest function that has a site. */
  highest: number;
  /** Where in the symbols the last search ended: tables are nearly always in order. */
  near: number;
};

/** Whether bytes `from` to `to` of the file are no-ops and nothing else. */
function areNops({ elf, dialect }: Program, from: number, to: number): boolean {
  let at = from;
  while (at < to) {
    const size = dialect.nopSizeAt(elf.bytes, at);
    if (size === 0) return false;
    at += size;
  }
  return at === to;
}

/** How many symbols are looked at before a search begins anew. */
const stepsMax = 8;

/** Index of the first symbol that is not below `addr`. */
function symbolFrom(program: Program, addr: number): number {
  const { addrs } = program.symbols;
  let index = program.near;
  if ((addrs[index - 1] ?? -1) < addr) {
    const end = Math.min(addrs.length, index + stepsMax);
    while (index < end && (addrs[index] ?? 0) < addr) index++;
  }
  const isFound = (addrs[index] ?? Infinity) >= addr && (addrs[index - 1] ?? -1) < addr;
  program.near = isFound ? index : lowerBound(addrs, addr);
  return program.near;
}

/** The name of the function that begins at `start`, the one that people mean. */
function nameOfStart(program: Program, start: number): string | undefined {
  const { symbols } = program;
  const index = symbolFrom(program, start);
  return symbols.addrs[index] === start ? symbolName(symbols, index) : undefined;
}

/** Whether another entry has led to the function at `start`. */
function isTaken(program: Program, start: number): boolean {
  if (start > program.highest) return false;
  program.taken ??= new Set(program.sites.map((site) => Number(site.functionAddr)));
  return program.taken.has(start);
}

/** The first place at or after `addr` where something says that a function begins; -1: none. */
function nextStart(program: Program, addr: number): number {
  const { symbols } = program;
  const bySymbol = symbols.addrs[symbolFrom(program, addr)] ?? Infinity;
  if (bySymbol === addr) return addr;
  program.frames ??= functionStarts(program.elf);
  const byFrame = program.frames[lowerBound(program.frames, addr)] ?? Infinity;
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
  const { elf, dialect } = program;
  const next = nextStart(program, addr);
  if (next === addr) return addr;
  const pad = dialect.padSizeMax;
  if (at >= pad && dialect.padSizeAt(elf.bytes, at - pad) === pad) {
    if (nextStart(program, addr - pad) === addr - pad) return addr - pad;
  }
  if (next > addr && areNops(program, at, at + next - addr)) return next;
  return -1;
};

/** For a place that comes first in its function but for a landing pad and no-ops. */
const startBefore: FindStart = (program, addr, at) => {
  const start = previousStart(program, addr);
  const startAt = at - (addr - start);
  if (start < 0 || startAt < 0 || addr - start > leadMax) return -1;
  const pad = startAt < at ? program.dialect.padSizeAt(program.elf.bytes, startAt) : 0;
  return areNops(program, startAt + pad, at) ? start : -1;
};

/** Whether `window` is what stands at `bytes[at]`. */
function standsAt(window: Uint8Array, bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < window.length; i++) if (window[i] !== bytes[at + i]) return false;
  return true;
}

/** `bytes[at..at+size]` as an array that all equal windows share; there are few that differ. */
function internWindow(program: Program, at: number, size: number): Uint8Array {
  const { bytes } = program.elf;
  const { lastWindow } = program;
  if (lastWindow.length === size && standsAt(lastWindow, bytes, at)) return lastWindow;
  const window = bytes.slice(at, at + size);
  const known = program.windows.get(hexBytes(window)) ?? window;
  program.windows.set(hexBytes(known), known);
  program.lastWindow = known;
  return known;
}

function literalRoom(lead: number, start: number): LiteralRoom | undefined {
  if (lead < literalBytes) return undefined;
  const addr = start - literalBytes;
  return { addr: toAddr(addr), size: literalBytes, aligned: addr % literalBytes === 0 };
}

/** Numbers become addresses once for each site: what they cost is most of the search's time. */
const toAddr = (addr: number): LinkAddr => BigInt(addr) as LinkAddr;

function refuse(program: Program, reason: RefusalReason, addr: number, start: number): void {
  const at = offsetOfAddr(program.text, addr);
  program.refused.push({
    addr: toAddr(addr),
    symbol: start < 0 ? undefined : nameOfStart(program, start),
    reason,
    bytes: at < 0 ? new Uint8Array(0) : program.elf.bytes.subarray(at, at + shownBytes),
  });
}

/** A site to offer: its window, the function that it is in, and the no-ops before that. */
type Found = {
  readonly layout: Layout;
  /** The window, and its place in the file. */
  readonly addr: number;
  readonly at: number;
  readonly start: number;
  /** Bytes of no-ops before the function. */
  readonly lead: number;
};

/** Takes a site, if its window ends inside the segment that it begins in. */
function offer(program: Program, { layout, addr, at, start, lead }: Found): void {
  const last = layout.windowSize - 1;
  if (offsetOfAddr(program.text, addr + last) !== at + last) {
    refuse(program, "not-text", addr, start);
    return;
  }
  const functionAddr = toAddr(start);
  program.taken?.add(start);
  program.highest = Math.max(program.highest, start);
  const entriesOnly = program.dialect.entriesOnlyAt?.(program.elf.bytes, at, at - (addr - start));
  program.sites.push({
    addr: addr === start ? functionAddr : toAddr(addr),
    functionAddr,
    symbol: nameOfStart(program, start),
    layout,
    compiled: internWindow(program, at, layout.windowSize),
    fileOffset: fileOffset(at),
    literal: literalRoom(lead, start),
    ...(entriesOnly === undefined ? {} : { entriesOnly }),
  });
}

/** What is wrong with an entry that stands at `at` in the file, in the function at `start`. */
function whyNone(
  program: Program,
  entry: number,
  at: number,
  start: number,
): RefusalReason | undefined {
  if (entry === 0) return "dropped";
  if (at < 0) return "not-text";
  if (start < 0) return "no-function";
  return isTaken(program, start) ? "duplicate" : undefined;
}

/** Looks at one entry of `__patchable_function_entries`. */
function takePatchableEntry(program: Program, entry: number): void {
  const { elf, text, dialect } = program;
  const entryAt = offsetOfAddr(text, entry);
  const start = entryAt < 0 ? -1 : patchableStart(program, entry, entryAt);
  const startAt = start === entry ? entryAt : offsetOfAddr(text, start);
  const problem = whyNone(program, entry, start < 0 ? entryAt : startAt, start);
  if (problem !== undefined) {
    refuse(program, problem, entry, start);
    return;
  }
  const pad = dialect.padSizeAt(elf.bytes, startAt);
  const addr = start + pad;
  const at = startAt + pad;
  const layout = dialect.layoutAt(elf.bytes, at, addr);
  const lead = Math.max(0, start - entry);
  if (typeof layout === "string") refuse(program, layout, addr, start);
  else offer(program, { layout, addr, at, start, lead });
}

/** Looks at one place of such a table. */
function takePlace(program: Program, addr: number, { layoutAt }: PlaceTable): void {
  const at = offsetOfAddr(program.text, addr);
  const start = at < 0 ? -1 : startBefore(program, addr, at);
  const layout = whyNone(program, addr, at, start) ?? layoutAt(addr, at);
  if (typeof layout === "string") refuse(program, layout, addr, start);
  else offer(program, { layout, addr, at, start, lead: 0 });
}

/** Sorts only what is out of order: comparing costs more than looking. */
function sortByAddr(sites: SiteCandidate[]): SiteCandidate[] {
  const isSorted = sites.every((site, i) => i === 0 || (sites[i - 1]?.addr ?? 0n) <= site.addr);
  return isSorted ? sites : sites.sort(byAddr);
}

const byAddr = (a: { readonly addr: bigint }, b: { readonly addr: bigint }): number =>
  a.addr < b.addr ? -1 : a.addr > b.addr ? 1 : 0;

/** The sites of a program by its tables; see `findSites`. */
export function searchSites(elf: ElfFile, symbols: SymbolTable, dialect: SiteDialect): SiteList {
  const program: Program = {
    ...{ elf, symbols, dialect },
    text: textSegments(elf),
    frames: undefined,
    windows: new Map(),
    lastWindow: new Uint8Array(0),
    sites: [],
    refused: [],
    taken: undefined,
    highest: -1,
    near: 0,
  };
  for (const section of sectionsNamed(elf, "__patchable_function_entries")) {
    for (const entry of readAddressTable(elf, section)) takePatchableEntry(program, entry);
  }
  for (const table of dialect.tables?.(elf) ?? []) {
    for (const addr of table.addrs) takePlace(program, addr, table);
  }
  return { sites: sortByAddr(program.sites), refused: program.refused };
}
