/** What `patchbay sites` tells: the patch sites of a file or of a process, and their states. */
import { existsSync } from "node:fs";
import { assert } from "../base/assert.ts";
import { type CodeAddr, hexBytes, pid as toPid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { ProcessMemory } from "../os/proc.ts";
import { explainNoSites } from "../patch/no-sites.ts";
import {
  checkSite,
  type RefusalReason,
  refusalTexts,
  type SiteCandidate,
  type StandingState,
} from "../patch/site.ts";
import { displayName, matchFunctions, type UnmatchedGlob } from "../symbols/function-name.ts";
import { functionName } from "./demangle.ts";
import { openKernelFile } from "./kernel-file.ts";
import { type MoreSites, siteLists } from "./more-sites.ts";
import { addressIn, listModules, type Module, type SkippedModule } from "./process-modules.ts";
import { openProgramFile } from "./program-file.ts";

/** A program or library by its path, or a process by its id. */
export type SiteTarget = string | number;

export type SiteListOptions = MoreSites & {
  /** Globs as in ftrace's set_ftrace_filter; without any, every function is listed. */
  readonly include?: readonly string[];
  /** Globs of functions that are not listed, whatever `include` says. */
  readonly exclude?: readonly string[];
  /** Look up source lines; on unless said otherwise. */
  readonly lines?: boolean;
};

/** One site as it is listed. */
export type SiteRow = {
  /** Path of the program or library. */
  readonly module: string;
  /** The window: in a process its address there, in a file the link address. */
  readonly address: bigint;
  /** The raw symbol, when there is one. */
  readonly symbol: string | undefined;
  /** The demangled symbol, or a name made of the function's address. */
  readonly name: string;
  readonly file: string | undefined;
  readonly line: number | undefined;
  /** Id of the site's layout. */
  readonly layout: string;
  /** Bytes in the window. */
  readonly windowSize: number;
  /** Room for a pointer right before the function, if the compiler left it. */
  readonly literal: { readonly address: bigint; readonly aligned: boolean } | undefined;
  readonly state: StandingState;
};

/** One entry that was refused, as it is listed. */
export type RefusedRow = {
  readonly module: string;
  readonly address: bigint;
  readonly symbol: string | undefined;
  readonly name: string | undefined;
  readonly reason: RefusalReason;
  /** What the reason means. */
  readonly why: string;
  /** Hexadecimal, up to 16 bytes. */
  readonly bytes: string;
};

export type SiteListing = {
  readonly target: SiteTarget;
  readonly sites: readonly SiteRow[];
  readonly refused: readonly RefusedRow[];
  /** Mapped files of a process that could not be read. */
  readonly skipped: readonly SkippedModule[];
  /** Globs of `include` that no site matches. */
  readonly unmatched: readonly UnmatchedGlob[];
};

/** The modules of a target: a file is one, at no bias. */
export function openModules(target: SiteTarget): {
  readonly modules: readonly Module[];
  readonly skipped: readonly SkippedModule[];
} {
  if (typeof target === "number") return listModules(toPid(target));
  const kernel = openKernelFile(target);
  const { program, bias } = kernel ?? { program: openProgramFile(target), bias: 0n };
  return { modules: [{ path: target, program, bias, isExecutable: true }], skipped: [] };
}

/**
 * What a person means by `FILE|PID`: digits are a process unless a file of that name is there.
 */
export const siteTarget = (text: string): SiteTarget =>
  /^[1-9]\d*$/.test(text) && !existsSync(text) ? Number(text) : text;

/** The name of a site's function; one made of its address when the program has no symbol. */
export const siteName = (site: Pick<SiteCandidate, "symbol" | "functionAddr">): string =>
  site.symbol ?? `sub_${site.functionAddr.toString(16)}`;

/** Bytes of a process that are read at once. */
const blockBytes = 1 << 20;

/** States of `sites` (ascending by address) as they stand in memory, read in large blocks. */
function readStates(
  memory: ProcessMemory,
  module: Module,
  sites: readonly SiteCandidate[],
): StandingState[] {
  let block: { from: bigint; bytes: Uint8Array } = { from: 0n, bytes: new Uint8Array(0) };
  const last = sites.at(-1);
  const textEnd = last === undefined ? 0n : addressIn(module, last.addr) + 16n;
  return sites.map((site) => {
    const at = addressIn(module, site.addr);
    const size = site.layout.windowSize;
    let offset = Number(at - block.from);
    if (offset + size > block.bytes.length) {
      const wanted = Math.min(blockBytes, Math.max(size, Number(textEnd - at)));
      block = { from: at, bytes: readBlock(memory, at, wanted, size) };
      offset = 0;
    }
    return checkSite(site, block.bytes.subarray(offset, offset + size), at);
  });
}

/** `wanted` bytes, or the `needed` ones where so many are not mapped. */
function readBlock(
  memory: ProcessMemory,
  at: CodeAddr,
  wanted: number,
  needed: number,
): Uint8Array {
  try {
    return memory.read(at, wanted);
  } catch {
    return memory.read(at, needed);
  }
}

function rowOf(module: Module, site: SiteCandidate, state: StandingState, lines: boolean): SiteRow {
  const source = lines ? module.program.sourceLine(site.functionAddr) : undefined;
  return {
    module: module.path,
    address: addressIn(module, site.addr),
    symbol: site.symbol,
    name: displayName(functionName(siteName(site))),
    file: source?.file,
    line: source?.line,
    layout: site.layout.id,
    windowSize: site.layout.windowSize,
    literal: site.literal && {
      address: addressIn(module, site.literal.addr),
      aligned: site.literal.aligned,
    },
    state,
  };
}

type ModuleSites = ReturnType<typeof siteLists>[number];

/** Ascending by address. */
const sitesOf = ({ lists }: ModuleSites): SiteCandidate[] =>
  lists.flatMap(({ sites }) => sites).sort((a, b) => (a.addr < b.addr ? -1 : 1));

function refusedRows({ module, lists }: ModuleSites): RefusedRow[] {
  const refused = lists.flatMap((list) => list.refused);
  return refused.map(({ addr, symbol, reason, bytes }) => ({
    module: module.path,
    address: addressIn(module, addr),
    symbol,
    name: symbol === undefined ? undefined : displayName(functionName(symbol)),
    reason,
    why: refusalTexts[reason],
    bytes: hexBytes(bytes),
  }));
}

/** Counts of `rows` by reason, most frequent first. */
export function countByReason(rows: readonly RefusedRow[]): readonly (readonly [string, number])[] {
  const counts = new Map<string, number>();
  for (const { reason } of rows) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}

const describeTarget = (target: SiteTarget): string =>
  typeof target === "number" ? `process ${target}` : target;

function noSites(doing: string, modules: readonly Module[], refused: readonly RefusedRow[]) {
  const [reason, count] = countByReason(refused)[0] ?? [];
  const example = refused.find((row) => row.reason === reason);
  if (example !== undefined) {
    const bytes = example.bytes === "" ? "" : `, such as ${example.bytes}`;
    const why = `${count} of ${refused.length} entries are refused${bytes}: ${example.why}`;
    return new PatchbayError({ code: "no-sites", doing, why });
  }
  const [main] = modules;
  assert(main !== undefined, "a target has a module");
  return new PatchbayError({ code: "no-sites", doing, ...explainNoSites(main.program.elf) });
}

function noMatch(doing: string, unmatched: readonly UnmatchedGlob[]): PatchbayError {
  const globs = unmatched.map(({ glob }) => glob).join(" ");
  const near = [...new Set(unmatched.flatMap((one) => one.near))].slice(0, 3);
  return new PatchbayError({
    code: "no-match",
    doing,
    why: globs === "" ? "every function is excluded" : `no patchable function matches ${globs}`,
    ...(near.length === 0 ? {} : { hint: `did you mean ${near.join(", ")}?` }),
  });
}

/**
 * Lists the patch sites of a program, a library or a process with its libraries.
 * @throws PatchbayError no-sites when there is none, no-match when the filter leaves none, and
 *   what reading the target causes.
 */
export function listSites(target: SiteTarget, options: SiteListOptions = {}): SiteListing {
  const doing = `list the patch sites of ${describeTarget(target)}`;
  const { modules, skipped } = openModules(target);
  const found = siteLists(modules, options);
  const refused = found.flatMap(refusedRows);
  const all = found.flatMap(sitesOf);
  if (all.length === 0) throw noSites(doing, modules, refused);
  const { include = [], exclude = [], lines = true } = options;
  const names = all.map((site) => functionName(siteName(site)));
  const { selected, unmatched } = matchFunctions(names, include, exclude);
  if (selected.length === 0) throw noMatch(doing, unmatched);
  const chosen = new Set(selected.map((index) => all[index]));
  using memory = typeof target === "number" ? new ProcessMemory(toPid(target)) : undefined;
  const sites = found.flatMap((one) => {
    const { module } = one;
    const own = sitesOf(one).filter((site) => chosen.has(site));
    const states = memory === undefined ? [] : readStates(memory, module, own);
    return own.map((site, i) => rowOf(module, site, states[i] ?? { kind: "compiled" }, lines));
  });
  return { target, sites, refused, skipped, unmatched };
}
