import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  functionNamed,
  packetsOf,
  type TestEvent,
  traceOf,
} from "../../test/support/trace-builder.ts";
import { eventKind } from "../ring/layout.ts";
import type { Trace } from "../trace/trace.ts";
import { diffTraces, formatDiff } from "./diff.ts";
import { tailProbability } from "./student.ts";
import { plain } from "./table.ts";

describe("Student's distribution", () => {
  // The usual table of two-sided critical values (e.g. Fisher and Yates, table III).
  it.each([
    [1, 12.706, 0.05],
    [2, 4.303, 0.05],
    [5, 2.571, 0.05],
    [10, 2.228, 0.05],
    [30, 2.042, 0.05],
    [10, 3.169, 0.01],
    [30, 2.75, 0.01],
    [5, 6.869, 0.001],
    [120, 1.658, 0.1],
    [1, 1, 0.5],
  ])("with %d degrees of freedom exceeds %d with probability %d", (freedom, t, probability) => {
    expect(tailProbability(t, freedom) / probability).toBeCloseTo(1, 2);
    expect(tailProbability(-t, freedom)).toBe(tailProbability(t, freedom));
  });

  it("has its limits", () => {
    expect(tailProbability(0, 7)).toBe(1);
    expect(tailProbability(Infinity, 7)).toBe(0);
    expect(tailProbability(1e9, 7)).toBeLessThan(1e-20);
  });
});

/** Numbers between 0 and 1 that depend on the seed alone. */
function chance(seed: number): () => number {
  let state = (seed * 0x9e37_79b9) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/**
 * Calls of some functions whose durations vary with a noise that lasts for a while, as real noise
 * does; `factor` makes one of them slower.
 */
function noisyTrace(seed: number, functions: number, slow: number, factor: number): Trace {
  const random = chance(seed);
  const events: TestEvent[] = [];
  let time = 0;
  let weather = 1;
  for (let i = 0; i < 3000; i++) {
    weather = 0.98 * weather + 0.02 * (0.5 + random());
    const site = Math.floor(random() * functions);
    const duration = 100 * (site + 1) * weather * (0.5 + random()) * (site === slow ? factor : 1);
    events.push({ kind: eventKind.entry, time, site });
    time += Math.round(duration);
    events.push({ kind: eventKind.exit, time, site });
    time += Math.round(100 * random());
  }
  const named = Array.from({ length: functions }, (_, site) => functionNamed(site, `f${site}`));
  return traceOf([{ tid: 1, packets: packetsOf(events, [1000, 1000]) }], named);
}

describe("a comparison of two traces", () => {
  it("takes noise for noise", () => {
    let changes = 0;
    for (let seed = 1; seed <= 40; seed++) {
      const rows = diffTraces(noisyTrace(seed, 10, -1, 1), noisyTrace(seed + 1000, 10, -1, 1));
      changes += rows.filter((row) => row.verdict !== "same").length;
      expect(rows).toHaveLength(10);
    }
    // 400 functions were looked at.
    expect(changes).toBeLessThanOrEqual(8);
  });

  it("finds the function that became slower, or faster, and by how much", () => {
    fc.assert(
      fc.property(fc.nat({ max: 9 }), fc.constantFrom(0.6, 1.7), fc.nat(), (slow, factor, seed) => {
        const a = noisyTrace(seed, 10, -1, 1);
        const rows = diffTraces(a, noisyTrace(seed + 1, 10, slow, factor));
        const row = rows.find((one) => one.name === `f${slow}`);
        expect(row?.verdict).toBe(factor > 1 ? "slower" : "faster");
        expect(row?.ratio).toBeGreaterThan(factor * 0.75);
        expect(row?.ratio).toBeLessThan(factor * 1.3);
      }),
      { numRuns: 20 },
    );
  });

  it("goes by names, and says what is in one trace only or too rare", () => {
    const call = (site: number, time: number): TestEvent[] => [
      { kind: eventKind.entry, time, site },
      { kind: eventKind.exit, time: time + 5, site },
    ];
    const one = (names: readonly string[]): Trace =>
      traceOf(
        [
          {
            tid: 1,
            packets: packetsOf(
              names.flatMap((_, i) => call(i, i * 10)),
              [],
            ),
          },
        ],
        names.map((name, site) => functionNamed(site, name)),
      );
    const rows = diffTraces(one(["old", "both"]), one(["both", "new"]));
    expect(new Map(rows.map((row) => [row.name, row.verdict]))).toEqual(
      new Map([
        ["both", "too few"],
        ["new", "only in b"],
        ["old", "only in a"],
      ]),
    );
    expect(formatDiff(rows, false, plain)).toEqual([
      "verdict    change    self a    self b  calls a  calls b  function",
      "only in b       -         -  5.000 ns        0        1  new",
      "only in a       -  5.000 ns         -        1        0  old",
      "",
      "0 functions took as long in both traces, as far as their noise lets see",
      "1 function had calls in too few parts of a trace to tell",
      "self: mean time of a call without what it calls",
    ]);
    expect(formatDiff(rows, true, plain)[3]).toMatch(/^too few +\+0.0% .* both$/);
  });
});
