/**
 * Why a function can or can't be traced: the question that users of other tools ask most in vain.
 */
import { hexBytes, type LinkAddr, pid } from "../base/brand.ts";
import { nameAt } from "../elf/string-table.ts";
import { symbolEntry, symbolSections } from "../elf/symbol-section.ts";
import { valuesText } from "../ftrace/auto-values.ts";
import { ProcessMemory } from "../os/proc.ts";
import { siteOptions } from "../patch/no-sites.ts";
import { checkSite, describeRefusal, type RefusedSite, type SiteCandidate } from "../patch/site.ts";
import type { DebugNames } from "../symbols/dwarf/inlining.ts";
import type { SourceLine } from "../symbols/dwarf/line-table.ts";
import {
  displayName,
  type FunctionName,
  lastComponent,
  matchesName,
} from "../symbols/function-name.ts";
import { compileGlob, compileGlobs, type NameTest, nearestNames } from "../symbols/glob.ts";
import { functionAt, indexContaining, symbolName } from "../symbols/symbol-table.ts";
import { findSignaturesOf } from "./auto-values.ts";
import { functionName } from "./demangle.ts";
import { type MoreSites, siteLists } from "./more-sites.ts";
import { addressIn, type Module } from "./process-modules.ts";
import type { InlinePlace, Inlining } from "./program-file.ts";
import { openModules, type SiteTarget, siteName } from "./site-listing.ts";

/** Where the answer's function is. */
type Place = {
  /** The program or library. */
  readonly module: string;
  readonly name: string;
  /** In a process its address there, in a file the link address. */
  readonly address: bigint;
  readonly source: SourceLine | undefined;
};

/** Calls of a function that became part of their callers: no site sees them. */
export type InlinedCalls = {
  readonly places: readonly InlinePlace[];
  /** How many there are; `places` holds the first thousand at the most. */
  readonly count: number;
};

/** One answer; a name may mean several functions. */
export type FunctionAnswer =
  | (Place & {
      readonly kind: "traceable";
      readonly layout: string;
      /** Its parameters, and which values of its calls can be recorded, where that is known. */
      readonly signature: { readonly text: string; readonly values: string } | undefined;
      /** Calls that are not seen all the same. */
      readonly inlined: InlinedCalls | undefined;
    })
  /** It has a site, and the filter given leaves it out. */
  | (Place & { readonly kind: "filtered"; readonly why: string })
  | (Place & { readonly kind: "refused"; readonly why: string })
  | (Place & { readonly kind: "no-site"; readonly why: string; readonly hint: string })
  | {
      readonly kind: "inlined";
      readonly module: string;
      readonly name: string;
      readonly inlined: InlinedCalls;
    }
  /** Debug information knows it, and the compiler kept nothing of it. */
  | { readonly kind: "removed"; readonly module: string; readonly name: string }
  /** The file calls it, and a library has it. */
  | { readonly kind: "imported"; readonly module: string; readonly name: string }
  | { readonly kind: "not-found"; readonly near: readonly string[]; readonly why: string };

export type ExplainOptions = MoreSites & {
  /** The filter that tracing would use: `include` and `exclude` of `SiteListOptions`. */
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
};

type Question = {
  /** Of the process, when one is asked about. */
  readonly memory: ProcessMemory | undefined;
  readonly test: NameTest;
  readonly options: ExplainOptions;
  /** Names without their namespaces match too. */
  readonly loose: boolean;
};

function isMeant(question: Question, name: FunctionName): boolean {
  if (matchesName(question.test, name)) return true;
  return question.loose && question.test(lastComponent(displayName(name)));
}

function whyFiltered(name: FunctionName, options: ExplainOptions): string | undefined {
  const { include = [], exclude = [] } = options;
  const excluding = exclude.find((glob) => matchesName(compileGlob(glob), name));
  if (excluding !== undefined) return `-N ${excluding} excludes it`;
  if (include.length === 0 || matchesName(compileGlobs(include), name)) return undefined;
  return `no -F pattern matches it (${include.join(" ")})`;
}

/** Parts and copies that a compiler makes of a function, by what it appends to the name. */
const partSuffix = /\.(cold|part)(\.\d+)?$/;

/** Why the function at `addr` has no site although its module may have others. */
function whyNoSite(module: Module, addr: LinkAddr, symbol: string): { why: string; hint: string } {
  if (partSuffix.test(symbol)) {
    const whole = displayName(functionName(symbol.replace(partSuffix, "")));
    const why = "the compiler split it off another function, which jumps into it";
    return { why, hint: `trace ${whole} instead` };
  }
  const producer = module.program.producer(addr);
  const hint = `compile it with ${siteOptions[module.program.elf.machine]}`;
  if (producer === undefined) {
    const why =
      module.program.sites().sites.length === 0
        ? "its file has no patch sites at all"
        : "it was compiled without the option that makes sites, or written in assembly";
    return { why, hint };
  }
  if (/-fpatchable-function-entry|-mrecord-mcount/.test(producer)) {
    const attribute = "patchable_function_entry(0), no_instrument_function or naked";
    const why = `its file was compiled with sites (${producer}), but not this function`;
    return { why, hint: `look for an attribute at it: ${attribute}` };
  }
  return { why: `it was compiled without sites, by ${producer}`, hint };
}

/** What is wrong with the bytes that stand in the process. */
function whyChanged(
  module: Module,
  site: SiteCandidate,
  memory: ProcessMemory | undefined,
): string | undefined {
  if (memory === undefined) return undefined;
  const at = addressIn(module, site.addr);
  const state = checkSite(site, memory.read(at, site.layout.windowSize), at);
  if (state.kind !== "unknown") return undefined;
  return `the process has other bytes there than its file: ${hexBytes(state.bytes)}`;
}

/** Sites and refusals of a module by the address of their functions. */
function indexSites(module: Module, more: MoreSites) {
  // What a compiler's own table says is said last, and counts.
  const lists = siteLists([module], more).flatMap((one) => one.lists.toReversed());
  const sites = lists.flatMap((list) => list.sites);
  const refused = lists.flatMap((list) => list.refused);
  const bySite = new Map<bigint, SiteCandidate>();
  for (const site of sites) bySite.set(site.functionAddr, site);
  const byRefusal = new Map<bigint, RefusedSite>();
  const table = module.program.symbols();
  for (const one of refused) {
    byRefusal.set(one.addr, one);
    const index = indexContaining(table, Number(one.addr));
    if (index >= 0) byRefusal.set(functionAt(table, index).addr, one);
  }
  return { bySite, byRefusal };
}

function answerAt(
  module: Module,
  index: ReturnType<typeof indexSites>,
  addr: LinkAddr,
  name: FunctionName,
  question: Question,
): FunctionAnswer {
  const place: Place = {
    module: module.path,
    name: displayName(name),
    address: addressIn(module, addr),
    source: module.program.sourceLine(addr),
  };
  const site = index.bySite.get(addr);
  if (site !== undefined) {
    const changed = whyChanged(module, site, question.memory);
    if (changed !== undefined) return { ...place, kind: "refused", why: changed };
    const filtered = whyFiltered(name, question.options);
    if (filtered !== undefined) return { ...place, kind: "filtered", why: filtered };
    const layout = site.layout.id;
    const signature = signatureAt(module, addr, name);
    return { ...place, kind: "traceable", layout, signature, inlined: undefined };
  }
  const refused = index.byRefusal.get(addr);
  if (refused !== undefined) {
    return { ...place, kind: "refused", why: describeRefusal(refused) };
  }
  return { ...place, kind: "no-site", ...whyNoSite(module, addr, name.symbol) };
}

function signatureAt(module: Module, addr: LinkAddr, name: FunctionName) {
  const shown = lastComponent(displayName(name));
  const wanted = [{ module, symbol: name.symbol, name: shown, addr }];
  const found = findSignaturesOf(wanted).get(0);
  if (found === undefined) return undefined;
  return { text: found.text, values: valuesText(found.values) };
}

/** Answers for the functions of `module` that have code of their own. */
function answersIn(module: Module, question: Question): FunctionAnswer[] {
  const table = module.program.symbols();
  const index = indexSites(module, question.options);
  const answers: FunctionAnswer[] = [];
  const seen = new Set<bigint>();
  for (let i = 0; i < table.count; i++) {
    const name = functionName(symbolName(table, i));
    if (!isMeant(question, name)) continue;
    const { addr } = functionAt(table, i);
    if (seen.has(addr)) continue;
    seen.add(addr);
    answers.push(answerAt(module, index, addr, name, question));
  }
  // Sites of a stripped program have names of their addresses, and calls those of what they call.
  for (const site of index.bySite.values()) {
    if (seen.has(site.functionAddr)) continue;
    const name = functionName(siteName(site));
    if (!isMeant(question, name)) continue;
    answers.push(answerAt(module, index, site.functionAddr, name, question));
  }
  return answers;
}

const namesOf = ({ name, linkageName }: DebugNames): FunctionName =>
  linkageName === undefined
    ? { symbol: name ?? "", demangled: undefined }
    : functionName(linkageName);

function isMeantInDebug(question: Question, names: DebugNames): boolean {
  if (isMeant(question, namesOf(names))) return true;
  // Without a linkage name the bare one is all there is.
  const { name } = names;
  return name !== undefined && names.linkageName === undefined && question.test(name);
}

/** The name to show for a function of the debug information. */
export const debugName = (names: DebugNames): string => displayName(namesOf(names));

const callsOf = ({ places, placeCount }: Inlining): InlinedCalls | undefined =>
  placeCount === 0 ? undefined : { places, count: placeCount };

/** Adds what debug information says: calls that were inlined, functions without code. */
function withInlining(
  module: Module,
  question: Question,
  answers: readonly FunctionAnswer[],
): readonly FunctionAnswer[] {
  const facts = module.program.inlining((names) => isMeantInDebug(question, names));
  if (facts === undefined) return answers;
  const inlined = callsOf(facts);
  if (answers.length > 0) {
    return answers.map((one) => (one.kind === "traceable" ? { ...one, inlined } : one));
  }
  const [first] = facts.names;
  if (first === undefined || !facts.isKnown) return answers;
  const name = debugName(first);
  const { path } = module;
  if (inlined !== undefined) return [{ kind: "inlined", module: path, name, inlined }];
  return facts.hasCode ? answers : [{ kind: "removed", module: path, name }];
}

/** The function, if `module` only calls it. */
function importedIn(module: Module, question: Question): FunctionAnswer | undefined {
  for (const table of symbolSections(module.program.elf)) {
    for (let i = 1; i < table.count; i++) {
      const entry = symbolEntry(table, i);
      if (entry.sectionIndex !== 0) continue;
      const name = functionName(nameAt(table.names, entry.name).replace(/@.*$/, ""));
      if (name.symbol === "" || !isMeant(question, name)) continue;
      return { kind: "imported", module: module.path, name: displayName(name) };
    }
  }
  return undefined;
}

function notFound(modules: readonly Module[], name: string): FunctionAnswer {
  const names = new Set<string>();
  for (const { program } of modules) {
    const table = program.symbols();
    for (let i = 0; i < table.count; i++) {
      const one = displayName(functionName(symbolName(table, i)));
      names.add(one);
    }
  }
  const why =
    names.size === 0
      ? "the file has no symbols (stripped), so that functions have no names"
      : "there is no function of that name";
  return { kind: "not-found", near: nearestNames(name, names), why };
}

function ask(modules: readonly Module[], question: Question): readonly FunctionAnswer[] {
  return modules.flatMap((module) => withInlining(module, question, answersIn(module, question)));
}

/**
 * Says of each function that `name` means whether it can be traced, and why.
 * @param name a symbol, a demangled name with or without parameters or namespaces, or a glob.
 */
export function explainFunction(
  target: SiteTarget,
  name: string,
  options: ExplainOptions = {},
): readonly FunctionAnswer[] {
  const { modules } = openModules(target);
  using memory = typeof target === "number" ? new ProcessMemory(pid(target)) : undefined;
  const question: Question = { test: compileGlob(name), options, memory, loose: true };
  for (const loose of [false, true]) {
    const answers = ask(modules, { ...question, loose });
    if (answers.length > 0) return answers;
  }
  const imported = modules.map((module) => importedIn(module, question));
  const found = imported.find((answer) => answer !== undefined);
  return [found ?? notFound(modules, name)];
}
