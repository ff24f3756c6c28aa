/**
 * Sites in ordinary prologues: functions that were compiled without one. On x86-64 the first
 * instructions, five bytes or more, are moved out of line, and a jump takes the place of the first
 * five bytes; on AArch64 it is one instruction (behind `endbr64` or BTI, which stay).
 *
 *     f:   push rbp          f:   jmp thunk         copy:  push rbp
 *          mov rbp, rsp           (rest of sub)            mov rbp, rsp
 *          sub rsp, 32                                     sub rsp, 32
 *     r:   ...               r:   ...                      jmp r
 *
 * That is sound where control enters these bytes at their first alone, where they are entered
 * with the return address on top of the stack, and where each instruction can be moved. A function
 * for which that is not known to be so is refused with its reason.
 */
import { fileOffset, linkAddr } from "../base/brand.ts";
import { symbolType } from "../elf/constants.ts";
import { type ElfFile, findSection, offsetOfAddr, textSegments } from "../elf/elf-file.ts";
import { symbolEntry, symbolSections } from "../elf/symbol-section.ts";
import {
  indexContaining,
  lowerBound,
  type SymbolTable,
  symbolName,
} from "../symbols/symbol-table.ts";
import { reference } from "./code-references.ts";
import { whyEntriesOnlyByName } from "./entries-only.ts";
import type { ProgramCode } from "./program-code.ts";
import { type PrologueDialect, prologueDialect } from "./prologue-dialect.ts";
import type { RefusalReason, RefusedSite, SiteCandidate, SiteList } from "./site.ts";

/** Bytes of a refused function that are shown. */
const shownBytes = 16;

/** Parts that a compiler splits off and that are jumped to, by what it appends to the name. */
const splitPart = /\.cold(\.\d+)?$/;
/** Code of V8 that scans the stack for its own return addresses. */
const machineStub = /^Builtins_/;

/** V8 looks at the return address of what its generated code calls. */
const calledByV8 =
  /^_ZN2v88internal\d+(Runtime|Builtin)_|\d(Function|Property)CallbackInfo|CheckStackGuardState/;

/** Runtimes whose own frames depend on those that they call, by a function that they have. */
const runtimes: ReadonlyMap<string, string> = new Map([
  ["caml_call_gc", "OCaml's collector looks return addresses up"],
  ["luaJIT_setmode", "LuaJIT finds its frames by where those end that it calls"],
]);

function findRuntime(symbols: SymbolTable): string | undefined {
  for (let i = 0; i < symbols.count; i++) {
    const found = runtimes.get(symbolName(symbols, i));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** What the search knows of a program. */
type Program = ProgramCode & {
  readonly dialect: PrologueDialect;
  readonly text: ReturnType<typeof textSegments>;
  /** Addresses of resolvers, which have the names of the functions that they choose. */
  readonly resolvers: ReadonlySet<number>;
  /** The code that Go's compiler made moves its stacks and reads them. */
  readonly isGo: boolean;
  /** Why none of its returns can be hooked; absent where no runtime stands against it. */
  readonly entriesOnly: string | undefined;
};

/** A function before it is judged. */
type Candidate = {
  readonly start: number;
  /** Bytes; 0 when nothing says it. */
  readonly size: number;
  /** Absent when only a frame description knows it. */
  readonly name: string | undefined;
};

type Verdict =
  | { readonly kind: "site"; readonly site: SiteCandidate }
  | { readonly kind: "refused"; readonly reason: RefusalReason };

const refuse = (reason: RefusalReason): Verdict => ({ kind: "refused", reason });

/** Addresses of STT_GNU_IFUNC symbols. */
function findResolvers(elf: ElfFile): ReadonlySet<number> {
  const found = new Set<number>();
  for (const table of symbolSections(elf)) {
    for (let i = 1; i < table.count; i++) {
      if ((table.view.getUint8(i * 24 + 4) & 15) !== symbolType.ifunc) continue;
      found.add(symbolEntry(table, i).value);
    }
  }
  return found;
}

/** Size of the function at `start` by its frame description; 0 without one. */
function frameSize({ frames }: Program, start: number): number {
  const index = lowerBound(frames.starts, start);
  return frames.starts[index] === start ? (frames.sizes[index] ?? 0) : 0;
}

/** What the frame description at `start` says of how it is entered; undefined without one. */
function isCalledByFrame({ frames }: Program, start: number): boolean | undefined {
  const index = lowerBound(frames.starts, start);
  if (frames.starts[index] !== start) return undefined;
  return frames.called[index] === 1;
}

/** The functions of a program: one for each address that a symbol or a description names. */
function* candidates(program: Program): Generator<Candidate> {
  const { symbols, frames } = program;
  for (let first = 0; first < symbols.count; ) {
    const start = symbols.addrs[first] ?? 0;
    let size = 0;
    let next = first;
    for (; next < symbols.count && symbols.addrs[next] === start; next++) {
      size = Math.max(size, symbols.sizes[next] ?? 0);
    }
    if (size === 0) size = frameSize(program, start);
    // Labels inside of functions say nothing of their size.
    const isLabel = size === 0 && isInside(program, start);
    if (!isLabel) yield { start, size, name: symbolName(symbols, first) };
    first = next;
  }
  for (let i = 0; i < frames.count; i++) {
    const start = frames.starts[i] ?? 0;
    if (start === frames.starts[i - 1] || isSymbol(symbols, start)) continue;
    if (isInside(program, start)) continue;
    yield { start, size: frames.sizes[i] ?? 0, name: undefined };
  }
}

const isSymbol = (symbols: SymbolTable, start: number): boolean =>
  symbols.addrs[lowerBound(symbols.addrs, start)] === start;

/** Whether a symbol with a size lies around `start`. */
function isInside({ symbols }: Program, start: number): boolean {
  const index = indexContaining(symbols, start - 1);
  return index >= 0 && start < (symbols.addrs[index] ?? 0) + (symbols.sizes[index] ?? 0);
}

/** Where the function's bytes end: no-ops up to the next one that nobody comes to are its, too. */
function roomOf(program: Program, start: number, at: number, size: number): number {
  const { starts, elf, dialect } = program;
  const next = starts[lowerBound(starts, start + 1)] ?? start + size;
  let end = size;
  while (start + end < next && end < dialect.bytesMax) {
    const padding = dialect.paddingAt(elf.bytes, at + end);
    if (padding === 0 || start + end + padding > next) break;
    end += padding;
  }
  return Math.max(end, size);
}

/** Why the function is no function to the caller's eye; undefined where it is one. */
function isNoFunction(program: Program, one: Candidate): RefusalReason | undefined {
  const { start, size, name } = one;
  if (program.resolvers.has(start)) return "ifunc";
  if (name !== undefined && splitPart.test(name)) return "split-part";
  if (name !== undefined && machineStub.test(name)) return "runtime";
  if (size === 0) return "no-size";
  // Go has descriptions of its own, and the C code in its programs the usual ones.
  if (program.isGo && isCalledByFrame(program, start) === undefined) return "runtime";
  if (isCalledByFrame(program, start) === false) return "not-called";
  if (Number(program.elf.entry) === start) return "not-called";
  // A description without a name may be of a part that another function jumps to.
  const named = reference.call | reference.address;
  if (name === undefined && (program.references.at(start) & named) === 0) return "split-part";
  return undefined;
}

/** Why only entries can be recorded; undefined where exits can be, too. */
function whyEntriesOnly(program: Program, one: Candidate, code: Uint8Array): string | undefined {
  const { name = "" } = one;
  if (program.entriesOnly !== undefined) return program.entriesOnly;
  if (calledByV8.test(name)) return "V8 looks at its return address";
  if (program.dialect.readsReturn(code)) return "it looks at its return address";
  const byName = whyEntriesOnlyByName(name);
  if (byName !== undefined) return byName;
  // Hand-written code that may be entered otherwise than by a call.
  if (program.frames.count > 0 && isCalledByFrame(program, one.start) === undefined) {
    return "it has no frame description";
  }
  return undefined;
}

function judge(program: Program, one: Candidate): Verdict {
  const { elf, text, references, dialect } = program;
  const { start, size } = one;
  const startAt = offsetOfAddr(text, start);
  if (startAt < 0) return refuse("not-text");
  const none = isNoFunction(program, one);
  if (none !== undefined) return refuse(none);
  const { bytes } = elf;
  const pad = dialect.padSizeAt(bytes, startAt);
  const window = start + pad;
  const at = startAt + pad;
  const end = startAt + roomOf(program, start, startAt, size);
  if (end > bytes.length || offsetOfAddr(text, start + size - 1) < 0) return refuse("not-text");
  const displaced = dialect.displacedAt(program, window, at, end);
  if (typeof displaced === "string") return refuse(displaced);
  // A loop whose head is the window would be taken for calls.
  if ((references.at(window) & reference.loop) !== 0) return refuse("loop-at-entry");
  if (!references.isDecoded(start, start + size)) return refuse("undecodable");
  const code = bytes.subarray(startAt, startAt + size);
  const entriesOnly =
    dialect.whyEntriesOnlyAt(bytes, at, startAt) ?? whyEntriesOnly(program, one, code);
  const site: SiteCandidate = {
    addr: linkAddr(BigInt(window)),
    functionAddr: linkAddr(BigInt(start)),
    symbol: one.name,
    layout: dialect.layout,
    compiled: displaced.subarray(0, dialect.layout.windowSize),
    fileOffset: fileOffset(at),
    literal: undefined,
    displaced,
    ...(entriesOnly === undefined ? {} : { entriesOnly }),
  };
  return { kind: "site", site };
}

/**
 * Finds the functions of a program that can be traced although they have no site of their own.
 * @param own the sites that they do have: those functions are passed over.
 * @throws FormatError where the file is damaged.
 */
export function findPrologueSites(code: ProgramCode, own: readonly SiteCandidate[]): SiteList {
  const { elf } = code;
  const dialect = prologueDialect(elf.machine);
  if (dialect === undefined) return { sites: [], refused: [] };
  const text = textSegments(elf);
  const isGo = findSection(elf, ".gopclntab") !== undefined;
  const program: Program = {
    ...code,
    dialect,
    text,
    resolvers: findResolvers(elf),
    isGo,
    entriesOnly: isGo ? "Go reads the stacks of those that it calls" : findRuntime(code.symbols),
  };
  const taken = new Set<number>(own.map(({ functionAddr }) => Number(functionAddr)));
  const sites: SiteCandidate[] = [];
  const refused: RefusedSite[] = [];
  for (const one of candidates(program)) {
    if (taken.has(one.start)) continue;
    const verdict = judge(program, one);
    if (verdict.kind === "site") sites.push(verdict.site);
    else {
      const at = offsetOfAddr(text, one.start);
      const bytes = at < 0 ? new Uint8Array(0) : elf.bytes.subarray(at, at + shownBytes);
      const { reason } = verdict;
      refused.push({ addr: linkAddr(BigInt(one.start)), symbol: one.name, reason, bytes });
    }
  }
  sites.sort((a, b) => (a.addr < b.addr ? -1 : a.addr > b.addr ? 1 : 0));
  return { sites, refused };
}
