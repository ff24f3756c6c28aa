import { describe, expect, it } from "vitest";
import { parseFilter } from "./filter.ts";
import { append, emptyHash, isWaiting, learn, resolve, type Selection, wants } from "./hash.ts";

const functions = [
  { site: 0, names: ["main"], module: "prog" },
  { site: 1, names: ["_ZN1A3getEv", "A::get()", "A::get"], module: "prog" },
  { site: 2, names: ["sqlite3_step"], module: "libsqlite3.so.0" },
  { site: 3, names: ["sqlite3_reset"], module: "libsqlite3.so.0" },
];

/** What a filter's text names, as a list of sites. */
function named(text: string): number[] {
  const parsed = parseFilter(text);
  if (!parsed.ok) throw new Error(parsed.error.problem);
  const terms: Selection = parsed.value.filter((term) => term.kind !== "trigger");
  return [...resolve(terms, functions).sites].sort((a, b) => a - b);
}

describe("filters", () => {
  const cases: readonly (readonly [string, readonly number[]])[] = [
    ["main", [0]],
    ["sqlite3_*", [2, 3]],
    ["sqlite3_* !*_reset", [2]],
    ["!main sqlite3_step", [2]],
    ["2", [1]],
    ["A::get", [1]],
    ["A::*", [1]],
    ["*:mod:libsqlite3*", [2, 3]],
    [":mod:libsqlite3", [2, 3]],
    ["*step:mod:libsqlite3.so.0", [2]],
    ["*:mod:!libsqlite3*", [0, 1]],
    ["A::get:mod:prog", [1]],
  ];
  for (const [text, sites] of cases) {
    it(`takes ${text} as ${sites.join(" ")}`, () => expect(named(text)).toEqual(sites));
  }

  it("waits for libraries that come later, and names their functions then", () => {
    const parsed = parseFilter("*:mod:libplugin !plug_off main");
    if (!parsed.ok) throw new Error(parsed.error.problem);
    const terms: Selection = parsed.value.filter((term) => term.kind !== "trigger");
    expect(isWaiting(terms, functions)).toBe(true);
    const hash = resolve(terms, functions);
    const later = ["plug_on", "plug_off"].map((name, index) => ({
      site: 4 + index,
      names: [name],
      module: "libplugin.so.2",
    }));
    learn(hash, later, functions.length);
    expect([...hash.sites]).toEqual([0, 4]);
    expect(isWaiting(terms, [...functions, ...later])).toBe(false);
  });

  it("reads triggers with their counts", () => {
    const parsed = parseFilter("main:traceoff:0x10 !main:stacktrace");
    expect(parsed.ok && parsed.value).toEqual([
      { kind: "trigger", remove: false, glob: "main", action: "traceoff", count: 16 },
      { kind: "trigger", remove: true, glob: "main", action: "stacktrace", count: undefined },
    ]);
  });

  for (const text of ["main:nothing", "main:traceon:x", ":mod:", "main:mod:a:b", "!"]) {
    it(`refuses ${text} and names it`, () => {
      const parsed = parseFilter(`fine ${text}`);
      expect(parsed.ok ? undefined : parsed.error.word).toBe(text);
    });
  }

  it("appends as >> does, notrace wins, and no filter means everything", () => {
    const step: Selection = [{ kind: "name", remove: false, glob: "sqlite3_step" }];
    const both = append(
      resolve([{ kind: "name", remove: false, glob: "main" }], functions),
      step,
      functions,
    );
    expect([...both.sites]).toEqual([0, 2]);
    expect(wants(both, emptyHash, 2)).toBe(true);
    expect(wants(both, resolve(step, functions), 2)).toBe(false);
    expect(wants(emptyHash, emptyHash, 3)).toBe(true);
  });
});
