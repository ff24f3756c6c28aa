/**
 * Signatures from debug information, held to gdb: it prints the same types, and at the entry of
 * functions with random parameters it finds the values that the caller passed where we say they
 * are.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { valuesOf } from "../../src/ftrace/auto-values.ts";
import type { ValuePlace } from "../../src/ftrace/value-spec.ts";
import { openProgramFile } from "../../src/session/program-file.ts";
import { findByName } from "../../src/symbols/symbol-table.ts";
import { outputOf, scratchFolder } from "../support/compile.ts";
import { makeRandom, type Random } from "./random.ts";

const declarations = `
  #include <stdbool.h>
  #include <stdint.h>
  enum color { RED, GREEN = 7, BLUE = 0x7fffff00 };
  enum sign { MINUS = -1, PLUS = 1 };
  struct server { int a; };
  typedef unsigned long size_type;
  struct pair { int a, b; };
  struct floats { float a, b; };
  struct mixed { double a; long b; };
  struct doubles { double a; double b; };
  struct three { long a, b, c; };
  struct packed { char a; struct pair b; float c; };
  struct bits { unsigned a : 3, b : 20; float c; };
  struct many { float a[3]; };
  union either { double a; long b; };
  union numbers { double a; float b[4]; };
`;

/** A type in C, a value of it, and how the value looks in a register; no bits: not recorded. */
type Kind = {
  readonly type: string;
  readonly value: (number: number) => string;
  readonly bits?: (number: number) => readonly [value: bigint, width: number];
};

const whole = (type: string, width: number): Kind => ({
  type,
  value: (number) => `(${type})${number}`,
  bits: (number) => [BigInt.asUintN(width, BigInt(number)), width],
});
const floatBits = (number: number): bigint =>
  BigInt(new Uint32Array(new Float32Array([number]).buffer)[0] ?? 0);
const doubleBits = (number: number): bigint =>
  new BigUint64Array(new Float64Array([number]).buffer)[0] ?? 0n;
const record = (name: string): Kind => ({ type: name, value: () => `(${name}){0}` });

const kinds: readonly Kind[] = [
  whole("char", 8),
  whole("signed char", 8),
  whole("uint8_t", 8),
  whole("short", 16),
  whole("unsigned short", 16),
  whole("int", 32),
  whole("unsigned", 32),
  whole("long", 64),
  whole("size_type", 64),
  whole("const long", 64),
  whole("enum color", 32),
  whole("enum sign", 32),
  whole("struct server *", 64),
  whole("const char *", 64),
  whole("void *", 64),
  { type: "bool", value: () => "1", bits: () => [1n, 8] },
  { type: "float", value: (n) => `${n}.5f`, bits: (n) => [floatBits(n + 0.5), 32] },
  { type: "double", value: (n) => `${n}.5`, bits: (n) => [doubleBits(n + 0.5), 64] },
  { type: "long double", value: (n) => `${n}.5L` },
  { type: "__int128", value: (n) => `${n}` },
  ...["pair", "floats", "mixed", "doubles", "three", "packed", "bits", "many", "server"].map(
    (name) => record(`struct ${name}`),
  ),
  record("union either"),
  record("union numbers"),
];

type Function = {
  readonly name: string;
  readonly result: Kind;
  readonly parameters: readonly Kind[];
};

const functionNames = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, i) => `checked_${i}`);

const randomFunction = (name: string, random: Random): Function => ({
  name,
  result: random.pick(kinds),
  parameters: Array.from({ length: random.below(14) }, () => random.pick(kinds)),
});

const numberOf = (index: number): number => 17 + index * 3;

function sourceOf(functions: readonly Function[], attributes: string): string {
  const definitions = functions.map(({ name, result, parameters }) => {
    const list = parameters.map(({ type }, i) => `${type} p${i}`).join(", ");
    const body = `__asm__ volatile("" ::: "memory"); return ${result.value(1)};`;
    return `${attributes} ${result.type} ${name}(${list}) { ${body} }`;
  });
  const calls = functions.map(({ name, parameters }) => {
    const list = parameters.map(({ value }, i) => value(numberOf(i))).join(", ");
    return `  ${name}(${list});`;
  });
  return `${declarations}${definitions.join("\n")}\nint main(void) {\n${calls.join("\n")}\n}\n`;
}

const stackWords = 40;
const registers = ["$rdi", "$rsi", "$rdx", "$rcx", "$r8", "$r9"];

/** Words at each function's entry: integer registers, vector registers, the stack. */
function entriesByGdb(program: string, names: readonly string[]): ReadonlyMap<string, bigint[]> {
  const words = [
    ...registers,
    ...Array.from({ length: 8 }, (_, i) => `$xmm${i}.v2_int64[0]`),
    ...Array.from({ length: stackWords }, (_, i) => `((unsigned long *)$rsp)[${i + 1}]`),
  ];
  const format = words.map(() => "%lx").join(" ");
  const commands = names.flatMap((name) => [
    `break *(void *)${name}`,
    "commands",
    "silent",
    `printf "AT ${name} ${format}\\n", ${words.join(", ")}`,
    "continue",
    "end",
  ]);
  const script = join(scratchFolder(), "script.gdb");
  writeFileSync(script, ["set pagination off", ...commands, "run", "quit", ""].join("\n"));
  const text = outputOf("gdb", ["-nx", "-batch", "-x", script, program]);
  const lines = text.split("\n").filter((line) => line.startsWith("AT "));
  return new Map(
    lines.map((line) => {
      const [, name = "", ...found] = line.split(" ");
      return [name, found.map((word) => BigInt(`0x${word}`))];
    }),
  );
}

const wordOf = (place: ValuePlace): number => {
  if (place.kind === "argument") return place.index - 1;
  if (place.kind === "floatArgument") return 6 + place.index - 1;
  return 14 + (place.kind === "stackArgument" ? place.index - 1 : 0);
};

/** As gdb writes it, in its own order of words, without qualifiers of results. */
const asGdb = (text: string): string =>
  text
    .replaceAll(/\b(short|long) unsigned int\b/g, "unsigned $1")
    .replaceAll(/\b(short|long) int\b/g, "$1")
    .replace("= const long", "= long")
    .replace("* (", "*(");

describe("signatures from debug information", () => {
  it.each([
    ["gcc", "-O2"],
    ["gcc", "-O0"],
    ["clang", "-O2"],
  ])("say where %s %s passes each value", (compiler, level) => {
    const random = makeRandom();
    const functions = functionNames(60).map((name) => randomFunction(name, random));
    const folder = scratchFolder();
    const source = join(folder, "source.c");
    const program = join(folder, "program");
    const whole = compiler === "gcc" ? "noinline, noipa" : "noinline, optnone";
    writeFileSync(source, sourceOf(functions, `__attribute__((${whole}))`));
    outputOf(compiler, [level, "-g", "-w", source, "-o", program]);
    const file = openProgramFile(program);
    const names = functions.map(({ name }) => name);
    const addresses = names.map((name) => Number(findByName(file.symbols(), name)?.addr ?? 0n));
    const signatures = file.signatures(new Set(addresses));
    const entries = entriesByGdb(program, names);
    let checked = 0;
    for (const [index, { name, parameters }] of functions.entries()) {
      const what = `seed ${random.seed}, ${name}(${parameters.map(({ type }) => type).join(", ")})`;
      const signature = signatures?.bySite.get(addresses[index] ?? 0);
      expect([what, signature?.parameters.length]).toEqual([what, parameters.length]);
      if (signature === undefined) continue;
      for (const { place, name: parameter = "" } of valuesOf(signature).entry) {
        const number = Number(parameter.slice(1));
        const [bits, width] = parameters[number]?.bits?.(numberOf(number)) ?? [0n, 0];
        const word = entries.get(name)?.[wordOf(place)];
        const found = word === undefined ? undefined : BigInt.asUintN(width, word);
        expect([parameter, place, found], what).toEqual([parameter, place, bits]);
        checked++;
      }
    }
    expect(checked).toBeGreaterThan(100);
  });

  it("name types as gdb does, and know the names of enumerations' values", () => {
    const folder = scratchFolder();
    const source = join(folder, "source.c");
    const program = join(folder, "program");
    const functions = kinds.map((kind, i) => ({
      name: `checked_${i}`,
      result: kind,
      parameters: [kind],
    }));
    writeFileSync(source, sourceOf(functions, "__attribute__((noinline, noipa))"));
    outputOf("gcc", ["-O2", "-g", "-w", source, "-o", program]);
    const file = openProgramFile(program);
    const commands = functions.flatMap(({ name }) => ["-ex", `whatis ${name}`]);
    const lines = outputOf("gdb", ["-nx", "-batch", ...commands, program]).split("\n");
    const addressOf = (name: string): number => Number(findByName(file.symbols(), name)?.addr);
    const signatures = file.signatures(new Set(functions.map(({ name }) => addressOf(name))));
    for (const [i, { name }] of functions.entries()) {
      const found = signatures?.bySite.get(addressOf(name));
      const text = `type = ${found?.result.name} (${found?.parameters[0]?.type.name})`;
      expect([name, asGdb(text)]).toEqual([name, lines[i]]);
      const type = found?.parameters[0]?.type;
      if (type?.kind !== "enum") continue;
      const names = signatures?.enumerators(type.at);
      const expected =
        type.name === "enum color"
          ? { 0: "RED", 7: "GREEN", 2147483392: "BLUE" }
          : { [-1]: "MINUS", 1: "PLUS" };
      expect(Object.fromEntries(names ?? [])).toEqual(expected);
    }
  });
});
