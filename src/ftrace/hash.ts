/**
 * Filter and notrace hashes: which functions an ops wants. A hash keeps the terms that made it, so
 * that libraries which come later are matched too, and the sites that they name at present.
 */
import { compileGlob } from "../symbols/glob.ts";
import type { FilterTerm } from "./filter.ts";
import { SiteSet } from "./site-set.ts";

/** A function that can be traced, as filters see it. */
export type TraceableFunction = {
  /** Number of its site. */
  readonly site: number;
  /** Every name that it goes by: the symbol, and the demangled name with and without parameters. */
  readonly names: readonly string[];
  /** File name of its module, without the folder. */
  readonly module: string;
};

/** Terms in the order in which they were written; triggers are not among them. */
export type Selection = readonly Exclude<FilterTerm, { kind: "trigger" }>[];

export type FtraceHash = {
  readonly terms: Selection;
  /** Grows when libraries come: see `learn`. */
  readonly sites: SiteSet;
};

/** The hash of no terms: none is ever added to it. */
export const emptyHash: FtraceHash = { terms: [], sites: new SiteSet() };

type Test = (one: TraceableFunction, index: number) => boolean;

/** Modules are matched by their whole name and by the part before `.so`. */
const stems = (module: string): readonly string[] => [
  module,
  module.replace(/\.so(\.[\d.]+)?$/, ""),
];

function compileTerm(term: Selection[number]): Test {
  if (term.kind === "index") return (_, index) => index + 1 === term.index;
  const named = compileGlob(term.glob);
  const byName: Test = (one) => one.names.some(named);
  if (term.kind === "name") return byName;
  const inModule = compileGlob(term.module);
  return (one, index) => stems(one.module).some(inModule) !== term.outside && byName(one, index);
}

/** What `terms` name among `functions`, which are in the order of the functions' list. */
export function resolve(terms: Selection, functions: readonly TraceableFunction[]): FtraceHash {
  const hash = { terms, sites: new SiteSet() };
  learn(hash, functions, 0);
  return hash;
}

/** Adds what the hash's terms name among functions that come behind `first` others in the list. */
export function learn(
  { terms, sites }: FtraceHash,
  functions: readonly TraceableFunction[],
  first: number,
): void {
  for (const term of terms) {
    const test = compileTerm(term);
    functions.forEach((one, index) => {
      if (!test(one, first + index)) return;
      if (term.remove) sites.delete(one.site);
      else sites.add(one.site);
    });
  }
}

/** Whether a term names a library that none of `functions` is of: it may come yet. */
export const isWaiting = (terms: Selection, functions: readonly TraceableFunction[]): boolean =>
  terms.some((term) => {
    if (term.kind !== "module" || term.remove || term.outside) return false;
    const inModule = compileGlob(term.module);
    return !functions.some(({ module }) => stems(module).some(inModule));
  });

/** `>>`: more terms behind those that are there. `>` is `resolve` of the new terms alone. */
export const append = (
  hash: FtraceHash,
  terms: Selection,
  functions: readonly TraceableFunction[],
): FtraceHash => resolve([...hash.terms, ...terms], functions);

/** Whether an ops with these hashes wants a site: no filter means all, notrace always wins. */
export const wants = (filter: FtraceHash, notrace: FtraceHash, site: number): boolean =>
  (filter.terms.length === 0 || filter.sites.has(site)) && !notrace.sites.has(site);
