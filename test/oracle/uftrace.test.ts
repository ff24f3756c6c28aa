/**
 * The directories that traces are exported to for uftrace, held to uftrace itself: it counts the
 * same calls, and has them in each other in the same way and for the same time.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { writeSyntheticTrace } from "../../bench/synthetic-trace.ts";
import { reportTrace } from "../../src/report/report.ts";
import { eventKind } from "../../src/ring/layout.ts";
import { openTrace } from "../../src/session/open-trace.ts";
import { writeUftrace } from "../../src/session/uftrace-directory.ts";
import type { Trace } from "../../src/trace/trace.ts";
import { historyOf, moves, type TrueCall } from "../support/random-calls.ts";
import { functionNamed, packetOf, packetsOf, traceOf } from "../support/trace-builder.ts";
import { type UftraceCall, uftraceCalls, uftraceCounts } from "../support/uftrace.ts";

const home = mkdtempSync(join(tmpdir(), "patchbay-uftrace-"));
afterAll(() => rmSync(home, { recursive: true }));
let written = 0;

/** Where `trace` was exported to. */
function exported(trace: Trace): string {
  const path = join(home, `data-${++written}`);
  writeUftrace(trace, path);
  return path;
}

const names = ["main", "work", "grün", "operator new"];
const functions = names.map((name, site) =>
  functionNamed(site, name, { linkAddress: BigInt(0x40_1000 + 16 * site) }),
);
const entry = (time: number, site: number) => ({ kind: eventKind.entry, time, site });
const exit = (time: number, site: number) => ({ kind: eventKind.exit, time, site });

describe("what is exported for uftrace", () => {
  it("has every call in its thread, in the calls around it, with its duration", () => {
    const threads = fc.array(moves(60), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(threads, (lists) => {
        // Threads at times of their own: uftrace draws a call that others interrupt in two lines.
        const histories = lists.map((list, i) => historyOf(list, 1000 * (i + 1)));
        const trace = traceOf(
          histories.map(({ events }, i) => ({ tid: 5 + i, packets: packetsOf(events, [9]) })),
          functions,
        );
        const expected = histories.flatMap(({ events, calls }, i) =>
          calls.map((call) => trueCall(call, 5 + i, events.at(-1)?.time ?? 0)),
        );
        // Of nothing at all uftrace says that there is no data.
        fc.pre(expected.length > 0);
        expect(uftraceCalls(exported(trace))).toEqual(expected);
      }),
      { numRuns: 40 },
    );
  });

  it("is counted, and timed, as the report has it", () => {
    const directory = join(home, "synthetic");
    writeSyntheticTrace(directory, { seed: 3, events: 100_000, threads: 4, functions: 30 });
    const trace = openTrace(directory);
    const rows = reportTrace(trace).reports[0]?.functions ?? [];
    const counts = uftraceCounts(exported(trace));
    expect(counts.size).toBe(rows.length);
    for (const row of rows) {
      const found = counts.get(row.name);
      expect([row.name, found?.calls]).toEqual([row.name, row.calls]);
      // Each call's ends are rounded to nanoseconds, the sum to a thousandth of its unit.
      const most = row.calls + row.totalNs / 1000;
      expect(Math.abs((found?.totalNs ?? 0) - row.totalNs)).toBeLessThanOrEqual(most);
    }
  });

  it("has an event where some were lost, and the calls around it go on", () => {
    const trace = traceOf(
      [
        {
          tid: 5,
          packets: [
            packetOf([entry(10, 0), entry(20, 1), entry(30, 2)]),
            packetOf([exit(100, 1), exit(110, 0)], {
              lost: { entries: 0, exits: 1, all: 1 },
              place: 1,
            }),
          ],
        },
      ],
      functions,
    );
    const path = exported(trace);
    expect(uftraceCalls(path)).toEqual([
      { tid: 5, depth: 0, name: "main", ns: 100 },
      { tid: 5, depth: 1, name: "work", ns: 80 },
      { tid: 5, depth: 2, name: "grün", ns: 0 },
    ]);
    const shown = execFileSync("uftrace", ["replay", "-d", path], { encoding: "utf8" });
    expect(shown.match(/patchbay:lost/g)).toHaveLength(1);
  });

  it("keeps apart files of one name, processes, and threads that have had the same id", () => {
    const call = (time: number, site: number) =>
      packetOf([entry(time, site), exit(time + 3, site)]);
    const trace = traceOf(
      [
        { tid: 5, packets: [call(10, 0), call(20, 1)] },
        { tid: 7, pid: 7, packets: [call(40, 2)] },
        { tid: 5, pid: 5, packets: [call(60, 3), packetOf([entry(70, 0)])] },
      ],
      [
        functionNamed(0, "f", { module: "/a b/lib.so", linkAddress: 0x1000n }),
        functionNamed(1, "g", { module: "/c/lib.so", linkAddress: 0x1000n }),
        functionNamed(2, "_ZN1n1hEi", { demangled: "n::h(int)", module: "" }),
        functionNamed(3, "point", { module: "", entriesOnly: true }),
      ],
    );
    const path = exported(trace);
    expect(uftraceCalls(path)).toEqual([
      { tid: 5, depth: 0, name: "f", ns: 3 },
      { tid: 5, depth: 0, name: "g", ns: 3 },
      { tid: 7, depth: 0, name: "n::h", ns: 3 },
      { tid: 5, depth: 0, name: "point", ns: 0 },
      { tid: 5, depth: 0, name: "f", ns: 0 },
    ]);
    expect(readdirSync(path).filter((name) => name.endsWith(".dat"))).toEqual(["5.dat", "7.dat"]);
  });

  it("has calls that an exec or a longjmp leaves, which uftrace would forget", () => {
    const own = [
      functionNamed(0, "f"),
      functionNamed(1, "longjmp"),
      functionNamed(2, "execve"),
      functionNamed(3, "g"),
    ];
    const events = [entry(10, 0), entry(20, 3), entry(30, 1), exit(50, 0), entry(60, 2)];
    const trace = traceOf([{ tid: 5, packets: [packetOf(events)] }], own);
    expect(uftraceCalls(exported(trace))).toEqual([
      { tid: 5, depth: 0, name: "f", ns: 40 },
      { tid: 5, depth: 1, name: "g", ns: 10 },
      { tid: 5, depth: 2, name: "longjmp_", ns: 0 },
      { tid: 5, depth: 0, name: "execve_", ns: 0 },
    ]);
  });

  it("holds recursion that is deeper than uftrace shows without being asked", () => {
    const depth = 5000;
    const enters = Array.from({ length: depth }, (_, i) => entry(i, 0));
    const leaves = Array.from({ length: depth }, (_, i) => exit(depth + i, 0));
    const trace = traceOf([{ tid: 5, packets: [packetOf([...enters, ...leaves])] }], functions);
    const path = exported(trace);
    expect(uftraceCounts(path).get("main")?.calls).toBe(1024);
    expect(uftraceCounts(path, "-D", "65534").get("main")?.calls).toBe(depth);
  });

  it("goes into no directory where something is", () => {
    const path = exported(traceOf([], functions));
    expect(() => writeUftrace(traceOf([], functions), path)).toThrow(/is there already/);
    const other = mkdtempSync(join(home, "other-"));
    writeFileSync(join(other, "text"), "");
    expect(() => writeUftrace(traceOf([], functions), other)).toThrow(/text is there already/);
    expect(readdirSync(other)).toEqual(["text"]);
  });
});

const trueCall = (
  { site, depth, start, end }: TrueCall,
  tid: number,
  last: number,
): UftraceCall => ({
  tid,
  depth,
  name: names[site] ?? "",
  ns: (end ?? last) - start,
});
