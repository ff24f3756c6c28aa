import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type History, historyOf, moves, type TrueCall } from "../../test/support/random-calls.ts";
import { functionNamed, packetOf, packetsOf, traceOf } from "../../test/support/trace-builder.ts";
import { eventKind } from "../ring/layout.ts";
import { Histograms } from "./histograms.ts";
import { formatReport, reportTrace } from "./report.ts";
import { plain } from "./table.ts";

const names = ["zero", "one", "two", "three"];
const functions = names.map((name, site) => functionNamed(site, name));

/** The same numbers, worked out from the calls themselves, one by one. */
function expected(histories: readonly History[], site: number): Readonly<Record<string, number>> {
  let totalNs = 0;
  const calls: { readonly call: TrueCall; readonly end: number }[] = [];
  for (const { events, calls: all } of histories) {
    const last = events.at(-1)?.time ?? 0;
    const own = all
      .filter((call) => call.site === site)
      .map((call) => ({ call, end: call.end ?? last }));
    calls.push(...own);
    // Time is covered once, however many calls of the function are open: a tick at a time.
    const covered = new Set<number>();
    for (const { call, end } of own) for (let t = call.start; t < end; t++) covered.add(t);
    totalNs += covered.size;
  }
  const complete = calls.filter(({ call }) => call.end !== undefined);
  const durations = complete.map(({ call, end }) => end - call.start);
  return {
    site,
    calls: calls.length,
    complete: complete.length,
    totalNs,
    selfNs: calls.reduce((sum, { call }) => sum + call.self, 0),
    ...(complete.length === 0
      ? {}
      : {
          meanNs: durations.reduce((sum, ns) => sum + ns, 0) / complete.length,
          minNs: Math.min(...durations),
          maxNs: Math.max(...durations),
        }),
  };
}

describe("a report", () => {
  it("has the numbers of the calls that were made, recursion counted once in total", () => {
    const threads = fc.array(moves(120), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(threads, (lists) => {
        const histories = lists.map((list) => historyOf(list));
        const trace = traceOf(
          histories.map(({ events }, i) => ({ tid: i + 1, packets: packetsOf(events, [7, 30]) })),
          functions,
        );
        const found = reportTrace(trace).reports[0]?.functions ?? [];
        for (const f of found) {
          const { meanNs, ...exact } = expected(histories, f.site);
          expect(f).toMatchObject(exact);
          if (meanNs !== undefined) expect(f.meanNs).toBeCloseTo(meanNs, 6);
        }
        const called = new Set(histories.flatMap((h) => h.calls.map((call) => call.site)));
        expect(new Set(found.map((f) => f.site))).toEqual(called);
        const order = found.map((f) => f.totalNs);
        expect(order).toEqual(order.toSorted((a, b) => b - a));
      }),
    );
  });

  const entry = (time: number, site: number) => ({ kind: eventKind.entry, time, site });
  const exit = (time: number, site: number) => ({ kind: eventKind.exit, time, site });
  const trace = traceOf(
    [
      {
        tid: 7,
        name: "main",
        packets: [
          packetOf([exit(0, 2), entry(0, 0), entry(1000, 1), exit(4000, 1), exit(10_000, 0)]),
          packetOf([entry(20_000, 3)], { lost: { entries: 2, exits: 1, all: 3 }, place: 1 }),
        ],
      },
      { tid: 8, name: "other", packets: [packetOf([entry(5000, 1), exit(6000, 1)])] },
      { tid: 9, name: "idle", packets: [] },
    ],
    functions,
  );

  it("is a table with what was lost below", () => {
    expect(formatReport(reportTrace(trace), 3, plain)).toEqual([
      "   total      self  self%  calls      mean       min" +
        "       p50       p99       max  function",
      "10.00 us  7.000 us  63.6%      1  10.00 us  10.00 us  10.00 us  10.00 us  10.00 us  zero",
      "4.000 us  4.000 us  36.4%      2  2.000 us  1.000 us  1.024 us  3.000 us  3.000 us  one",
      "       -         -   0.0%      1         -         -         -         -         -  three",
      "",
      "8 events of 2 threads in 20.00 us",
      "1 exit of calls whose entry is not in the trace: they began before it, or it was lost",
      "3 events lost in 1 thread (2 entries, 1 exit): " +
        "no duration is given where one of them could change it",
    ]);
  });

  it("can be of each thread, of some threads, of some functions, in another order", () => {
    const each = reportTrace(trace, { perThread: true, sort: "calls" });
    expect(each.reports.map((r) => [r.tid, r.name, r.functions.map((f) => f.name)])).toEqual([
      [7, "main", ["zero", "one", "three"]],
      [8, "other", ["one"]],
    ]);
    const one = reportTrace(trace, { threads: [8] });
    expect(one.reports[0]?.functions).toMatchObject([{ name: "one", calls: 1 }]);
    const some = reportTrace(trace, { include: ["*o*", "three"], exclude: ["zero"] });
    expect(some.reports[0]?.functions.map((f) => f.name)).toEqual(["one", "three"]);
    expect(formatReport(some, 1, plain)).toContain("... and 1 function more");
  });

  it("refuses names and threads that are not there, with what is near", () => {
    expect(() => reportTrace(trace, { include: ["thre"] })).toThrow(/near to it: three/);
    expect(() => reportTrace(trace, { threads: [10] })).toThrow(/it has 7, 8/);
  });

  it("of functions of which entries alone are recorded counts their calls", () => {
    const counted = traceOf(
      [{ tid: 1, packets: [packetOf([entry(1, 0), entry(2, 0), entry(3, 1), exit(4, 1)])] }],
      [functionNamed(0, "zero", { entriesOnly: true }), functionNamed(1, "one")],
    );
    const report = reportTrace(counted);
    expect(report.reports[0]?.functions).toMatchObject([
      { name: "one", calls: 1, totalNs: 1 },
      { name: "zero", calls: 2, complete: 0, totalNs: 0, meanNs: undefined },
    ]);
    expect(formatReport(report, 9, plain)[2]).toMatch(/^ +- +- +0.0% +2 +- +- +- +- +- {2}zero$/);
  });

  it("takes sites that the trace does not name", () => {
    const far = 2 ** 24 - 2;
    const odd = traceOf([{ tid: 1, packets: [packetOf([entry(1, far), exit(5, far)])] }]);
    expect(reportTrace(odd).reports[0]?.functions).toMatchObject([
      { site: far, name: `site ${far}`, totalNs: 4 },
    ]);
  });
});

describe("histograms", () => {
  it("know quantiles to a sixteenth", () => {
    const durations = fc.array(
      fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 2 ** 37 })),
      { minLength: 1, maxLength: 200, size: "max" },
    );
    fc.assert(
      fc.property(durations, fc.double({ min: 0, max: 1, noNaN: true }), (list, share) => {
        const histograms = new Histograms(2);
        for (const ticks of list) histograms.add(1, ticks);
        const sorted = list.toSorted((a, b) => a - b);
        const exact = sorted[Math.max(0, Math.ceil(share * list.length) - 1)] ?? 0;
        const found = histograms.quantile(1, share);
        // A bucket is an eighth of a power of two wide.
        expect(found).toBeGreaterThanOrEqual(exact / 1.125);
        expect(found).toBeLessThanOrEqual(Math.max(exact * 1.125, 1.125));
        expect(histograms.quantile(0, share)).toBe(0);
      }),
    );
  });

  it("count further than their counters go", () => {
    const histograms = new Histograms(1);
    for (let call = 0; call < 300_000; call++) histograms.add(0, call < 200_000 ? 10 : 1000);
    expect(histograms.quantile(0, 0.6)).toBeLessThan(11.25);
    expect(histograms.quantile(0, 0.7)).toBeGreaterThan(900);
  });

  it("keep their counts when they grow, and take what is too short or too long", () => {
    const histograms = new Histograms(1);
    for (const ticks of [0, 0, 2 ** 60]) histograms.add(0, ticks);
    histograms.grow(100);
    histograms.add(99, 1000);
    expect(histograms.quantile(0, 0.5)).toBeLessThanOrEqual(1.125);
    expect(histograms.quantile(0, 1)).toBe(2 ** 38);
    expect(histograms.quantile(99, 0.5)).toBeCloseTo(1000, -2);
  });
});
