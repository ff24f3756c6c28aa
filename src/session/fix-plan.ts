/**
 * Works out what a fix means in a process, from files alone: which functions it replaces, where
 * these can be redirected, which addresses the fix needs. Whatever speaks against it is found
 * here, before anything is touched.
 */
import { basename } from "node:path";
import { type CodeAddr, codeAddr, hexBytes, linkAddr, type Pid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { segmentType } from "../elf/constants.ts";
import { findSymbols, type NamedSymbol } from "../elf/named-symbols.ts";
import { type ProcessMemory, readMaps } from "../os/proc.ts";
import { describeRefusal, type SiteCandidate } from "../patch/site.ts";
import { branchSize, branchTarget } from "../patch/x86-64-layouts.ts";
import { nearestNames } from "../symbols/glob.ts";
import type { FixPlan } from "../target/fix-description.ts";
import type { FoundPatch } from "../target/patch-record.ts";
import type { TextRange } from "../target/unwinder-registration.ts";
import { demangle } from "./demangle.ts";
import { checkDeclarations } from "./fix-declarations.ts";
import { type FixFile, type Replacement, readFix } from "./fix-file.ts";
import { pathInProcess } from "./native-library.ts";
import { addressIn, type Module } from "./process-modules.ts";

export type PlanOptions = {
  /** The name that the fix is known by; the file's, without `.so`, unless said otherwise. */
  readonly name?: string;
  /** `OLD=NEW`: functions that the fix does not name itself. */
  readonly map?: readonly string[];
  /** Replace functions that another fix has replaced, on top of that. */
  readonly stack?: boolean;
};

export type PlannedFix = {
  readonly plan: FixPlan;
  /** What whoever applies it should know. */
  readonly warnings: readonly string[];
};

type Context = {
  readonly doing: string;
  readonly fix: FixFile;
  readonly modules: readonly Module[];
  readonly memory: ProcessMemory;
  readonly patches: readonly FoundPatch[];
  readonly stack: boolean;
};

/** A function of the program, found. */
type Old = { readonly module: Module; readonly symbol: NamedSymbol };

const refusal = ({ doing }: Pick<Context, "doing">, why: string, hint?: string): PatchbayError =>
  new PatchbayError({ code: "unsupported", doing, why, ...(hint === undefined ? {} : { hint }) });

/** The plan for the fix at `path`. */
export function planFix(
  pid: Pid,
  modules: readonly Module[],
  memory: ProcessMemory,
  patches: readonly FoundPatch[],
  path: string,
  options: PlanOptions,
): PlannedFix {
  const { name = basename(path).replace(/\.so$/, ""), map = [], stack = false } = options;
  const doing = `patch process ${pid} with ${basename(path)}`;
  const fix = readFix(doing, path, map);
  const context: Context = { doing, fix, modules, memory, patches, stack };
  const seen = pathInProcess(doing, pid, path);
  if (patches.some(({ record }) => record.name === name)) {
    throw refusal(context, `a fix named ${name} is in it`, `patchbay revert -p ${pid} ${name}`);
  }
  if (readMaps(pid).some((mapping) => mapping.path === seen)) {
    throw refusal(context, "that file is loaded already", "give the new version another name");
  }
  const candidates = candidateModules(context);
  const olds = fix.replacements.map((one) => findOld(context, candidates, one));
  const [first] = olds;
  const module = first?.module ?? candidates[0];
  if (module === undefined) throw refusal(context, "there is nothing to patch");
  const other = olds.findIndex((one) => one.module !== module);
  if (other >= 0) {
    const names = `${fix.replacements[0]?.name} and ${fix.replacements[other]?.name}`;
    throw refusal(context, `${names} are in different files`, "make a fix for each");
  }
  const warnings = checkDeclarations(doing, module, fix);
  const functions = fix.replacements.map((one, index) => {
    const { symbol } = olds[index] ?? { symbol: undefined };
    if (symbol === undefined) throw refusal(context, `${one.name} was not found`);
    return planFunction(context, module, one, symbol);
  });
  const plan: FixPlan = {
    name,
    file: seen,
    buildId: fix.program.buildId,
    module: module.path,
    time: new Date().toISOString(),
    functions,
    references: planReferences(context, module),
    text: fix.text,
    data: fix.data,
    mapped: fix.mapped,
  };
  return { plan, warnings };
}

/** The files of the process that the fix may be for. */
function candidateModules(context: Context): readonly Module[] {
  const { fix, modules } = context;
  const { madeFor } = fix;
  if (madeFor === undefined) return modules;
  const found = modules.filter(({ program }) => program.buildId === madeFor);
  if (found.length > 0) return found;
  const [executable] = modules;
  throw refusal(
    context,
    `it was made for build-id ${madeFor}, and the process runs ` +
      (executable?.program.buildId ?? "a program without one"),
    "make the fix for the version that runs",
  );
}

/** The function that `one` replaces. */
function findOld(context: Context, modules: readonly Module[], one: Replacement): Old {
  for (const module of modules) {
    const symbols = functionsNamed(module, one.name);
    const [symbol] = symbols;
    if (symbol === undefined) continue;
    if (symbols.length > 1) {
      const sources = symbols.map(({ source }) => source ?? "?").join(", ");
      throw refusal(context, `${module.path} has several functions ${one.name} (${sources})`);
    }
    return { module, symbol };
  }
  throw whyNotFound(context, modules, one.name);
}

/** Functions of a module by symbol, or by the name that people write. */
function functionsNamed({ program }: Module, name: string): readonly NamedSymbol[] {
  const isMeant = (symbol: string): boolean => symbol === name || demangle(symbol) === name;
  const found = [...findSymbols(program.elf, isMeant).values()].flat();
  return found.filter(({ kind }) => kind === "function");
}

function whyNotFound(context: Context, modules: readonly Module[], name: string): PatchbayError {
  for (const { program, path } of modules) {
    const inlining = program.inlining((names) => names.name === name || names.linkageName === name);
    if (inlining?.isKnown !== true || inlining.hasCode) continue;
    const places = inlining.places
      .slice(0, 3)
      .map(({ caller, source }) => {
        const where = source === undefined ? "" : ` at ${basename(source.file)}:${source.line}`;
        return `${caller?.linkageName ?? caller?.name ?? "?"}${where}`;
      })
      .join(", ");
    if (inlining.placeCount > 0) {
      return refusal(
        context,
        `${name} was inlined everywhere in ${path}: into ${places}`,
        "replace the functions that it was inlined into",
      );
    }
    return refusal(context, `the compiler kept no code of ${name} in ${path}`);
  }
  const names = modules.flatMap(({ program }) => {
    const found = findSymbols(program.elf, (symbol) => symbol.startsWith(`${name}.`));
    return [...found.keys()].filter((one) => !one.includes(".cold"));
  });
  if (names.length > 0) {
    return refusal(
      context,
      `the compiler made ${names.slice(0, 3).join(", ")} of ${name}, which is called otherwise`,
      "replace its callers, or make the fix with `patchbay build-fix`",
    );
  }
  const known = modules.flatMap(({ program }) => [
    ...findSymbols(program.elf, (symbol) => symbol.length < 64).keys(),
  ]);
  const near = nearestNames(name, known).slice(0, 3);
  return refusal(
    context,
    `no function ${name} in the process`,
    near.length > 0 ? `did you mean ${near.join(", ")}?` : undefined,
  );
}

type PlannedFunction = FixPlan["functions"][number];

function planFunction(
  context: Context,
  module: Module,
  one: Replacement,
  symbol: NamedSymbol,
): PlannedFunction {
  const site = findSite(context, module, one.name, symbol);
  const at = addressIn(module, site.addr);
  const size = site.layout.windowSize;
  const standing = context.memory.read(at, size);
  const compiled = site.compiled.subarray(0, size);
  const common = {
    name: one.name,
    replacement: one.by,
    at,
    oldCode: codeOf(module, symbol),
    newAddr: one.addr,
    newSize: one.size,
  };
  const isCompiled = standing.every((byte, i) => byte === compiled[i]);
  if (isCompiled) {
    return { ...common, original: standing, displaced: site.displaced, stackedOn: undefined };
  }
  const holder = stackedOn(context, one.name, at, standing);
  return {
    ...common,
    original: standing,
    displaced: undefined,
    stackedOn: holder.stub,
    oldCode: [...common.oldCode, ...holder.code],
  };
}

/** Whose jump stands at a function that is not as it was compiled. */
function stackedOn(
  context: Context,
  name: string,
  at: CodeAddr,
  standing: Uint8Array,
): { readonly stub: CodeAddr; readonly code: readonly TextRange[] } {
  const target = standing[0] === 0xe9 ? branchTarget(standing, at) : undefined;
  const holders = context.patches.flatMap(({ record }) =>
    record.functions.filter((one) => BigInt(one.at) === at).map((one) => ({ record, one })),
  );
  const top = holders.find(({ one }) => BigInt(one.stub) === target);
  if (top === undefined) {
    throw refusal(
      context,
      `${name} is redirected already: at 0x${at.toString(16)} stand ${hexBytes(standing)}`,
      "by a tracer or another tool; let that one go first",
    );
  }
  if (!context.stack) {
    throw refusal(
      context,
      `${name} is replaced by ${top.record.name} already`,
      `revert that one first, or put this one on top with --stack`,
    );
  }
  const code = holders.map(({ one }): TextRange => {
    const [start, size] = one.newCode;
    return { start: BigInt(start), end: BigInt(start) + BigInt(Math.max(size, branchSize)) };
  });
  return { stub: codeAddr(BigInt(top.one.stub)), code };
}

/** Where the function can be redirected: at its site, or at its first instructions. */
function findSite(
  context: Context,
  { program }: Module,
  name: string,
  { addr }: NamedSymbol,
): SiteCandidate {
  const isIt = (one: SiteCandidate): boolean => Number(one.functionAddr) === addr;
  const own = program.sites().sites.find(isIt);
  if (own !== undefined) return own;
  const prologues = program.prologues();
  const found = prologues.sites.find(isIt);
  if (found !== undefined) return found;
  const refused = prologues.refused.find((one) => Number(one.addr) === addr);
  throw refusal(
    context,
    `${name} can't be redirected: it has no patch site, and ` +
      (refused === undefined ? "it is no ordinary function" : describeRefusal(refused)),
  );
}

/** The code of a function, and of what the compiler split off it. */
function codeOf(module: Module, symbol: NamedSymbol): readonly TextRange[] {
  const parts = findSymbols(
    module.program.elf,
    (name) => name === `${symbol.name}.cold` || name.startsWith(`${symbol.name}.cold.`),
  );
  return [symbol, ...[...parts.values()].flat()].map(({ addr, size }) => {
    const start = addressIn(module, linkAddr(BigInt(addr)));
    return { start, end: start + BigInt(Math.max(size, 1)) };
  });
}

/** The addresses that the fix needs of `module` and that no loader finds. */
function planReferences(context: Context, module: Module): FixPlan["references"] {
  const { fix } = context;
  const wanted = new Set<string>();
  for (const { name } of fix.looseEnds) wanted.add(fix.references.get(name)?.name ?? name);
  const symbols = findSymbols(module.program.elf, (name) => wanted.has(name));
  return fix.looseEnds.flatMap(({ name, isWeak, words }) => {
    const meant = fix.references.get(name) ?? { name, source: undefined };
    const all = symbols.get(meant.name) ?? [];
    const isMeant = ({ source }: NamedSymbol): boolean => source === meant.source;
    const found = all.length > 1 && meant.source !== undefined ? all.filter(isMeant) : all;
    const [symbol, ...more] = found;
    if (symbol === undefined) {
      if (!fix.references.has(name)) {
        refuseNowhere(context, name, isWeak);
        return [];
      }
      throw refusal(context, `${module.path} has no symbol ${meant.name}, which the fix uses`);
    }
    // What the loader finds by itself is its business.
    if (!isWeak && !symbol.isLocal) return [];
    if (!isWeak) {
      throw refusal(
        context,
        `the fix uses ${name}, which is static in ${module.path}`,
        "declare it __attribute__((weak)): then it is looked up there",
      );
    }
    if (more.length > 0) {
      const sources = found.map(({ source }) => source ?? "?").join(", ");
      throw refusal(context, `${module.path} has several symbols ${meant.name} (${sources})`);
    }
    if (symbol.kind === "thread-local") {
      throw refusal(context, `the fix uses ${meant.name}, which is thread-local`);
    }
    const address = addressIn(module, linkAddr(BigInt(symbol.addr)));
    return words.map(({ at, addend }) => ({
      at: BigInt(at),
      value: BigInt.asUintN(64, address + BigInt(addend)),
    }));
  });
}

/** Weak symbols that every shared library has and that may well be missing. */
const optional = /^(__gmon_start__|_ITM_.*|__cxa_finalize|_Jv_RegisterClasses)$/;

/** Refuses a weak symbol that nothing in the process defines: a call of it would go nowhere. */
function refuseNowhere(context: Context, name: string, isWeak: boolean): void {
  if (!isWeak || optional.test(name)) return;
  const isThere = context.modules.some(({ program }) =>
    findSymbols(program.elf, (symbol) => symbol === name).has(name),
  );
  if (!isThere)
    throw refusal(context, `the fix uses ${name}, which nothing in the process defines`);
}

/** Whether the process has a dynamic loader at all. */
export const isDynamic = ({ program }: Module): boolean =>
  program.elf.segments.some(({ type }) => type === segmentType.interp);
