import { describe, expect, it } from "vitest";
import { functionNamed, packetOf, traceOf } from "../../test/support/trace-builder.ts";
import { eventKind } from "../ring/layout.ts";
import type { Fork } from "../trace/forks.ts";
import type { Trace } from "../trace/trace.ts";
import { traceThreads } from "../trace/trace-reader.ts";
import { exporters } from "./exporters.ts";
import { formatGraph, formatGraphJson } from "./graph.ts";
import { formatInfo, readInfo } from "./info.ts";
import { forksOf } from "./processes.ts";
import { plain } from "./table.ts";

const call = (from: number, to: number, site: number) =>
  packetOf([
    { kind: eventKind.entry, time: from, site },
    { kind: eventKind.exit, time: to, site },
  ]);

/** Thread 100 is in `serve` from 1000 to 9000 and forks 7 there, which is in `work`. */
const serving = [
  { tid: 100, name: "server", packets: [call(1000, 9000, 0)] },
  { tid: 7, pid: 7, name: "child", packets: [call(5000, 6000, 1)] },
];
const withForks = (...forks: readonly Fork[]): Trace => ({
  ...traceOf(serving, [functionNamed(0, "serve"), functionNamed(1, "work")]),
  forks,
});
const known = { pid: 7, parent: 100, thread: 100, ticks: 4000n };
const found = (trace: Trace) => forksOf(trace, traceThreads(trace));

describe("forks", () => {
  it("lead from the thread that forks to the child's first, at their time", () => {
    const fork = { pid: 7, parent: 100, thread: 100, time: 3000, from: 0, to: 1 };
    expect(found(withForks(known))).toEqual([fork]);
  });

  it("have no beginning where nobody knows who forked, or when, or before its first event", () => {
    const beginnings = [
      { pid: 7, parent: 100 },
      { pid: 7, thread: 100 },
      { ...known, thread: 99 },
      { ...known, ticks: 900n },
    ].map((fork) => found(withForks(fork))[0]?.from);
    expect(beginnings).toEqual([undefined, undefined, undefined, undefined]);
  });

  it("tell processes and threads apart that had the same number", () => {
    const trace = traceOf(
      [
        { tid: 100, packets: [call(1000, 1500, 0)] },
        { tid: 7, pid: 7, packets: [call(2000, 2100, 1)] },
        { tid: 100, packets: [call(3000, 3900, 0)] },
        { tid: 7, pid: 7, packets: [call(5000, 5100, 1)] },
      ],
      [functionNamed(0, "serve"), functionNamed(1, "work")],
    );
    const forks = [{ ...known, ticks: 1400n }, known];
    const ends = found({ ...trace, forks }).map(({ from, to }) => [from, to]);
    expect(ends).toEqual([
      [0, 1],
      [2, 3],
    ]);
  });

  it("are in a graph within the call that forked, before what the child does", () => {
    const lines = [...formatGraph(withForks(known), {}, plain)].join("").split("\n");
    expect(lines.slice(1, 7).map((line) => line.slice(12).trimEnd())).toEqual([
      "   [100] |  /* server */",
      "   [100] |  serve() {",
      "   [100] |    /* forks 7 */",
      "     [7] |  /* child */",
      "     [7] |  work();",
      "   [100] |  } /* serve */",
    ]);
    const json = [...formatGraphJson(withForks(known), {})].join("");
    expect(json).toContain('{"thread":100,"event":"fork","child":7,"atNs":3000}\n');
  });

  it("are left out of a graph that does not show what is around them", () => {
    const texts = [{ include: ["work"] }, { exclude: ["serve"] }, { minNs: 100 }].map((options) =>
      [...formatGraph(withForks(known), options, plain)].join(""),
    );
    for (const text of texts) expect(text).not.toContain("forks");
  });

  it("are told by info, as far as they are known", () => {
    const trace = withForks(known, { pid: 8, parent: 100 }, { pid: 9 });
    expect(readInfo(trace).forks).toMatchObject([
      { pid: 7, parent: 100, thread: 100, atNs: 3000 },
      { pid: 8, parent: 100 },
      { pid: 9 },
    ]);
    expect(formatInfo(readInfo(trace), plain).slice(2, 5)).toEqual([
      "forked    7 by thread 100 of process 100 at 3.000 us",
      "          8 by process 100",
      "          9",
    ]);
  });

  it("are arrows in Chrome's format", () => {
    const pieces = [...(exporters.get("chrome")?.(withForks(known), {}) ?? [])];
    const text = pieces.map((piece) => new TextDecoder().decode(piece)).join("");
    const { traceEvents } = JSON.parse(text);
    expect(traceEvents.filter((one: { ph: string }) => "sf".includes(one.ph))).toEqual([
      { ph: "s", id: 0, cat: "fork", name: "fork", pid: 100, tid: 100, ts: 3 },
      { ph: "f", bp: "e", id: 0, cat: "fork", name: "fork", pid: 7, tid: 7, ts: 4 },
    ]);
  });
});
