/** The names of a function, and which of several functions a person's patterns mean. */
import { bareName } from "./demangler.ts";
import { compileGlobs, type NameTest, nearestNames } from "./glob.ts";

export type FunctionName = {
  /** As the linker has it. */
  readonly symbol: string;
  /** As people write it, where that is something else. */
  readonly demangled: string | undefined;
};

/** The name to show. */
export const displayName = (name: FunctionName): string => name.demangled ?? name.symbol;

/** Whether `test` holds for the symbol, or for the demangled name with or without parameters. */
export const matchesName = (test: NameTest, { symbol, demangled }: FunctionName): boolean =>
  test(symbol) || (demangled !== undefined && (test(demangled) || test(bareName(demangled))));

/** A name without its namespaces and classes, parameters and template arguments. */
export function lastComponent(name: string): string {
  const bare = bareName(name);
  let depth = 0;
  let start = 0;
  for (let i = 0; i < bare.length; i++) {
    const char = bare[i];
    if (char === "<" || char === "(" || char === "{") depth++;
    if (char === ">" || char === ")" || char === "}") depth--;
    if (char === ":" && bare[i + 1] === ":" && depth === 0) start = i + 2;
  }
  const last = bare.slice(start);
  const brackets = last.indexOf("<");
  return brackets > 0 && last.endsWith(">") ? last.slice(0, brackets) : last;
}

/** A pattern that no function matches, and the names that come near it. */
export type UnmatchedGlob = { readonly glob: string; readonly near: readonly string[] };

export type Selection = {
  /** Indexes into the names. */
  readonly selected: readonly number[];
  readonly unmatched: readonly UnmatchedGlob[];
};

/**
 * The functions that a filter means, as ftrace's set_ftrace_filter and set_ftrace_notrace do.
 * @param include patterns, one of which must match; without any, every function is meant.
 * @param exclude patterns of functions that are not meant in any case.
 */
export function matchFunctions(
  names: readonly FunctionName[],
  include: readonly string[],
  exclude: readonly string[],
): Selection {
  const excluded = compileGlobs(exclude);
  const tests = include.map((glob) => ({ glob, test: compileGlobs([glob]), used: false }));
  const selected: number[] = [];
  names.forEach((name, index) => {
    let isIncluded = include.length === 0;
    for (const one of tests) {
      // Each pattern is tried, so that one that matches nothing is known.
      if (isIncluded && one.used) continue;
      if (matchesName(one.test, name)) isIncluded = one.used = true;
    }
    if (isIncluded && !matchesName(excluded, name)) selected.push(index);
  });
  const unmatched = tests
    .filter((one) => !one.used)
    .map(({ glob }) => ({ glob, near: nearestNames(glob, names.map(displayName)) }));
  return { selected, unmatched };
}
