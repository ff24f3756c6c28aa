import { describe, expect, it } from "vitest";
import { bareName, demangleRust, makeDemangler } from "./demangler.ts";
import { decodePunycode } from "./punycode.ts";

describe("demangleRust", () => {
  // Names and their meanings as RFC 2603 and the compiler's documentation give them.
  const names: readonly (readonly [string, string])[] = [
    ["_RNvCs4fqI2P2rA04_7mycrate3foo", "mycrate::foo"],
    ["_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar"],
    ["_RNCNvCsgStHSCytQ6I_7mycrate4main0B3_", "mycrate::main::{closure#0}"],
    ["_RINvCs1_7mycrate3fooReE", "mycrate::foo::<&str>"],
    ["_RNvXs_Cs1_7mycrateNtB4_3FooNtB4_3Bar3baz", "<mycrate::Foo as mycrate::Bar>::baz"],
    [
      "_RNqCs4fqI2P2rA04_11utf8_identsu30____7hkackfecea1cbdathfdh9hlq6y",
      "utf8_idents::საჭმელად_გემრიელი_სადილი",
    ],
    ["_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad"],
    [
      "_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$$GT$3bar" +
        "17h930b740aa94f1d3aE",
      "<Test + 'static as foo::Bar<Test>>::bar",
    ],
  ];
  for (const [raw, name] of names) {
    it(`reads ${name}`, () => expect(demangleRust(raw)).toBe(name));
  }

  it("leaves other names alone, and broken ones", () => {
    for (const raw of ["main", "_ZN3foo3barEv", "_R", "_RNv", "_RNvC1", "_RX", "_RYB_B_", "_RB_"]) {
      expect(demangleRust(raw)).toBeUndefined();
    }
  });

  it("gives up on names whose back references print without end", () => {
    // Each tuple holds the one before it twice.
    let name = "_RIC1fT";
    let last = name.length - 3;
    name += "uuE";
    for (let i = 0; i < 30; i++) {
      const reference = `B${last > 0 ? (last - 1).toString(36) : ""}_`;
      last = name.length - 2;
      name += `T${reference}${reference}E`;
    }
    expect(demangleRust(`${name}E`)).toBeUndefined();
  });
});

describe("decodePunycode", () => {
  it("reads the RFC's examples", () => {
    expect(decodePunycode("", "ihqwcrb4cv8a8dqg056pqjye")).toBe("他们为什么不说中文");
    expect(decodePunycode("bcher", "kva")).toBe("bücher");
    expect(decodePunycode("a", "!")).toBeUndefined();
  });
});

describe("makeDemangler", () => {
  const cxx = (raw: string): string | undefined => (raw === "_Z3foov" ? "foo()" : undefined);
  const demangle = makeDemangler(cxx);

  it("keeps what a compiler appended to a part or copy", () => {
    expect(demangle("_Z3foov")).toBe("foo()");
    expect(demangle("_Z3foov.cold")).toBe("foo() [clone .cold]");
    expect(demangle("_Z3foov.isra.0.part.1")).toBe("foo() [clone .isra.0.part.1]");
  });

  it("leaves names that are not mangled as they are", () => {
    expect(demangle("main.cold")).toBe("main.cold");
    expect(demangle("_Z")).toBe("_Z");
  });
});

describe("bareName", () => {
  const names: readonly (readonly [string, string])[] = [
    ["main", "main"],
    ["ns::f(int)", "ns::f"],
    ["void ns::f<int>(int)", "ns::f<int>"],
    ["std::vector<int>::size() const", "std::vector<int>::size"],
    ["(anonymous namespace)::f(int)", "(anonymous namespace)::f"],
    ["int ns::(anonymous namespace)::g<(E)3>(int)", "ns::(anonymous namespace)::g<(E)3>"],
    ["A::operator()(int) const", "A::operator()"],
    ["A::operator bool() const", "A::operator bool"],
    ["operator new(unsigned long)", "operator new"],
    ["f(int) [clone .cold]", "f"],
    [
      "main::{lambda(int, int)#1}::operator()(int, int) const",
      "main::{lambda(int, int)#1}::operator()",
    ],
    ["f(void (*)(int))", "f"],
    ["core::fmt::Formatter::pad", "core::fmt::Formatter::pad"],
    ["a::f::<fn() -> u8, <T as U>::V>", "a::f"],
    ["<a::T<u8> as b::U>::go", "<a::T<u8> as b::U>::go"],
  ];
  for (const [name, bare] of names) {
    it(`${name} is ${bare}`, () => expect(bareName(name)).toBe(bare));
  }
});
