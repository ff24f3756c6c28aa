/**
 * Patterns for function names with the meaning that they have in ftrace's set_ftrace_filter
 * (kernel/trace/ftrace.c, lib/glob.c): `*` any text, `?` one character, `[a-c]` and `[!a-c]` one
 * of a class, `\` takes the next character as it is. The whole name has to match.
 */

const special = /[\\^$.*+?()[\]{}|/-]/g;
const quote = (text: string): string => text.replace(special, "\\$&");

/** One class as a regular expression; undefined when the bracket is never closed. */
function classAt(pattern: string, at: number): { source: string; end: number } | undefined {
  let from = at + 1;
  const negated = pattern[from] === "!";
  if (negated) from++;
  // A bracket that comes first is a member of the class.
  const end = pattern.indexOf("]", from + 1);
  if (end < 0) return undefined;
  const members = pattern.slice(from, end).replace(/[\\^\][]/g, "\\$&");
  return { source: `[${negated ? "^" : ""}${members}]`, end };
}

function toRegExp(pattern: string): RegExp {
  let source = "";
  for (let at = 0; at < pattern.length; at++) {
    const c = pattern[at] ?? "";
    if (c === "*") source += ".*";
    else if (c === "?") source += ".";
    else if (c === "\\") source += quote(pattern[++at] ?? "\\");
    else if (c === "[") {
      const found = classAt(pattern, at);
      source += found?.source ?? "\\[";
      at = found?.end ?? at;
    } else source += quote(c);
  }
  return new RegExp(`^${source}$`, "su");
}

/** Whether a name matches one pattern. */
export type NameTest = (name: string) => boolean;

/** Compiles a pattern; names without a special character are compared as they are. */
export function compileGlob(pattern: string): NameTest {
  if (!/[*?[\\]/.test(pattern)) return (name) => name === pattern;
  try {
    const expression = toRegExp(pattern);
    return (name) => expression.test(name);
  } catch {
    // A range that goes backwards matches nothing, as in the kernel.
    return () => false;
  }
}

/** Whether a name matches one of several patterns. */
export function compileGlobs(patterns: readonly string[]): NameTest {
  const exact = new Set(patterns.filter((pattern) => !/[*?[\\]/.test(pattern)));
  const tests = patterns.filter((pattern) => !exact.has(pattern)).map(compileGlob);
  return (name) => exact.has(name) || tests.some((test) => test(name));
}

/** Levenshtein distance of `a` and `b`, or `limit` when it is not below that. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    let best = i;
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const value = Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1);
      next.push(value);
      best = Math.min(best, value);
    }
    if (best >= limit) return limit;
    row = next;
  }
  return Math.min(limit, row[b.length] ?? limit);
}

/**
 * The names nearest to what somebody wrote, at most `count`, the nearest first: those that
 * contain it, then those within a third of its length by edit distance.
 */
export function nearestNames(wanted: string, names: Iterable<string>, count = 3): string[] {
  const word = wanted.replace(/[*?\\[\]!]/g, "").toLowerCase();
  if (word === "") return [];
  const limit = Math.max(2, Math.ceil(word.length / 3) + 1);
  const found = new Map<string, number>();
  for (const name of names) {
    const lower = name.toLowerCase();
    const distance = editDistance(word, lower, limit);
    // A name that holds the word is near by how much else it holds, but behind a typing slip.
    const score = lower.includes(word) ? 1 + (name.length - word.length) / 1000 : distance;
    if (score < limit) found.set(name, score);
  }
  const sorted = [...found].sort((a, b) => a[1] - b[1] || (a[0] < b[0] ? -1 : 1));
  return sorted.slice(0, count).map(([name]) => name);
}
