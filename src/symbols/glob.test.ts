import { describe, expect, it } from "vitest";
import { compileGlob, compileGlobs, nearestNames } from "./glob.ts";

describe("compileGlob", () => {
  const matches: readonly (readonly [string, string, boolean])[] = [
    ["read", "read", true],
    ["read", "reads", false],
    ["sqlite3*", "sqlite3_step", true],
    ["*alloc", "malloc", true],
    ["*all*", "malloc", true],
    ["m?lloc", "malloc", true],
    ["m?lloc", "mlloc", false],
    ["[a-c]x", "bx", true],
    ["[!a-c]x", "bx", false],
    ["[!a-c]x", "dx", true],
    ["[^]x", "^x", true],
    ["[]]x", "]x", true],
    ["a[b", "a[b", true],
    ["a\\*", "a*", true],
    ["a\\*", "ab", false],
    ["operator()*", "operator()(int)", true],
    ["std::*::push_back", "std::vector<int>::push_back", true],
    ["[z-a]", "m", false],
  ];
  for (const [pattern, name, expected] of matches) {
    it(`${pattern} ${expected ? "matches" : "does not match"} ${name}`, () => {
      expect(compileGlob(pattern)(name)).toBe(expected);
    });
  }
});

it("takes a name that any of several patterns matches", () => {
  const test = compileGlobs(["a", "b*"]);
  expect(["a", "ab", "bc", "c"].filter(test)).toEqual(["a", "bc"]);
});

it("suggests names by typing slips and by what they contain", () => {
  const names = ["sqlite3_step", "sqlite3_prepare_v2", "main", "btreeInsert"];
  expect(nearestNames("sqlite3_stpe", names)).toEqual(["sqlite3_step"]);
  expect(nearestNames("prepare", names)).toEqual(["sqlite3_prepare_v2"]);
  expect(nearestNames("zzzzzz", names)).toEqual([]);
});
