/**
 * The functions of a process that can be traced: the sites of all its modules in the order of
 * their addresses, numbered, and what filters make of them.
 */
import { basename } from "node:path";
import { type CodeAddr, type Pid, type SiteId, siteId } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import type { Machine } from "../elf/elf-file.ts";
import { type FilterTerm, parseFilter } from "../ftrace/filter.ts";
import {
  type FtraceHash,
  isWaiting,
  resolve,
  type Selection,
  type TraceableFunction,
} from "../ftrace/hash.ts";
import { literalBytes, whyNoLiteral } from "../patch/literal.ts";
import { siteOptions } from "../patch/no-sites.ts";
import { prologueDialect } from "../patch/prologue-dialect.ts";
import { prologue } from "../patch/prologue-layout.ts";
import type { SiteCandidate } from "../patch/site.ts";
import { siteCountMax } from "../ring/layout.ts";
import { bareName } from "../symbols/demangler.ts";
import { nearestNames } from "../symbols/glob.ts";
import type { SiteTable } from "../target/injection.ts";
import { findPatches } from "../target/patch-record.ts";
import { PtraceProcess } from "../target/ptrace-process.ts";
import { windowBytesMax } from "../target/text-patch.ts";
import { demangle } from "./demangle.ts";
import { hasAll, type MoreSites, siteLists } from "./more-sites.ts";
import { addressIn, type Module } from "./process-modules.ts";

/** Words as in ftrace's set_ftrace_filter and set_ftrace_notrace: `sqlite3*`, `*:mod:libfoo`. */
export type SiteFilter = {
  /** Without any, every function is traced. */
  readonly include: readonly string[];
  /** Functions that are not traced, whatever `include` says. */
  readonly exclude: readonly string[];
};

/** A function that can be traced. */
export type CataloguedFunction = {
  readonly id: SiteId;
  readonly at: CodeAddr;
  readonly name: string;
  readonly demangled: string | undefined;
  readonly site: SiteCandidate;
  readonly module: Module;
  /** Why its site can't call with a literal beside it; undefined when it can. */
  readonly noLiteral: string | undefined;
};

export type Catalogue = {
  /** By their ids. Libraries that come later are added behind: see `addModule`. */
  readonly functions: CataloguedFunction[];
  /** The same as filters see them. */
  readonly traceable: TraceableFunction[];
  readonly machine: Machine;
};

/** What would make functions traceable, for whoever has none. */
function howToGetSites(machine: Machine): string {
  const compile = `compile it with ${siteOptions[machine]}`;
  if (prologueDialect(machine) === undefined) return compile;
  return `add --prologues to trace functions without sites, or ${compile}`;
}

/**
 * Catalogues the functions of `modules`.
 * @param more sites that are asked for beside those that compilers left.
 * @param patched windows of functions that a fix replaces at present.
 */
export function makeCatalogue(
  doing: string,
  modules: readonly Module[],
  more: MoreSites = {},
  patched: PatchedWindows = new Map(),
): Catalogue {
  const found = siteLists(modules, more, true).flatMap(({ module, lists }) =>
    lists.flatMap(({ sites }) => sites.map((site) => toFunction(site, module, patched))),
  );
  if (found.length > siteCountMax) {
    throw new PatchbayError({
      code: "unsupported",
      doing,
      why: `it has ${found.length} patchable functions, and a session holds ${siteCountMax}`,
    });
  }
  // Gates come last: with them or without, the others have the same numbers.
  const order = (a: (typeof found)[number], b: (typeof found)[number]): number =>
    Number(a.site.gate !== undefined) - Number(b.site.gate !== undefined) || (a.at < b.at ? -1 : 1);
  found.sort(order);
  const functions = found.map((one, index) => ({ ...one, id: siteId(index) }));
  const machine = modules[0]?.program.elf.machine ?? "x86-64";
  return { functions, traceable: functions.map(toTraceable), machine };
}

/** The jumps to fixes, by the addresses where they stand. */
export type PatchedWindows = ReadonlyMap<bigint, Uint8Array>;

function toFunction(
  compiled: SiteCandidate,
  module: Module,
  patched: PatchedWindows = new Map(),
): Omit<CataloguedFunction, "id"> {
  const at = addressIn(module, compiled.addr);
  const site = withPatch(compiled, patched.get(at));
  const name = site.symbol ?? `sub_${site.functionAddr.toString(16)}`;
  const noLiteral = whyNoLiteral(literalFacts(site, module));
  return { at, name, demangled: demangle(name), site, module, noLiteral };
}

/** Where a fix stands, its jump is what is moved out of the way: it must never be left out. */
const withPatch = (site: SiteCandidate, jump: Uint8Array | undefined): SiteCandidate =>
  jump === undefined
    ? site
    : {
        ...site,
        layout: prologue,
        compiled: jump,
        displaced: jump,
        literal: undefined,
        isPatched: true,
      };

/** The windows in process `pid` that lead to fixes. */
function patchedWindows(pid: Pid): PatchedWindows {
  using process = new PtraceProcess(pid);
  const functions = findPatches(process).flatMap(({ record }) => record.functions);
  return new Map(
    functions.map(({ at }) => [BigInt(at), process.memory.read(BigInt(at), prologue.windowSize)]),
  );
}

/**
 * Adds the functions of a library that has come; these.
 * @param room how many more there can be.
 */
export function addModule(
  { functions, traceable }: Catalogue,
  module: Module,
  more: MoreSites,
  room: number,
): readonly CataloguedFunction[] {
  // What the program calls in its libraries is the program's own.
  const lists = siteLists([module], { ...more, libcalls: false }).flatMap((one) => one.lists);
  const sites = lists.flatMap((list) => list.sites).slice(0, room);
  const added = sites.map((site, index) => ({
    ...toFunction(site, module),
    id: siteId(functions.length + index),
  }));
  functions.push(...added);
  traceable.push(...added.map(toTraceable));
  return added;
}

/** Gives functions of a library that has come again the addresses that they have now. */
export function moveFunctions(
  { functions }: Catalogue,
  ids: readonly number[],
  module: Module,
): readonly CataloguedFunction[] {
  return ids.flatMap((id) => {
    const before = functions[id];
    if (before === undefined) return [];
    const now = { ...before, module, at: addressIn(module, before.site.addr) };
    functions[id] = now;
    return [now];
  });
}

/**
 * A process' catalogue, with those sites beside the compilers' own; `isFresh`: made anew, because
 * other libraries are there.
 */
export type CatalogueOf = (more: MoreSites, isFresh?: boolean) => Catalogue;

/** Catalogues a process when somebody wants to know, and keeps the last catalogue. */
export function catalogueOf(pid: Pid, modules: readonly Module[]): CatalogueOf {
  let last: { readonly more: MoreSites; readonly catalogue: Catalogue } | undefined;
  return (more, isFresh = false) => {
    if (last === undefined || isFresh || !isSame(last.more, more)) {
      const doing = `trace functions of process ${pid}`;
      last = { more, catalogue: makeCatalogue(doing, modules, more, patchedWindows(pid)) };
    }
    return last.catalogue;
  };
}

const isSame = (a: MoreSites, b: MoreSites): boolean =>
  hasAll(a, b) && hasAll(b, a) && (a.forks === true) === (b.forks === true);

/** The same without the sites that have to be asked for. */
export const withoutMoved = ({ functions, traceable, machine }: Catalogue): Catalogue => {
  const isOwn = (index: number): boolean => {
    const site = functions[index]?.site;
    return site?.displaced === undefined || site.isPatched === true;
  };
  return {
    machine,
    functions: functions.filter((_, index) => isOwn(index)),
    traceable: traceable.filter((_, index) => isOwn(index)),
  };
};

/** Sites that are there for threads to call gates. */
export const gateSites = ({ functions }: Catalogue): readonly SiteId[] =>
  functions.flatMap(({ id, site }) => (site.gate === undefined ? [] : id));

/** The same without these. */
export const withoutGates = (catalogue: Catalogue): Catalogue => {
  const { functions, traceable } = catalogue;
  const isGate = (index: number): boolean => functions[index]?.site.gate !== undefined;
  if (!functions.some((_, index) => isGate(index))) return catalogue;
  return {
    ...catalogue,
    functions: functions.filter((_, index) => !isGate(index)),
    traceable: traceable.filter((_, index) => !isGate(index)),
  };
};

/** C++ and Rust names match with their parameters and without. */
function toTraceable({ id, name, demangled, module }: CataloguedFunction): TraceableFunction {
  const names = demangled === undefined ? [name] : [name, demangled, bareName(demangled)];
  return { site: id, names, module: basename(module.path) };
}

function parseTerms(doing: string, words: readonly string[]): Selection {
  const parsed = parseFilter(words.join(" "));
  if (!parsed.ok) throw badFilter(doing, parsed.error.word, parsed.error.problem);
  const isTrigger = (term: FilterTerm): boolean => term.kind === "trigger";
  const trigger = parsed.value.findIndex(isTrigger);
  if (trigger >= 0) {
    throw badFilter(doing, words[trigger] ?? "", "that is a trigger, which is set by --trigger");
  }
  return parsed.value.filter((term) => term.kind !== "trigger");
}

export const badFilter = (doing: string, word: string, why: string): PatchbayError =>
  new PatchbayError({ code: "bad-usage", doing, why: `filter ${word}: ${why}` });

export type FilterHashes = { readonly filter: FtraceHash; readonly notrace: FtraceHash };

/**
 * The hashes for a filter. Fails where it names nothing, and suggests what it may have meant; but
 * for libraries that may come yet, and where that is to be expected.
 */
export function resolveFilter(
  doing: string,
  { functions, traceable, machine }: Catalogue,
  { include, exclude }: SiteFilter,
  mayBeEmpty = false,
): FilterHashes {
  const terms = parseTerms(doing, include);
  const filter = resolve(terms, traceable);
  const notrace = resolve(parseTerms(doing, exclude), traceable);
  const named = include.length === 0 ? functions.map(({ id }) => id) : [...filter.sites];
  if (mayBeEmpty || named.some((site) => !notrace.sites.has(site))) return { filter, notrace };
  if (named.length > 0) {
    throw new PatchbayError({ code: "no-match", doing, why: "every function is excluded" });
  }
  if (isWaiting(terms, traceable)) return { filter, notrace };
  if (functions.length === 0) {
    throw new PatchbayError({
      code: "no-sites",
      doing,
      why: "neither the program nor its libraries have patchable functions",
      hint: howToGetSites(machine),
    });
  }
  const names = functions.map(({ name, demangled }) => demangled ?? name);
  const near = [...new Set(include.flatMap((glob) => nearestNames(glob, names)))].slice(0, 3);
  throw new PatchbayError({
    code: "no-match",
    doing,
    why: `no patchable function matches ${include.join(" ")}`,
    hint: suggest(near, names),
  });
}

function suggest(near: readonly string[], names: readonly string[]): string {
  if (names.every((name) => /^sub_[0-9a-f]+$/.test(name))) {
    return `nothing there has a symbol: functions are named by addresses, like ${names[0]}`;
  }
  return near.length > 0
    ? `did you mean ${near.join(", ")}?`
    : "`patchbay sites` lists what is there";
}

/** What there is before a site's function. */
function literalFacts({ literal, addr, fileOffset, layout }: SiteCandidate, module: Module) {
  const room = literal === undefined ? 0 : Number(addr - literal.addr);
  const from = fileOffset - room;
  return {
    machine: module.program.elf.machine,
    room,
    aligned: literal?.aligned === true,
    windowSize: layout.windowSize,
    bytes: room === 0 ? undefined : module.program.elf.bytes.subarray(from, from + literalBytes),
  };
}

/**
 * Functions as the target layer keeps them.
 * @param room rows behind them, for libraries that come later.
 */
export function toSiteTable(functions: readonly CataloguedFunction[], room = 0): SiteTable {
  const count = functions.length + room;
  const table = {
    count,
    later: functions.length,
    at: new Float64Array(count),
    size: new Uint8Array(count),
    compiled: new Uint8Array(count * windowBytesMax),
    several: new Uint8Array(count),
    moved: new Uint8Array(count),
    entriesOnly: new Uint8Array(count),
    inside: new Uint8Array(count),
    semaphore: new Float64Array(count),
    literal: new Uint8Array(count),
    literals: new Uint8Array(count * literalBytes),
  };
  functions.forEach(({ at, site, module, noLiteral }, index) => {
    table.at[index] = Number(at);
    table.size[index] = site.layout.windowSize;
    table.compiled.set(site.displaced ?? site.compiled, index * windowBytesMax);
    table.several[index] = site.layout.compiledSizes.length === 1 ? 0 : 1;
    table.moved[index] = site.displaced?.length ?? 0;
    table.entriesOnly[index] = site.entriesOnly === undefined ? 0 : 1;
    table.inside[index] = site.inside === undefined ? 0 : 1;
    const semaphore = site.inside?.semaphore;
    if (semaphore !== undefined) table.semaphore[index] = Number(addressIn(module, semaphore));
    if (noLiteral !== undefined) return;
    const facts = literalFacts(site, module);
    table.literal[index] = facts.room;
    table.literals.set(facts.bytes ?? [], index * literalBytes);
  });
  return table;
}
