/**
 * Where each thread was when the trace ended: the calls that it was in, outermost first. Of a
 * program that crashed this says where, as far as its functions were traced.
 */
import { type CallVisitor, callEnd } from "../trace/call-stack.ts";
import type { Trace } from "../trace/trace.ts";
import { TraceReader } from "../trace/trace-reader.ts";
import { tickNs } from "./summary.ts";
import { formatDuration } from "./units.ts";

/** Part of the `--json` contract. */
export type OpenCalls = {
  readonly tid: number;
  readonly name: string;
  /** Outermost first; how long each had run, in nanoseconds. */
  readonly calls: readonly { readonly function: string; readonly ns: number }[];
};

/** Reads all of a trace; threads that were in no call are left out. */
export function readOpenCalls(trace: Trace): readonly OpenCalls[] {
  const found = new Map<number, { site: number; ticks: number }[]>();
  const visitorFor = (thread: number): CallVisitor => {
    const calls: { site: number; ticks: number }[] = [];
    found.set(thread, calls);
    return {
      enter: () => undefined,
      point: () => undefined,
      orphan: () => undefined,
      gap: () => undefined,
      leave: (site, start, end, _, __, how) => {
        if (how === callEnd.open && site >= 0) calls.push({ site, ticks: end - start });
      },
    };
  };
  const reader = new TraceReader(trace, ({ index }) => visitorFor(index)).readAll();
  const ns = tickNs(trace);
  return [...found].flatMap(([index, calls]) => {
    const thread = reader.readers[index];
    if (thread === undefined || calls.length === 0) return [];
    // Inner calls are told of first.
    const outermost = calls.toReversed().map(({ site, ticks }) => ({
      function: trace.functions.name(site),
      ns: Math.round(ticks * ns),
    }));
    return [{ tid: thread.tid, name: thread.threadName, calls: outermost }];
  });
}

/** Calls in one line, at the most; the innermost ones say most. */
const callsMax = 12;

/** One line for each thread. */
export const formatOpenCalls = (threads: readonly OpenCalls[]): readonly string[] =>
  threads.map(({ tid, name, calls }) => {
    const shown = calls.slice(-callsMax).map((call) => call.function);
    const more = calls.length > callsMax ? `${calls.length - callsMax} more > ` : "";
    const last = calls.at(-1);
    const since = last === undefined ? "" : `, for ${formatDuration(last.ns).trim()}`;
    return `thread ${tid} (${name}) was in ${more}${shown.join(" > ")}${since}`;
  });
