import { describe, expect, it } from "vitest";
import { type FunctionName, lastComponent, matchFunctions } from "./function-name.ts";

const name = (symbol: string, demangled?: string): FunctionName => ({ symbol, demangled });
const names = [
  name("main"),
  name("_ZN2ns3fooEi", "ns::foo(int)"),
  name("_ZN2ns3barEv", "ns::bar()"),
  name("free"),
];

describe("matchFunctions", () => {
  it("takes every function without a pattern", () => {
    expect(matchFunctions(names, [], []).selected).toEqual([0, 1, 2, 3]);
  });

  it("matches symbols, and demangled names with and without parameters", () => {
    for (const glob of ["_ZN2ns3fooEi", "ns::foo", "ns::foo(int)", "*foo*"]) {
      expect(matchFunctions(names, [glob], []).selected).toEqual([1]);
    }
    expect(matchFunctions(names, ["ns::*", "main"], []).selected).toEqual([0, 1, 2]);
  });

  it("lets what is excluded win", () => {
    expect(matchFunctions(names, ["*"], ["ns::*", "free"]).selected).toEqual([0]);
  });

  it("tells each pattern that matches nothing, with names that are near", () => {
    const { selected, unmatched } = matchFunctions(names, ["main", "mian", "ns::fo", "*"], []);
    expect(selected).toEqual([0, 1, 2, 3]);
    expect(unmatched).toEqual([
      { glob: "mian", near: ["main"] },
      { glob: "ns::fo", near: ["ns::foo(int)"] },
    ]);
  });
});

describe("lastComponent", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["main", "main"],
    ["ns::Foo<a::b>::bar(int) const", "bar"],
    ["void ns::f<int>(int)", "f"],
    ["(anonymous namespace)::g()", "g"],
    ["<a::T as b::U>::go", "go"],
    ["a::generic::<a::main::{closure#0}>", "generic"],
  ];
  for (const [full, last] of cases) {
    it(`of ${full} is ${last}`, () => expect(lastComponent(full)).toBe(last));
  }
});
