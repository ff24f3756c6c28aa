import { describe, expect, it } from "vitest";
import { type Counts, checkRatchet, countAll, countIn, lowerLimits } from "./ratchet.ts";
import { sourceFile } from "./tidy-rules.ts";

const count = (text: string): ReturnType<typeof countIn> => countIn(sourceFile("src/a.ts", text));

const limitsOf = (any: number, casts: number): Counts => ({
  any: { src: any, rest: 0 },
  casts: { src: casts, rest: 0 },
  suppressions: { src: 0, rest: 0 },
});

describe("countIn", () => {
  it("counts any as a type and no other any", () => {
    const text = "let a: any; f<any>(); let b: any[] = c as any; type D = string | any;";
    expect(count(text).any).toBe(5);
    expect(count('// any\nPromise.any(a); "any"; x = { any: 1 }; x.any; any(x);').any).toBe(0);
  });

  it.each([
    ["x as Y", 1],
    ["(x) as unknown as Y", 2],
    ["f<T>() as Y; [] as Y[]; {} as Y; `t` as Y; x! as Y; this as Y", 6],
    ["x as const", 0],
    ['import { a as b, type c as d } from "e";', 0],
    ['import type { a as b } from "e"; export { a as b };', 0],
    ['import d, { a as b } from "e"; import * as f from "f"; export * as g from "g";', 0],
    ['import { a as b } from "e"; const c = d as E;', 1],
    ["export const f = () => { return x as Y; };", 1],
    ["x.as(y); { as: 1 }; const as = 3; // x as Y", 0],
    ['"x as Y"; `x as Y ${z as Z}`', 1],
  ])("counts the casts in %s: %i", (text, casts) => {
    expect(count(text).casts).toBe(casts);
  });

  it("counts suppressions in comments", () => {
    const marks = [
      "oxlint-disable-next-line x",
      "biome-ignore x: y",
      "@ts-expect-error",
      "@ts-ignore",
    ];
    expect(count(marks.map((mark) => `// ${mark}\n`).join("")).suppressions).toBe(4);
    expect(count('"biome-ignore"').suppressions).toBe(0);
  });
});

describe("checkRatchet", () => {
  const files = [
    sourceFile("src/a.ts", "x as Y;"),
    sourceFile("src/b.ts", "x as Y; x as Y; let a: any;"),
    sourceFile("src/b.test.ts", ""),
  ];

  it("passes exactly the limits", () => {
    expect(checkRatchet(files, limitsOf(1, 3))).toEqual([]);
  });

  it("refuses more, naming the worst files and the way out", () => {
    const [problem, ...others] = checkRatchet(files, limitsOf(1, 2));
    expect(others).toEqual([]);
    expect(problem?.message).toMatch(
      /casts in src: 3, at most 2: narrow .*b\.ts: 2, src\/a\.ts: 1/,
    );
  });

  it("refuses a limit above the count, and says how to lower it", () => {
    const [problem, ...others] = checkRatchet(files, limitsOf(9, 3));
    expect(others).toEqual([]);
    expect(problem?.message).toContain("--update-ratchet");
  });

  it("counts tests apart from what is shipped", () => {
    const cast = sourceFile("src/b.test.ts", "x as Y;");
    expect(countAll([...files, cast]).casts).toEqual({ src: 3, rest: 1 });
    expect(checkRatchet([...files, cast], limitsOf(1, 3))).toHaveLength(1);
  });

  it("refuses to do without limits", () => {
    expect(checkRatchet(files, undefined)).toHaveLength(1);
  });
});

describe("lowerLimits", () => {
  it("lowers, and never raises", () => {
    expect(lowerLimits(limitsOf(1, 9), limitsOf(4, 4))).toEqual(limitsOf(1, 4));
    expect(lowerLimits(limitsOf(1, 9), undefined)).toEqual(limitsOf(1, 9));
  });
});
