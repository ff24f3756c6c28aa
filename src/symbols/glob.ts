/**
 * Patterns for function names with the meaning that they have in ftrace's set_ftrace_filter
 * (kernel/trace/ftrace.c, lib/glob.c): `*` any text, `?` one character, `[a-c]` and `[!a-c]` one
 * of a class, `\` takes the next character as it is. The whole name has to match.
 */

/** Whether a name matches one pattern. */
export type NameTest = (name: string) => boolean;

/** One place of a pattern: a test for one character, or `*`. */
type Token = ((char: string) => boolean) | "any text";

/** A class and where it ends; undefined when the bracket is never closed: then it is a bracket. */
function classAt(pattern: string, at: number): { test: Token; end: number } | undefined {
  const negated = pattern[at + 1] === "!";
  const ranges: (readonly [string, string])[] = [];
  // A bracket that comes first is a member of the class.
  for (let i = at + (negated ? 2 : 1), first = true; i < pattern.length; i++, first = false) {
    const from = pattern[i] ?? "";
    if (from === "]" && !first) {
      const test = (char: string): boolean =>
        ranges.some(([low, high]) => low <= char && char <= high) !== negated;
      return { test, end: i };
    }
    const to = pattern[i + 1] === "-" ? pattern[i + 2] : undefined;
    if (to !== undefined && to !== "]") i += 2;
    ranges.push([from, to === undefined || to === "]" ? from : to]);
  }
  return undefined;
}

function tokensOf(pattern: string): readonly Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const c = pattern[at] ?? "";
    const found = c === "[" ? classAt(pattern, at) : undefined;
    if (found !== undefined) {
      tokens.push(found.test);
      at = found.end;
    } else if (c === "*") tokens.push("any text");
    else if (c === "?") tokens.push(() => true);
    else {
      const literal = c === "\\" ? (pattern[++at] ?? c) : c;
      tokens.push((char) => char === literal);
    }
  }
  return tokens;
}

/**
 * Whether `tokens` match the whole of `name`. On a mismatch the last `*` takes one character more;
 * earlier ones never have to, so the time is the product of the lengths at the most.
 */
function matchTokens(tokens: readonly Token[], name: string): boolean {
  let token = 0;
  let at = 0;
  let star = -1;
  let starAt = 0;
  while (at < name.length) {
    const test = tokens[token];
    if (test === "any text") {
      star = token++;
      starAt = at;
    } else if (test?.(name[at] ?? "")) {
      token++;
      at++;
    } else if (star >= 0) {
      token = star + 1;
      at = ++starAt;
    } else {
      return false;
    }
  }
  while (tokens[token] === "any text") token++;
  return token === tokens.length;
}

/** Compiles a pattern; names without a special character are compared as they are. */
export function compileGlob(pattern: string): NameTest {
  if (!/[*?[\\]/.test(pattern)) return (name) => name === pattern;
  const tokens = tokensOf(pattern);
  return (name) => matchTokens(tokens, name);
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
