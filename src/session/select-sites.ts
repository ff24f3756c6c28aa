/**
 * Which functions of a process are to be traced: the sites of its modules whose names match, in
 * the order of their addresses, numbered.
 */
import { type CodeAddr, type SiteId, siteId } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import type { SiteCandidate } from "../patch/site.ts";
import { siteCountMax } from "../ring/layout.ts";
import { bareName } from "../symbols/demangler.ts";
import { compileGlobs, type NameTest, nearestNames } from "../symbols/glob.ts";
import type { SiteBatch } from "../target/injection.ts";
import { windowBytesMax } from "../target/text-patch.ts";
import { addressIn, type Module } from "./process-modules.ts";

export type SiteFilter = {
  /** Globs as in ftrace's set_ftrace_filter; without any, every function is traced. */
  readonly include: readonly string[];
  /** Globs of functions that are not traced, whatever `include` says. */
  readonly exclude: readonly string[];
};

/** A function's name as people write it, where that differs from the symbol. */
export type Demangle = (name: string) => string | undefined;

export type SelectedSite = {
  readonly id: SiteId;
  readonly at: CodeAddr;
  readonly name: string;
  readonly demangled: string | undefined;
  readonly site: SiteCandidate;
  readonly module: Module;
};

/** What would make functions traceable, for whoever has none. */
const howToGetSites =
  "compile it with -fpatchable-function-entry=5 (gcc, clang), or with -pg -mfentry -mnop-mcount -mrecord-mcount (gcc)";

/** The sites of all modules that `filter` names. Fails where there are none, and says why. */
export function selectSites(
  doing: string,
  modules: readonly Module[],
  filter: SiteFilter,
  demangle: Demangle,
): readonly SelectedSite[] {
  if (!modules.some((module) => module.program.sites().sites.length > 0)) {
    throw new PatchbayError({
      code: "no-sites",
      doing,
      why: "neither the program nor its libraries have patchable functions",
      hint: howToGetSites,
    });
  }
  const wanted = filter.include.length === 0 ? () => true : compileGlobs(filter.include);
  const unwanted = compileGlobs(filter.exclude);
  const selected: Omit<SelectedSite, "id">[] = [];
  const names = new Set<string>();
  for (const module of modules) {
    for (const site of module.program.sites().sites) {
      const named = nameSite(site, demangle);
      names.add(named.demangled ?? named.name);
      if (!matches(wanted, named) || matches(unwanted, named)) continue;
      selected.push({ ...named, at: addressIn(module, site.addr), site, module });
    }
  }
  if (selected.length === 0) throw noMatch(doing, filter, names);
  if (selected.length > siteCountMax) {
    throw new PatchbayError({
      code: "unsupported",
      doing,
      why: `${selected.length} functions match, and a session holds ${siteCountMax}`,
      hint: "narrow the filter",
    });
  }
  selected.sort((a, b) => (a.at < b.at ? -1 : 1));
  return selected.map((one, index) => ({ ...one, id: siteId(index) }));
}

type Named = Pick<SelectedSite, "name" | "demangled">;

function nameSite(site: SiteCandidate, demangle: Demangle): Named {
  const name = site.symbol ?? `sub_${site.functionAddr.toString(16)}`;
  return { name, demangled: demangle(name) };
}

/** C++ and Rust names match with their parameters and without. */
const matches = (test: NameTest, { name, demangled }: Named): boolean =>
  test(name) || (demangled !== undefined && (test(demangled) || test(bareName(demangled))));

function noMatch(doing: string, filter: SiteFilter, names: Iterable<string>): PatchbayError {
  const globs = filter.include.join(" ");
  const near = [...new Set(filter.include.flatMap((glob) => nearestNames(glob, names)))].slice(
    0,
    3,
  );
  return new PatchbayError({
    code: "no-match",
    doing,
    why: globs === "" ? "every function is excluded" : `no patchable function matches ${globs}`,
    hint:
      near.length > 0 ? `did you mean ${near.join(", ")}?` : "`patchbay sites` lists what is there",
  });
}

/** The selection as the target layer takes it. */
export function toBatch(selected: readonly SelectedSite[]): SiteBatch {
  const count = selected.length;
  const batch = {
    count,
    at: new Float64Array(count),
    size: new Uint8Array(count),
    compiled: new Uint8Array(count * windowBytesMax),
    several: new Uint8Array(count),
    id: new Uint32Array(count),
  };
  selected.forEach(({ id, at, site }, index) => {
    batch.at[index] = Number(at);
    batch.size[index] = site.layout.windowSize;
    batch.compiled.set(site.compiled, index * windowBytesMax);
    batch.several[index] = site.layout.compiledSizes.length > 1 ? 1 : 0;
    batch.id[index] = id;
  });
  return batch;
}
