/**
 * The data half of the litmus models against the manuals, shape by shape: every edge of
 * `litmus-edges-*.ts` in every shape of two and more threads where all other edges are fences, so
 * that the verdict is that of the edge; and cycles of edges drawn at random.
 */
import { describe, expect, it } from "vitest";
import { ensure } from "../../src/base/assert.ts";
import { runLitmus } from "../../src/index.ts";
import { buildCycle, type CycleTest, type Edge, type Language, shapes } from "./litmus-cycles.ts";
import { aarch64Cycles } from "./litmus-edges-aarch64.ts";
import { riscvCycles } from "./litmus-edges-riscv.ts";
import { x86Cycles } from "./litmus-edges-x86.ts";

const fits = ({ from, to }: Edge, kinds: string): boolean =>
  from.includes(kinds.charAt(0)) && to.includes(kinds.charAt(1));

/** One edge in each thread of the shape that it fits, fences elsewhere. */
function alone(language: Language, shape: string, edge: Edge): CycleTest[] {
  const threads = ensure(shapes[shape], shape);
  return threads.flatMap((kinds, thread) => {
    if (kinds.length < 2 || !fits(edge, kinds)) return [];
    const edges = threads.map((own, at) => {
      if (own.length < 2) return undefined;
      return at === thread ? edge : language.strong;
    });
    return buildCycle(language, shape, edges) ?? [];
  });
}

/** Numbers below `n`, the same in every run (Numerical Recipes' generator). */
function numbers(): (n: number) => number {
  let state = 1;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

function drawn(language: Language, shape: string, count: number): CycleTest[] {
  const below = numbers();
  return Array.from({ length: count }, () => {
    const edges = ensure(shapes[shape], shape).map((kinds) => {
      const fitting = language.edges.filter((edge) => kinds.length === 2 && fits(edge, kinds));
      return fitting[below(fitting.length)];
    });
    return buildCycle(language, shape, edges) ?? [];
  }).flat();
}

/** Tests whose verdict on some machine is not the manual's, with what was found. */
const differing = (tests: readonly CycleTest[], machine: string): string[] =>
  tests.flatMap(({ name, text, verdict }) =>
    runLitmus(text, { machine })
      .filter((result) => result.verdict !== verdict)
      .map((result) => `${name} on ${result.machine}: ${result.verdict}, should be ${verdict}`),
  );

describe.each([
  [aarch64Cycles, "armv8-dic0-idc0"],
  [riscvCycles, "riscv-ziccif"],
  [x86Cycles, "x86-intel"],
] as const)("$arch", (language, machine) => {
  const names = Object.keys(shapes);
  const two = names.filter((name) => shapes[name]?.length === 2);

  it.each(two)("%s: each edge by itself", (shape) => {
    const tests = language.edges.flatMap((edge) => alone(language, shape, edge));
    expect(tests.length).toBeGreaterThan(15);
    expect(new Set(tests.map(({ verdict }) => verdict)).size).toBeGreaterThan(
      language === x86Cycles && !shape.includes("R") && !shape.includes("SB") ? 0 : 1,
    );
    expect(differing(tests, machine)).toEqual([]);
  });

  it("three and four threads: edges at random", () => {
    const more = names.filter((name) => !two.includes(name));
    const tests = more.flatMap((shape) => drawn(language, shape, 12));
    expect(tests.length).toBeGreaterThan(150);
    expect(differing(tests, machine)).toEqual([]);
  });
});
