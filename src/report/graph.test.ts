import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type History, historyOf, moves, type TrueCall } from "../../test/support/random-calls.ts";
import {
  functionNamed,
  packetOf,
  packetsOf,
  slotOf,
  type TestEvent,
  traceOf,
} from "../../test/support/trace-builder.ts";
import { eventKind } from "../ring/layout.ts";
import { encodeLongEvent, longBase, longForm, valueType } from "../ring/long-event.ts";
import type { Trace } from "../trace/trace.ts";
import { formatGraph, formatGraphJson, type GraphOptions } from "./graph.ts";
import { plain } from "./table.ts";

const names = ["main", "work", "leaf", "log"];
const functions = names.map((name, site) => functionNamed(site, name));
const entry = (time: number, site: number): TestEvent => ({ kind: eventKind.entry, time, site });
const exit = (time: number, site: number): TestEvent => ({ kind: eventKind.exit, time, site });
const unwound = (time: number, site: number): TestEvent => ({
  kind: eventKind.unwound,
  time,
  site,
});

const graph = (trace: Trace, options: GraphOptions = {}): string[] =>
  [...formatGraph(trace, options, plain)].join("").split("\n");

const small = traceOf(
  [
    {
      tid: 7,
      name: "prog",
      packets: [
        packetOf([
          exit(0, 3),
          entry(1000, 0),
          entry(2000, 1),
          entry(2500, 2),
          exit(2600, 2),
          entry(3000, 2),
          unwound(3700, 2),
          exit(4000, 1),
          entry(5000, 1),
          exit(5250, 1),
        ]),
        packetOf([entry(9000, 3)], { lost: { entries: 1, exits: 0, all: 1 }, place: 1 }),
      ],
    },
  ],
  functions,
);

describe("a graph", () => {
  it("shows calls as they nest, calls without inner ones in one line", () => {
    expect(graph(small)).toEqual([
      "# thread 7 prog",
      "#  duration  |  function",
      "             |  } /* log: it began outside of the trace */",
      "             |  main() {",
      "             |    work() {",
      "   100.0 ns  |      leaf();",
      "   700.0 ns  |      leaf(); /* left by an exception or a jump */",
      "   2.000 us  |    } /* work */",
      "   250.0 ns  |    work();",
      "             |  /* 1 event lost here */",
      "     > 0 ns  |    log(); /* still open at the trace's end */",
      " > 8.000 us  |  } /* main: still open at the trace's end */",
      "# 11 events of 1 thread in 9.000 us",
      "# 1 event lost in 1 thread (1 entry, 0 exits): " +
        "no duration is given where one of them could change it",
      "",
    ]);
  });

  const calls = (options: GraphOptions): string[] =>
    graph(small, options)
      .filter((line) => line.includes(" |  ") && !line.startsWith("#"))
      .map((line) => line.split(" |  ")[1] ?? "");

  it("shows some levels of calls, some functions, some durations", () => {
    expect(calls({ depth: 2, exclude: ["log"] })).toEqual([
      "main() {",
      "  work();",
      "  work();",
      "/* 1 event lost here */",
      "} /* main: still open at the trace's end */",
    ]);
    expect(calls({ include: ["work"], exclude: ["leaf"] })).toEqual([
      "work();",
      "work();",
      "/* 1 event lost here */",
    ]);
    expect(calls({ minNs: 700 })).toEqual([
      "main() {",
      "  work() {",
      "    leaf(); /* left by an exception or a jump */",
      "  } /* work */",
      "/* 1 event lost here */",
      "} /* main: still open at the trace's end */",
    ]);
  });

  it("shows a part of the time, and what that part lies in", () => {
    expect(calls({ fromNs: 2900, toNs: 3800 })).toEqual([
      "main() {",
      "  work() {",
      "    leaf(); /* left by an exception or a jump */",
    ]);
    expect(calls({ fromNs: 4500, toNs: 5100 })).toEqual(["main() {", "  work() {"]);
  });

  it("shows threads by time, or one after the other", () => {
    const two = traceOf(
      [
        { tid: 7, name: "a", packets: [packetOf([entry(10, 0), entry(30, 1), exit(35, 1)])] },
        { tid: 8, name: "b", packets: [packetOf([entry(20, 2), exit(25, 2), entry(40, 3)])] },
      ],
      functions,
    );
    expect(graph(two, { times: true }).slice(0, 8)).toEqual([
      "#     time [s]    duration   thread |  function",
      "   0.000000010                  [8] |  /* b */",
      "   0.000000010    5.000 ns      [8] |  leaf();",
      "   0.000000000                  [7] |  /* a */",
      "   0.000000000                  [7] |  main() {",
      "   0.000000020    5.000 ns      [7] |    work();",
      "   0.000000025  > 25.00 ns      [7] |  } /* main: still open at the trace's end */",
      "   0.000000030      > 0 ns      [8] |  log(); /* still open at the trace's end */",
    ]);
    const apart = graph(two, { perThread: true });
    expect(apart.filter((line) => line.startsWith("# thread"))).toEqual([
      "# thread 7 a",
      "# thread 8 b",
    ]);
    expect(apart.join("\n")).not.toContain("[7]");
  });

  it("shows values where they were recorded", () => {
    const long = (base: 0 | 1, time: number, types: number, words: bigint[]): bigint[] =>
      encodeLongEvent({ base, form: longForm.values, time: BigInt(time), site: 1, types, words });
    const slots = [
      slotOf(entry(1, 0)),
      ...long(longBase.entry, 2, valueType.i32 + 16 * valueType.char, [7n, 65n]),
      ...long(longBase.exit, 5, valueType.i64, [2n ** 64n - 2n]),
      ...long(longBase.entry, 6, valueType.bool, [1n]),
      slotOf(entry(7, 2)),
      slotOf(exit(8, 2)),
      ...long(longBase.exit, 9, valueType.u8, [3n]),
      slotOf(exit(10, 0)),
    ];
    const trace = traceOf(
      [{ tid: 1, packets: [{ slots, begin: 1n, end: 10n }] }],
      [functionNamed(0, "main"), functionNamed(1, "work", { parameters: ["n"] })],
    );
    const lines = graph(trace).map((line) => line.split(" |  ")[1]);
    expect(lines.slice(2, 8)).toEqual([
      "main() {",
      "  work(n=7, 'A') = -2;",
      "  work(n=true) {",
      "    site 2();",
      "  } = 3; /* work */",
      "} /* main */",
    ]);
  });

  it("shows values by what their types are called", () => {
    const long = (base: 0 | 1, time: number, types: number, words: bigint[]): bigint[] =>
      encodeLongEvent({ base, form: longForm.values, time: BigInt(time), site: 0, types, words });
    const { i32, pointer } = valueType;
    const slots = [
      ...long(longBase.entry, 2, i32 + 16 * pointer + 256 * pointer, [7n, 0x1234n, 0n]),
      ...long(longBase.exit, 5, i32, [2n]),
    ];
    const work = functionNamed(0, "work", {
      parameters: ["color", "server", "next"],
      parameterTypes: ["enum color", "const struct server *", "struct server *"],
      resultTypes: ["enum color"],
      enumerations: { "enum color": { "7": "GREEN" } },
    });
    const trace = traceOf([{ tid: 1, packets: [{ slots, begin: 1n, end: 10n }] }], [work]);
    const line = graph(trace)[2]?.split(" |  ")[1];
    expect(line).toBe("work(color=GREEN, server=struct server@0x1234, next=NULL) = 2;");
  });
});

/** The calls that a graph has to show, by the same rules on the true calls. */
function shown(history: History, options: GraphOptions): readonly TrueCall[] {
  const stack: TrueCall[] = [];
  const found: TrueCall[] = [];
  const end = history.events.at(-1)?.time ?? 0;
  const passes = (call: TrueCall): boolean => {
    const isInside = (c: TrueCall): boolean =>
      options.include?.includes(names[c.site] ?? "") ?? true;
    const around = [...stack, call];
    const first = around.findIndex(isInside);
    const level = around.length - 1 - first;
    const isExcluded = around.some((c) => options.exclude?.includes(names[c.site] ?? ""));
    return first >= 0 && !isExcluded && level < (options.depth ?? Infinity);
  };
  for (const call of history.calls) {
    while (stack.length > call.depth) stack.pop();
    const duration = (call.end ?? end) - call.start;
    if (passes(call) && duration >= (options.minNs ?? 0)) found.push(call);
    stack.push(call);
  }
  return found;
}

describe("a graph in JSON", () => {
  const options = fc.record({
    depth: fc.constantFrom(undefined, 1, 2, 4),
    minNs: fc.constantFrom(undefined, 0, 5, 20),
    include: fc.constantFrom(undefined, ["main"], ["work", "log"]),
    exclude: fc.constantFrom(undefined, ["leaf"]),
  });

  it("has every call that is to be shown once, with its numbers", () => {
    fc.assert(
      fc.property(moves(80), options, (list, wanted) => {
        const history = historyOf(list);
        const trace = traceOf([{ tid: 3, packets: packetsOf(history.events, [5, 11]) }], functions);
        const lines = [...formatGraphJson(trace, wanted)].join("").split("\n").slice(0, -1);
        const found = lines.map((line): Record<string, unknown> => JSON.parse(line));
        const begin = history.events[0]?.time ?? 0;
        const end = history.events.at(-1)?.time ?? 0;
        const truth = shown(history, wanted).map((call) => ({
          thread: 3,
          event: "call",
          function: names[call.site],
          site: call.site,
          startNs: call.start - begin,
          durationNs: (call.end ?? end) - call.start,
          selfNs: call.self,
          end: call.end === undefined ? "open" : call.isUnwound ? "unwound" : "returned",
        }));
        const key = (call: Record<string, unknown>): string => {
          const { level: _, ...rest } = call;
          return JSON.stringify(Object.entries(rest).sort(([a], [b]) => (a < b ? -1 : 1)));
        };
        expect(found.map(key).sort()).toEqual(truth.map(key).sort());
      }),
    );
  });

  it("has losses and what can't be matched", () => {
    const lines = [...formatGraphJson(small, {})].join("").split("\n");
    expect(lines.map((line) => line.slice(0, 40))).toContain(
      '{"thread":7,"event":"exit","function":"l',
    );
    expect(lines).toContain('{"thread":7,"event":"lost","count":1,"fromNs":5250,"toNs":9000}');
  });
});

describe("the text of a graph", () => {
  it("is balanced: every brace that opens is closed by its own call", () => {
    fc.assert(
      fc.property(moves(80), (list) => {
        const { events } = historyOf(list);
        const stack: string[] = [];
        for (const line of graph(
          traceOf([{ tid: 3, packets: packetsOf(events, [9]) }], functions),
        )) {
          const text = line.split(" |  ")[1] ?? "";
          const opened = /^( *)(\w+)\(\) \{$/.exec(text);
          const closed = /^( *)\} \/\* (\w+)/.exec(text);
          if (opened !== null) stack.push(`${opened[1]}${opened[2]}`);
          if (closed !== null) expect(stack.pop()).toBe(`${closed[1]}${closed[2]}`);
        }
        expect(stack).toEqual([]);
      }),
    );
  });
});
