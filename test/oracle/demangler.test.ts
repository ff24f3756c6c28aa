/** Demangled names of compiled programs, against binutils' c++filt. */
import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { demangleCxx } from "../../src/os/cxa-demangle.ts";
import { bareName, demangleRust, makeDemangler } from "../../src/symbols/demangler.ts";
import { compile, hasTool, linesOf, outputOf } from "../support/compile.ts";

const symbolsOf = (path: string, ...flags: readonly string[]): string[] => [
  ...new Set(linesOf(outputOf("nm", [...flags, path])).map((line) => line.split(" ").at(-1) ?? "")),
];

/** What c++filt writes that we leave out: crate hashes, types of constants. */
const withoutRustDetails = (name: string): string =>
  name
    .replace(/\[[0-9a-f]{1,16}\]/g, "")
    .replace(/::h[0-9a-f]{16}/, "")
    .replace(/: (usize|isize|[ui](8|16|32|64|128)|bool|char)(?=[>\],)])/g, "");

describe.skipIf(!["rustc", "nm", "c++filt"].every(hasTool))("Rust names", () => {
  for (const version of ["legacy", "v0"]) {
    it(`are c++filt's: ${version}`, () => {
      const mangling = `-Csymbol-mangling-version=${version}`;
      const flags = ["-O", mangling, ...(version === "legacy" ? ["-Zunstable-options"] : [])];
      process.env["RUSTC_BOOTSTRAP"] = "1";
      const path = compile("rustc", flags, "names.rs");
      const names = symbolsOf(path).filter((name) => /^_R|^_ZN.*17h[0-9a-f]{16}E/.test(name));
      expect(names.length).toBeGreaterThan(20);
      const theirs = linesOf(outputOf("c++filt", ["-s", "rust"], names.join("\n")));
      const wrong = names.flatMap((raw, i) => {
        const ours = demangleRust(raw);
        const expected = withoutRustDetails(theirs[i] ?? "");
        return ours === expected ? [] : [`${raw}: ${ours}, c++filt says ${expected}`];
      });
      expect(wrong).toEqual([]);
    });
  }
});

const cxxLibrary = "/usr/lib/x86_64-linux-gnu/libstdc++.so.6";

describe.skipIf(!["g++", "nm", "c++filt"].every(hasTool))("C++ names", () => {
  const demangle = makeDemangler(demangleCxx);

  function expectLikeCxxfilt(names: readonly string[]): void {
    // c++filt writes std::string out in full unless told not to.
    const theirs = linesOf(outputOf("c++filt", ["--no-verbose"], names.join("\n")));
    const wrong = names.flatMap((raw, i) => {
      const ours = demangle(raw);
      return ours === theirs[i] ? [] : [`${raw}: ${ours}, c++filt says ${theirs[i]}`];
    });
    expect(wrong).toEqual([]);
  }

  it("are c++filt's in a program with cold parts and copies", () => {
    const path = compile("g++", ["-O2"], "names.cpp");
    const names = symbolsOf(path, "--defined-only").filter((name) => /^_Z[^@]*$/.test(name));
    expect(names.some((name) => name.includes(".cold"))).toBe(true);
    expectLikeCxxfilt(names);
  });

  it.skipIf(!existsSync(cxxLibrary))("are c++filt's in the C++ library itself", () => {
    const names = symbolsOf(cxxLibrary, "-D", "--defined-only")
      .map((name) => name.replace(/@.*/, ""))
      .filter((name) => name.startsWith("_Z"));
    expect(names.length).toBeGreaterThan(3000);
    expectLikeCxxfilt(names);
    // c++filt can leave parameters out, though not return types: a bare name ends as it does.
    const noParameters = linesOf(outputOf("c++filt", ["--no-verbose", "-p"], names.join("\n")));
    const wrong = names.flatMap((raw, i) => {
      const full = demangle(raw);
      const theirs = noParameters[i] ?? "";
      if (!full.includes("(") || theirs === full || full.includes(" for ")) return [];
      const ours = bareName(full);
      return theirs.endsWith(ours) ? [] : [`${full}: ${ours}, c++filt -p says ${theirs}`];
    });
    expect(wrong).toEqual([]);
  });
});
