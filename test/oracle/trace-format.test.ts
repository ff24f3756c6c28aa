/**
 * The trace on disk, held to babeltrace2: it has to see the same events, in the same order, with
 * the same times and names, as were written; and our own reader has to see what it sees.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { writeSyntheticTrace } from "../../bench/synthetic-trace.ts";
import { reportTrace } from "../../src/report/report.ts";
import { encodeEvent } from "../../src/ring/event.ts";
import { eventKind } from "../../src/ring/layout.ts";
import { encodeLongEvent, longBase, longForm, valueType } from "../../src/ring/long-event.ts";
import { openTrace } from "../../src/session/open-trace.ts";
import { createTraceDirectory, type TraceDirectory } from "../../src/session/trace-directory.ts";
import type { TracedFunction } from "../../src/trace/functions.ts";
import type { SessionStart } from "../../src/trace/session.ts";
import { TraceReader, type TraceThread } from "../../src/trace/trace-reader.ts";

const home = mkdtempSync(join(tmpdir(), "patchbay-ctf-"));
afterAll(() => rmSync(home, { recursive: true }));

const start: SessionStart = {
  tool: 'patchbay "test"',
  command: ["prog", "a\\b", 'c"d'],
  pid: 42,
  architecture: "x86-64",
  host: "host",
  clock: { frequencyHz: 2_499_999_999, ticks: 1n << 52n, wallNs: 1_700_000_000_000_000_001n },
  modules: [],
  options: {},
};

const named = (site: number, name: string): TracedFunction => ({
  site,
  name,
  module: "",
  address: 0n,
});

/** An event as babeltrace2 prints it. */
type Printed = {
  readonly ticks: bigint;
  readonly kind: string;
  readonly tid: number;
  readonly threadName: string;
  readonly lost: number;
  readonly name: string | undefined;
  readonly site: number;
  readonly rest: string;
};

function babeltrace(dir: string): readonly Printed[] {
  const args = ["--clock-cycles", "--names=none", "--no-delta", dir];
  const text = execFileSync("babeltrace2", args, {
    encoding: "utf8",
    maxBuffer: 2 ** 30,
    stdio: ["ignore", "pipe", "ignore"],
  });
  return text.split("\n").slice(0, -1).map(parseLine);
}

/** Lost entries and exits, thread and process, the place of losses, the thread's name. */
const context = /(\d+), (\d+), (\d+), \d+, \( "[a-z]+" : container = \d+ \), "(.*?)"/;
/** The function's name and site, and what long events have more. */
const fields = /\( (?:"((?:[^"\\]|\\.)*)"|<unknown>) : container = (\d+) \)(.*)/;
const line = new RegExp(
  `^\\[(\\d+)\\] (?:\\S* )?(\\w+): \\{ ${context.source} \\}, \\{ ${fields.source} \\}$`,
);

function parseLine(text: string): Printed {
  const found = line.exec(text);
  if (found === null) throw new Error(`babeltrace2 printed ${text}`);
  const [, ticks = "", kind = "", entries, exits, tid, threadName = "", name, site, rest = ""] =
    found;
  return {
    ticks: BigInt(ticks),
    kind,
    tid: Number(tid),
    threadName,
    lost: Number(entries) + Number(exits),
    name: name?.replaceAll(/\\(.)/g, (_, c: string) => (c === "n" ? "\n" : c)),
    site: Number(site),
    rest,
  };
}

type TestThread = {
  readonly name: string;
  readonly packets: readonly {
    readonly gap: bigint;
    readonly lost: readonly [number, number];
    readonly events: readonly {
      readonly kind: 0 | 1 | 2;
      readonly site: number;
      readonly after: bigint;
    }[];
  }[];
};

/** Random packets: events at distinct times, gaps of all sizes, losses. */
const threadsArbitrary: fc.Arbitrary<readonly TestThread[]> = fc.array(
  fc.record({
    name: fc.stringMatching(/^[a-z]{0,15}$/),
    packets: fc.array(
      fc.record({
        gap: fc.bigInt({ min: 1n, max: 2n ** 40n }),
        lost: fc.tuple(fc.nat({ max: 5 }), fc.nat({ max: 5 })),
        events: fc.array(
          fc.record({
            kind: fc.constantFrom(eventKind.entry, eventKind.exit, eventKind.unwound),
            site: fc.nat({ max: 3 }),
            after: fc.oneof(
              fc.bigInt({ min: 1n, max: 50n }),
              fc.bigInt({ min: 2n ** 33n, max: 2n ** 35n - 1n }),
            ),
          }),
          { maxLength: 12 },
        ),
      }),
      { maxLength: 5 },
    ),
  }),
  { minLength: 1, maxLength: 4 },
);

type Written = {
  readonly ticks: bigint;
  readonly kind: string;
  readonly tid: number;
  readonly site: number;
};

const kindNames = ["entry", "exit", "unwound", "long"];

/** Writes the threads; no two events have the same time, so that their order is certain. */
function write(trace: TraceDirectory, threads: readonly TestThread[]): Written[] {
  const written: Written[] = [];
  threads.forEach((thread, index) => {
    const tid = 100 + index;
    const stream = trace.stream(tid);
    let time = 1n << 52n;
    let [lostEntries, lostExits] = [0, 0];
    for (const packet of thread.packets) {
      time += packet.gap;
      const slots: bigint[] = [];
      let begin = 0n;
      let end = time * 8n;
      for (const event of packet.events) {
        time += event.after;
        // Threads differ in the lowest bits of their times.
        const ticks = time * 8n + BigInt(index);
        if (slots.length === 0) begin = ticks;
        end = ticks;
        slots.push(encodeEvent(event.kind, ticks, event.site));
        written.push({ ticks, kind: kindNames[event.kind] ?? "", tid, site: event.site });
      }
      if (slots.length === 0) begin = end;
      lostEntries += packet.lost[0];
      lostExits += packet.lost[1];
      const half = Math.floor(slots.length / 2);
      const chunk = (part: readonly bigint[]): Uint8Array =>
        new Uint8Array(new BigUint64Array(part).buffer);
      stream.append(
        {
          begin,
          end,
          lost: lostEntries + lostExits,
          lostEntries,
          lostExits,
          lossPlace: packet.lost[0] + packet.lost[1] === 0 ? 0 : 1,
          tid,
          pid: 42,
          image: 0,
          threadName: thread.name,
        },
        [chunk(slots.slice(0, half)), chunk(slots.slice(half))],
      );
    }
  });
  return written.sort((a, b) => (a.ticks < b.ticks ? -1 : 1));
}

/** All events as our reader tells them, in its order; exits bring no start of their own. */
function readEvents(dir: string): Written[] {
  const found: Written[] = [];
  let reader: TraceReader | undefined;
  const visitorFor = (thread: TraceThread) => {
    const { tid } = thread.first;
    const add = (kind: string, time: number, site: number): void => {
      const ticks = (reader?.origin ?? 0n) + BigInt(time);
      found.push({ ticks, kind, tid, site });
    };
    const exit = (how: number): string => (how === 0 ? "exit" : "unwound");
    return {
      enter: (site: number, time: number) => add("entry", time, site),
      leave: (site: number, _: number, end: number, _s: number, _i: number, how: number) => {
        if (how <= 1) add(exit(how), end, site);
      },
      point: () => undefined,
      orphan: (site: number, time: number, _: number, how: number) => add(exit(how), time, site),
      gap: () => undefined,
    };
  };
  reader = new TraceReader(openTrace(dir), visitorFor, { order: "time" });
  reader.readAll();
  return found;
}

const functions = [
  named(0, "main"),
  named(1, 'operator"" _x<"\\n">'),
  named(2, "same"),
  named(3, "same"),
];

describe("babeltrace2", () => {
  let run = 0;
  it("and our reader see the events that were written: order, times, kinds, threads", () => {
    fc.assert(
      fc.property(threadsArbitrary, (threads) => {
        const dir = join(home, `random-${run++}`);
        const trace = createTraceDirectory(dir, start);
        trace.addFunctions(functions);
        const written = write(trace, threads);
        trace.finish({ wallNs: 1n, reason: "done" });
        const plain = babeltrace(dir).map(({ ticks, kind, tid, site }) => ({
          ticks,
          kind,
          tid,
          site,
        }));
        expect(plain).toEqual(written);
        expect(readEvents(dir)).toEqual(written);
      }),
      { numRuns: 40 },
    );
  });

  it("prints functions by name, whatever is in it, also those that are added later", () => {
    const names = fc.array(fc.string({ minLength: 1, maxLength: 20, unit: "grapheme" }), {
      minLength: 1,
      maxLength: 8,
    });
    fc.assert(
      fc.property(names, (list) => {
        const dir = join(home, `names-${run++}`);
        const trace = createTraceDirectory(dir, start);
        const threads: readonly TestThread[] = [
          {
            name: "t",
            packets: [
              {
                gap: 1n,
                lost: [0, 0],
                events: list.map((_, site) => ({ kind: eventKind.entry, site, after: 1n })),
              },
            ],
          },
        ];
        for (const [site, name] of list.entries()) trace.addFunctions([named(site, name)]);
        write(trace, threads);
        trace.close();
        const counts = new Map<string, number>();
        for (const name of list) counts.set(name, (counts.get(name) ?? 0) + 1);
        const expected = list.map((name, site) =>
          counts.get(name) === 1 ? name : `${name} #${site}`,
        );
        expect(babeltrace(dir).map((event) => event.name)).toEqual(expected);
      }),
      { numRuns: 25 },
    );
  });

  it("reads long events with their values", () => {
    const dir = join(home, "long");
    const trace = createTraceDirectory(dir, start);
    trace.addFunctions([named(5, "f")]);
    const t = 1n << 52n;
    const slots = [
      ...encodeLongEvent({
        base: longBase.entry,
        form: longForm.values,
        time: t,
        site: 5,
        types: valueType.i32 + 16 * valueType.pointer,
        words: [7n, 2n ** 64n - 1n],
      }),
      ...encodeLongEvent({
        base: longBase.note,
        form: longForm.stack,
        time: t + 1n,
        site: 5,
        types: 0,
        words: [],
      }),
      encodeEvent(eventKind.exit, t + 2n, 5),
    ];
    trace.stream(7).append(
      {
        begin: t,
        end: t + 2n,
        lost: 0,
        lostEntries: 0,
        lostExits: 0,
        lossPlace: 0,
        tid: 7,
        pid: 42,
        image: 0,
        threadName: "naïve thread",
      },
      [new Uint8Array(new BigUint64Array(slots).buffer)],
    );
    trace.close();
    const events = babeltrace(dir);
    expect(events).toMatchObject([
      { kind: "long", name: "f", threadName: "naïve thread", ticks: t },
      { kind: "long", ticks: t + 1n },
      { kind: "exit", name: "f", rest: "" },
    ]);
    expect(events[0]?.rest).toBe(
      ', ( "entry" : container = 0 ), ( "values" : container = 0 ), 2, 0x97, ' +
        "[ 0x7, 0xFFFFFFFFFFFFFFFF ]",
    );
  });

  it("counts the same calls in a large trace as the report does", () => {
    const dir = join(home, "large");
    writeSyntheticTrace(dir, { seed: 5, events: 100_000, threads: 3, functions: 50 });
    const counts = new Map<number, number>();
    for (const { kind, site } of babeltrace(dir)) {
      if (kind === "entry") counts.set(site, (counts.get(site) ?? 0) + 1);
    }
    const report = reportTrace(openTrace(dir)).reports[0]?.functions ?? [];
    expect(new Map(report.map((f) => [f.site, f.calls]))).toEqual(
      new Map([...counts].sort((a, b) => (counts.get(b[0]) ?? 0) - (counts.get(a[0]) ?? 0))),
    );
  });

  it("reads a trace that was cut short up to the last whole packet, once that is cut off", () => {
    const dir = join(home, "torn");
    writeSyntheticTrace(dir, { seed: 6, events: 70_000, threads: 1, functions: 9 });
    const file = join(dir, "thread-1000");
    const bytes = readFileSync(file);
    writeFileSync(file, bytes.subarray(0, bytes.length - 100));
    const report = reportTrace(openTrace(dir));
    const [thread] = report.summary.threads;
    expect(thread?.tornBytes).toBeGreaterThan(0);
    writeFileSync(file, bytes.subarray(0, bytes.length - 100 - (thread?.tornBytes ?? 0)));
    expect(babeltrace(dir)).toHaveLength(thread?.events ?? -1);
  });
});
