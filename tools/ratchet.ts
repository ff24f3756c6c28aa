/**
 * The ratchet: counts of what we want less of, whose limits in `tools/ratchet.json` only ever fall.
 */
import type { Problem } from "./repository.ts";
import type { SourceFile } from "./tidy-rules.ts";
import type { Token } from "./tokens.ts";

/** What is counted, and how to get along with less of it. */
const measures = {
  any: "say `unknown` and narrow it",
  casts: "narrow with a type guard, ensure() or a brand's constructor",
  suppressions: "mend what the rule found",
} as const;

export type Measure = keyof typeof measures;
/** `src`: what is shipped. `rest`: its tests, tools, benchmarks, examples. */
export type Scope = "src" | "rest";
/** By measure, then by scope. */
export type Counts = Readonly<Record<Measure, Readonly<Record<Scope, number>>>>;

export const measureNames: readonly Measure[] = ["any", "casts", "suppressions"];
const scopes: readonly Scope[] = ["src", "rest"];

const scopeOf = (path: string): Scope =>
  path.startsWith("src/") && !path.endsWith(".test.ts") ? "src" : "rest";

/** How often `file` does what is counted. */
export function countIn(file: SourceFile): Readonly<Record<Measure, number>> {
  return {
    any: file.code.filter((_, index) => isAny(file.code, index)).length,
    casts: castsIn(file.code),
    suppressions: file.tokens.filter(
      ({ kind, text }) =>
        kind === "comment" &&
        /(?:oxlint|eslint)-disable|biome-ignore|@ts-(?:expect-error|ignore|nocheck)/.test(text),
    ).length,
  };
}

function isAny(code: readonly Token[], index: number): boolean {
  const { kind, text } = code[index] ?? { kind: "comment", text: "" };
  const before = code[index - 1]?.text ?? "";
  const after = code[index + 1]?.text ?? "";
  return kind === "word" && text === "any" && !/^\??\.$/.test(before) && !/^[(:.]$/.test(after);
}

/** `x as T`, but neither `as const` nor the renaming in imports and exports. */
function castsIn(code: readonly Token[]): number {
  let count = 0;
  let inClause = false;
  code.forEach(({ kind, text }, index) => {
    const before = code[index - 1];
    if (text === "{") {
      const head = before?.text === "type" ? code[index - 2] : before;
      const isDefault = head?.text === "," && /^(?:import|type)$/.test(code[index - 3]?.text ?? "");
      inClause = isDefault || /^(?:import|export)$/.test(head?.text ?? "");
    } else if (text === "}") {
      inClause = false;
    } else if (kind === "word" && text === "as" && !inClause) {
      const endsValue = before?.kind !== "punctuation" || /^[)\]}>!]$/.test(before.text);
      const after = code[index + 1];
      if (endsValue && after?.text !== "const" && !/^[,;:)=(]$/.test(after?.text ?? ";")) count++;
    }
  });
  return count;
}

/** The counts of all files together. */
export function countAll(files: readonly SourceFile[]): Counts {
  const counts = {
    any: { src: 0, rest: 0 },
    casts: { src: 0, rest: 0 },
    suppressions: { src: 0, rest: 0 },
  };
  for (const file of files) {
    const found = countIn(file);
    for (const measure of measureNames) counts[measure][scopeOf(file.path)] += found[measure];
  }
  return counts;
}

const limitsPath = "tools/ratchet.json";
const updateCommand = "npx tsx tools/tidy.ts --update-ratchet";

/** Holds the counts of `files` against `limits`: more is refused, a limit left too high as well. */
export function checkRatchet(
  files: readonly SourceFile[],
  limits: Counts | undefined,
): readonly Problem[] {
  const problem = (message: string): Problem => ({ file: limitsPath, line: 0, message });
  if (limits === undefined) return [problem(`not there: make it with ${updateCommand}`)];
  const counts = countAll(files);
  const problems: Problem[] = [];
  for (const measure of measureNames) {
    for (const scope of scopes) {
      const count = counts[measure][scope];
      const limit = limits[measure][scope];
      const what = `${measure} in ${scope}: ${count}`;
      if (count > limit) {
        const most = mostOf(files, measure, scope);
        problems.push(problem(`${what}, at most ${limit}: ${measures[measure]} (most in ${most})`));
      } else if (count < limit) {
        problems.push(problem(`${what}, so lower the limit of ${limit}: ${updateCommand}`));
      }
    }
  }
  return problems;
}

/** The files with the highest counts, for the message. */
function mostOf(files: readonly SourceFile[], measure: Measure, scope: Scope): string {
  return files
    .filter(({ path }) => scopeOf(path) === scope)
    .map((file) => ({ path: file.path, count: countIn(file)[measure] }))
    .filter(({ count }) => count > 0)
    .sort((a, b) => b.count - a.count)
    .slice(0, 5)
    .map(({ path, count }) => `${path}: ${count}`)
    .join(", ");
}

/** The lower of the limit and the count everywhere; without limits, the counts. */
export function lowerLimits(counts: Counts, limits: Counts | undefined): Counts {
  const lower = (measure: Measure): Record<Scope, number> => ({
    src: Math.min(counts[measure].src, limits?.[measure].src ?? Infinity),
    rest: Math.min(counts[measure].rest, limits?.[measure].rest ?? Infinity),
  });
  return { any: lower("any"), casts: lower("casts"), suppressions: lower("suppressions") };
}
