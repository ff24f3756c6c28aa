import { describe, expect, it } from "vitest";
import {
  functionNamed,
  packetOf,
  slotOf,
  type TestPacket,
  type TestThread,
  testSession,
  traceOf,
} from "../../test/support/trace-builder.ts";
import { eventKind } from "../ring/layout.ts";
import {
  encodeLongEvent,
  type LongForm,
  longBase,
  longForm,
  valueType,
} from "../ring/long-event.ts";
import type { Trace } from "../trace/trace.ts";
import { exporters } from "./exporters.ts";
import { formatGraph } from "./graph.ts";
import { callKey, findSentSignals } from "./sent-signals.ts";
import { plain } from "./table.ts";

const [kill, tgkill, pthreadKill, handler, work] = [0, 1, 2, 3, 4];
const functions = ["kill@plt", "tgkill", "pthread_kill", "handler", "work"].map((name, site) =>
  functionNamed(site, name),
);

/** A call that takes 10 ticks, entered by a long event. */
const call = (
  site: number,
  time: number,
  form: LongForm,
  words: readonly bigint[],
  types = 0,
): readonly bigint[] => [
  ...encodeLongEvent({ base: longBase.entry, form, time: BigInt(time), site, types, words }),
  slotOf({ kind: eventKind.exit, time: time + 10, site }),
];

/** A call with integers. */
const called = (site: number, time: number, ...args: readonly number[]): readonly bigint[] =>
  call(
    site,
    time,
    longForm.values,
    args.map(BigInt),
    args.reduce((types, _, i) => types | (valueType.i32 << (4 * i)), 0),
  );

const certain = 1n << 32n;
/** A handler's call for a signal that a process has sent. */
const handled = (time: number, signal: number, sender: number): readonly bigint[] =>
  call(handler, time, longForm.signal, [
    certain | BigInt(signal),
    BigInt(signal),
    BigInt(sender) << 32n,
  ]);

const thread = (tid: number, pid: number, ...calls: readonly (readonly bigint[])[]): TestThread => {
  const slots = calls.flat();
  const packet: TestPacket = { slots, begin: BigInt(tid === 100 ? 0 : 1), end: 10_000n };
  return { tid, pid, packets: [packet] };
};

const signals = (...threads: readonly TestThread[]): Trace => ({
  ...traceOf(threads, functions),
  session: { ...testSession, options: { signals: true } },
});

/** Pairs of times, of a trace whose threads make one call at a time. */
const pairsOf = (trace: Trace): readonly (readonly [number, number])[] =>
  findSentSignals(trace).pairs.map(
    ({ from, to }) => [Number(from.split(" ")[2]), Number(to.split(" ")[2])] as const,
  );

describe("signals that were sent", () => {
  it("lead from the call that sent them to the handler's", () => {
    const trace = signals(
      thread(100, 100, called(kill, 100, 200, 10), called(kill, 300, 200, 10)),
      thread(200, 200, handled(150, 10, 100), handled(340, 10, 100)),
    );
    expect(findSentSignals(trace).pairs).toEqual([
      { from: callKey(0, kill, 100), to: callKey(1, handler, 150) },
      { from: callKey(0, kill, 300), to: callKey(1, handler, 340) },
    ]);
  });

  it("are all those that one run of the handler stands for", () => {
    const sends = [100, 120, 140].map((time) => called(kill, time, 200, 10));
    const trace = signals(thread(100, 100, ...sends), thread(200, 200, handled(135, 10, 100)));
    expect(pairsOf(trace)).toEqual([
      [100, 135],
      [120, 135],
    ]);
  });

  it("are told apart by number, sender and where they go", () => {
    const to = (...sends: readonly (readonly bigint[])[]): Trace =>
      signals(thread(100, 100, ...sends), thread(201, 200, handled(500, 10, 100)));
    expect(pairsOf(to(called(kill, 100, 200, 12), called(kill, 120, 300, 10)))).toEqual([]);
    expect(pairsOf(to(called(tgkill, 100, 200, 202, 10)))).toEqual([]);
    expect(pairsOf(to(called(tgkill, 100, 200, 201, 10)))).toEqual([[100, 500]]);
    // A thread of the caller's own process, whichever.
    expect(pairsOf(to(called(pthreadKill, 100, 7, 10)))).toEqual([]);
    const own = signals(
      thread(100, 100, called(pthreadKill, 100, 7, 10)),
      thread(101, 100, handled(500, 10, 100)),
    );
    expect(pairsOf(own)).toEqual([[100, 500]]);
    expect(pairsOf(to(called(kill, 600, 200, 10)))).toEqual([]);
    expect(pairsOf(to(called(kill, 100, 0, 10)))).toEqual([]);
  });

  it("are not known without arguments, nor where nobody says who sent them", () => {
    const bare = packetOf([
      { kind: eventKind.entry, time: 100, site: kill },
      { kind: eventKind.exit, time: 110, site: kill },
    ]);
    const trace = signals(
      { tid: 100, packets: [bare] },
      thread(200, 200, handled(500, 10, 100), handled(600, 10, 0)),
    );
    expect(pairsOf(trace)).toEqual([]);
  });
});

describe("a call for a signal", () => {
  const unknown = call(handler, 100, longForm.signal, [10n, 0n, 0n]);
  const segv = call(handler, 200, longForm.signal, [certain | 11n, 11n, 0x1234_0000_0001n]);
  const withStack = call(work, 300, longForm.signalStack, [certain | 35n, 35n, 0n, 1n, 0x1000n]);
  const trace = signals(thread(100, 100, handled(50, 10, 77), unknown, segv, withStack));

  it("says in a graph what signal it is, as far as that is certain", () => {
    const lines = [...formatGraph(trace, {}, plain)].join("").split("\n");
    expect(lines.slice(2, 11).map((line) => line.slice(13).trim())).toEqual([
      "|  /* SIGUSR1 from process 77 */",
      "|  handler();",
      "|  /* a signal */",
      "|  handler();",
      "|  /* SIGSEGV */",
      "|  handler();",
      "|  /* signal 35 */",
      expect.stringMatching(/^\| {2}\/\* from .*\*\/$/),
      "|  work();",
    ]);
  });

  it("says so in Chrome's format", () => {
    const pieces = [...(exporters.get("chrome")?.(trace, {}) ?? [])];
    const text = pieces.map((piece) => new TextDecoder().decode(piece)).join("");
    const { traceEvents } = JSON.parse(text);
    const calls = traceEvents.filter(({ ph }: { ph: string }) => ph === "X");
    expect(calls.map(({ args }: { args?: { signal?: string } }) => args?.signal)).toEqual([
      "SIGUSR1 from process 77",
      "a signal",
      "SIGSEGV",
      "signal 35",
    ]);
  });
});
