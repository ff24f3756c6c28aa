import { assert, constantFrom, property, string } from "fast-check";
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
    ["operator-*", "operator->", true],
    ["[a-]x", "-x", true],
    ["[", "[", true],
    ["a\\", "a\\", true],
    ["a*b*c", "axxbyyc", true],
    ["a*b*c", "axxcyyb", false],
    ["*", "", true],
    ["?*", "", false],
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

it("agrees with a search through all ways to match", () => {
  /** Straight from the meaning: every split of the name is tried. */
  const matchesNaively = (pattern: string, name: string): boolean => {
    if (pattern === "") return name === "";
    const rest = pattern.slice(1);
    if (pattern[0] === "*") {
      return matchesNaively(rest, name) || (name !== "" && matchesNaively(pattern, name.slice(1)));
    }
    return name !== "" && (pattern[0] === "?" || pattern[0] === name[0])
      ? matchesNaively(rest, name.slice(1))
      : false;
  };
  const text = (letters: readonly string[]) =>
    string({ unit: constantFrom(...letters), maxLength: 10 });
  assert(
    property(text(["a", "b", "*", "?"]), text(["a", "b"]), (pattern, name) => {
      expect(compileGlob(pattern)(name)).toBe(matchesNaively(pattern, name));
    }),
  );
});

it("matches a pattern of many stars in no time", () => {
  const test = compileGlob(`${"*a".repeat(40)}*b`);
  expect(test("a".repeat(5000))).toBe(false);
});
