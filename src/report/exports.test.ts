import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { historyOf, moves, type TrueCall } from "../../test/support/random-calls.ts";
import {
  concat,
  functionNamed,
  packetOf,
  packetsOf,
  type TestThread,
  traceOf,
} from "../../test/support/trace-builder.ts";
import { eventKind } from "../ring/layout.ts";
import type { Trace } from "../trace/trace.ts";
import { ByteWriter } from "./byte-writer.ts";
import { exporters } from "./exporters.ts";
import { reportTrace } from "./report.ts";
import { formatTreeJson, type TreeNode } from "./tree-text.ts";

const names = ["main", "a;b", 'say "hi"\n', "grün"];
const functions = names.map((name, site) => functionNamed(site, name, { file: "x.c", line: site }));

type Options = Parameters<NonNullable<ReturnType<typeof exporters.get>>>[1];
const exportAs = (format: string, trace: Trace, options: Options = {}): string => {
  const exporter = exporters.get(format);
  if (exporter === undefined) throw new Error(`no ${format}`);
  return new TextDecoder().decode(concat([...exporter(trace, options)]));
};

/** Threads of random histories, and the true calls of each. */
const threadLists = fc
  .array(moves(60), { minLength: 1, maxLength: 3 })
  .map((lists) => lists.map((list, i) => ({ tid: i + 1, history: historyOf(list) })));
const traceOfThreads = (
  threads: readonly { tid: number; history: ReturnType<typeof historyOf> }[],
): Trace =>
  traceOf(
    threads.map(
      ({ tid, history }): TestThread => ({ tid, packets: packetsOf(history.events, [10]) }),
    ),
    functions,
  );
const endOf = (call: TrueCall, events: readonly { time: number }[]): number =>
  call.end ?? events.at(-1)?.time ?? 0;

/** Threads without events are not in a trace. */
const origin = (threads: readonly { history: ReturnType<typeof historyOf> }[]): number =>
  Math.min(...threads.flatMap(({ history }) => history.events.slice(0, 1).map((e) => e.time)));

type ChromeFile = {
  readonly traceEvents: readonly {
    readonly ph: string;
    readonly name: string;
    readonly tid: number;
    readonly ts: number;
    readonly dur: number;
    readonly args?: { readonly end?: string };
  }[];
};

describe("Chrome's format", () => {
  it("has one complete event a call, with its thread, name and times", () => {
    fc.assert(
      fc.property(threadLists, (threads) => {
        const { traceEvents }: ChromeFile = JSON.parse(exportAs("chrome", traceOfThreads(threads)));
        const begin = origin(threads);
        const expected = threads.flatMap(({ tid, history }) =>
          history.calls.map((call) => [
            tid,
            names[call.site],
            (call.start - begin) / 1000,
            (endOf(call, history.events) - call.start) / 1000,
            call.end === undefined ? "open" : call.isUnwound ? "unwound" : undefined,
          ]),
        );
        const found = traceEvents
          .filter((event) => event.ph === "X")
          .map((event) => {
            const { tid, name, ts, dur, args } = event;
            return [tid, name, ts, dur, args?.end];
          });
        const sorted = (rows: unknown[][]): string[] =>
          rows.map((row) => JSON.stringify(row)).sort();
        expect(sorted(found)).toEqual(sorted(expected));
        const named = traceEvents.filter((event) => event.name === "thread_name");
        expect(named).toHaveLength(threads.filter((t) => t.history.events.length > 0).length);
      }),
    );
  });

  it("says where events are missing, and what functions without exits were called", () => {
    const trace = traceOf(
      [
        {
          tid: 1,
          packets: [
            packetOf([{ kind: eventKind.entry, time: 5, site: 0 }]),
            packetOf([{ kind: eventKind.entry, time: 9, site: 1 }], {
              lost: { entries: 1, exits: 2, all: 3 },
              place: 1,
            }),
          ],
        },
      ],
      [functionNamed(0, "f"), functionNamed(1, "g", { entriesOnly: true })],
    );
    const { traceEvents }: ChromeFile = JSON.parse(exportAs("chrome", trace));
    expect(traceEvents).toContainEqual(
      expect.objectContaining({ ph: "i", name: "events lost", args: { count: 3 }, ts: 0 }),
    );
    expect(traceEvents).toContainEqual(
      expect.objectContaining({ ph: "i", name: "g", tid: 1, ts: 0.004 }),
    );
    expect(traceEvents).toContainEqual(
      expect.objectContaining({ ph: "X", name: "f", args: { end: "lost" } }),
    );
  });
});

describe("speedscope's format", () => {
  // The rules of https://www.speedscope.app/file-format-schema.json, and those that its
  // documentation adds: frames nest, times do not go back.
  it("opens and closes frames in order, each call once", () => {
    fc.assert(
      fc.property(threadLists, (threads) => {
        const file: SpeedscopeFile = JSON.parse(exportAs("speedscope", traceOfThreads(threads)));
        expect(file.$schema).toBe("https://www.speedscope.app/file-format-schema.json");
        const begin = origin(threads);
        const seen = threads.filter(({ history }) => history.events.length > 0);
        expect(file.profiles).toHaveLength(seen.length);
        file.profiles.forEach((profile, i) => {
          expect(profile).toMatchObject({ type: "evented", unit: "nanoseconds" });
          const calls = replay(profile, file.shared.frames);
          const { events = [], calls: truth = [] } = seen[i]?.history ?? {};
          const expected = truth.map((c) => [
            names[c.site],
            c.start - begin,
            endOf(c, events) - begin,
          ]);
          const sorted = (rows: unknown[][]): string[] =>
            rows.map((row) => JSON.stringify(row)).sort();
          expect(sorted(calls)).toEqual(sorted(expected));
        });
      }),
    );
  });
});

type SpeedscopeFile = {
  readonly $schema: string;
  readonly profiles: readonly SpeedscopeProfile[];
  readonly shared: { readonly frames: readonly { readonly name: string }[] };
};
type SpeedscopeProfile = {
  readonly startValue: number;
  readonly endValue: number;
  readonly events: readonly {
    readonly type: "O" | "C";
    readonly frame: number;
    readonly at: number;
  }[];
};

/** The calls of a profile; fails where it is not balanced or not in order. */
function replay(profile: SpeedscopeProfile, frames: readonly { name: string }[]): unknown[][] {
  const open: { frame: number; at: number }[] = [];
  const calls: unknown[][] = [];
  let last = profile.startValue;
  for (const { type, frame, at } of profile.events) {
    expect(at).toBeGreaterThanOrEqual(last);
    last = at;
    if (type === "O") {
      open.push({ frame, at });
      continue;
    }
    const top = open.pop();
    expect(top?.frame).toBe(frame);
    calls.push([frames[frame]?.name, top?.at, at]);
  }
  expect(open).toEqual([]);
  expect(profile.endValue).toBeGreaterThanOrEqual(last);
  return calls;
}

describe("folded stacks", () => {
  it("add up to each function's own time", () => {
    fc.assert(
      fc.property(threadLists, (threads) => {
        const trace = traceOfThreads(threads);
        const own = new Map<string, number>();
        for (const line of exportAs("folded", trace).split("\n").slice(0, -1)) {
          const [, path = "", ns = ""] = /^(.+) (\d+)$/.exec(line) ?? [];
          const leaf = path.split(";").at(-1) ?? "";
          own.set(leaf, (own.get(leaf) ?? 0) + Number(ns));
        }
        const report = reportTrace(trace).reports[0]?.functions ?? [];
        for (const f of report) {
          const name = f.name.replace(";", ":").replace("\n", " ");
          expect(own.get(name) ?? 0).toBeCloseTo(f.selfNs, 6);
        }
      }),
    );
  });

  it("tell threads apart on demand", () => {
    const entry = { kind: eventKind.entry, time: 1, site: 0 };
    const exit = { kind: eventKind.exit, time: 4, site: 0 };
    const threads = [1, 2].map((tid) => ({ tid, name: "w", packets: [packetOf([entry, exit])] }));
    const trace = traceOf(threads, functions);
    expect(exportAs("folded", trace)).toBe("main 6\n");
    expect(exportAs("folded", trace, { perThread: true })).toBe("w (1);main 3\nw (2);main 3\n");
    expect(exportAs("folded", trace, { threads: [2] })).toBe("main 3\n");
  });
});

describe("a tree of calls", () => {
  it("has a node for each path, with the calls on it, and nothing else", () => {
    fc.assert(
      fc.property(threadLists, (threads) => {
        const lines = [...formatTreeJson(traceOfThreads(threads), {})].join("").split("\n");
        const nodes = lines.slice(0, -1).map((line): TreeNode => JSON.parse(line));
        const paths = new Map<number, string>();
        const found = new Map<string, number[]>();
        for (const { id, parent, name, calls, totalNs, selfNs } of nodes) {
          const around = parent === undefined ? "" : paths.get(parent);
          expect(around).toBeDefined();
          paths.set(id, `${around} > ${name}`);
          found.set(`${around} > ${name}`, [calls, totalNs, selfNs]);
        }
        expect(found).toEqual(truePaths(threads));
      }),
    );
  });

  it("leaves out functions, whose time and calls are then their callers'", () => {
    const events = [
      { kind: eventKind.entry, time: 0, site: 0 },
      { kind: eventKind.entry, time: 10, site: 1 },
      { kind: eventKind.entry, time: 20, site: 3 },
      { kind: eventKind.exit, time: 50, site: 3 },
      { kind: eventKind.exit, time: 60, site: 1 },
      { kind: eventKind.exit, time: 100, site: 0 },
    ];
    const trace = traceOf([{ tid: 1, packets: [packetOf(events)] }], functions);
    expect(exportAs("folded", trace, { exclude: ["a;b"] })).toBe("main 70\nmain;grün 30\n");
  });
});

/** Calls, total and own time of each path of calls, from the true calls. */
function truePaths(
  threads: readonly { history: ReturnType<typeof historyOf> }[],
): Map<string, number[]> {
  const paths = new Map<string, number[]>();
  for (const { history } of threads) {
    const stack: string[] = [];
    for (const call of history.calls) {
      stack.length = call.depth;
      stack.push(`${stack.at(-1) ?? ""} > ${names[call.site]}`);
      const numbers = paths.get(stack.at(-1) ?? "") ?? [0, 0, 0];
      numbers[0] = (numbers[0] ?? 0) + 1;
      numbers[1] = (numbers[1] ?? 0) + endOf(call, history.events) - call.start;
      numbers[2] = (numbers[2] ?? 0) + call.self;
      paths.set(stack.at(-1) ?? "", numbers);
    }
  }
  return paths;
}

describe("numbers in bytes", () => {
  it("are decimals and varints as the language and its big integers have them", () => {
    const whole = fc.oneof(fc.nat(), fc.maxSafeNat());
    fc.assert(
      fc.property(whole, fc.double({ min: 0, max: 1e9, noNaN: true }), (n, fraction) => {
        const out = new ByteWriter();
        out.decimal(n);
        out.byte(0x20);
        out.thousandths(fraction);
        const [first, second = ""] = new TextDecoder().decode(out.take()).split(" ");
        expect(first).toBe(String(n));
        expect(second).toMatch(/^\d+\.\d{3}$/);
        expect(Math.abs(Number(second) - fraction)).toBeLessThanOrEqual(0.000501);
        out.varint(n);
        expect(readVarint(out.take())).toBe(BigInt(n));
        out.longVarint(Math.floor(n / 2 ** 20), n);
        const sum = (BigInt(Math.floor(n / 2 ** 20)) << 28n) + BigInt(n);
        expect(readVarint(out.take())).toBe(sum);
      }),
    );
  });
});

/** Base 128, the lowest seven bits first. */
const readVarint = (bytes: Uint8Array): bigint =>
  bytes.reduceRight((value, byte) => (value << 7n) | BigInt(byte & 0x7f), 0n);
