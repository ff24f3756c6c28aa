/** Counts what is in a trace, with Patchbay's own reader. */
import { openTrace } from "../../src/session/open-trace.ts";
import { type CallVisitor, callEnd } from "../../src/trace/call-stack.ts";
import { TraceReader } from "../../src/trace/trace-reader.ts";

/** Events of one function. */
export type FunctionCounts = { entries: number; exits: number; unwound: number };

export type TraceCounts = {
  readonly functions: ReadonlyMap<string, FunctionCounts>;
  readonly entries: number;
  /** Exits and calls that were left otherwise, as recorded. */
  readonly exits: number;
  readonly unwound: number;
  readonly lostEntries: number;
  readonly lostExits: number;
  /** Lost of any kind, overwritten events among them. */
  readonly lost: number;
  readonly threads: number;
  /** Events with a time before the event before; there must not be any. */
  readonly backwards: number;
  readonly damages: number;
  /** Bytes of an unfinished packet. */
  readonly tornBytes: number;
  /** Recording came to its proper end. */
  readonly isEnded: boolean;
};

/** Counts the events of each site, exits with and without their entry alike. */
class Counter implements CallVisitor {
  readonly entries: number[] = [];
  readonly exits: number[] = [];
  readonly unwound: number[] = [];

  enter(site: number): void {
    this.entries[site] = (this.entries[site] ?? 0) + 1;
  }
  point(site: number): void {
    this.enter(site);
  }
  leave(...[site, , , , , how]: Parameters<CallVisitor["leave"]>): void {
    if (how === callEnd.returned) this.exits[site] = (this.exits[site] ?? 0) + 1;
    else if (how === callEnd.unwound) this.unwound[site] = (this.unwound[site] ?? 0) + 1;
  }
  orphan(...[site, , , how]: Parameters<CallVisitor["orphan"]>): void {
    if (how === callEnd.unwound) this.unwound[site] = (this.unwound[site] ?? 0) + 1;
    else this.exits[site] = (this.exits[site] ?? 0) + 1;
  }
  gap(): void {
    // Losses are counted from the packets' heads.
  }
}

const sum = (values: Iterable<number | undefined>): number => {
  let total = 0;
  for (const value of values) total += value ?? 0;
  return total;
};

/** Reads the trace in `directory` from beginning to end. */
export function countTrace(directory: string): TraceCounts {
  const trace = openTrace(directory);
  const counter = new Counter();
  using reader = new TraceReader(trace, () => counter);
  reader.readAll();
  const totals = reader.readers.flatMap((thread) => thread?.totals ?? []);
  const functions = new Map<string, FunctionCounts>();
  for (const { site } of trace.functions.all) {
    const counts = {
      entries: counter.entries[site] ?? 0,
      exits: counter.exits[site] ?? 0,
      unwound: counter.unwound[site] ?? 0,
    };
    functions.set(trace.functions.name(site), counts);
  }
  const { ringlessEntries = 0, ringlessExits = 0 } = trace.session.end ?? {};
  const found = {
    functions,
    entries: sum(counter.entries),
    exits: sum(counter.exits),
    unwound: sum(counter.unwound),
    lostEntries: sum(totals.map((one) => one.lostEntries)) + ringlessEntries,
    lostExits: sum(totals.map((one) => one.lostExits)) + ringlessExits,
    lost: sum(totals.map((one) => one.lost)) + ringlessEntries + ringlessExits,
    threads: reader.threads.length,
    backwards: sum(totals.map((one) => one.backwards)),
    damages: sum(totals.map((one) => one.damages.length)),
    tornBytes: sum(totals.map((one) => one.tornBytes)),
    isEnded: trace.session.end !== undefined,
  };
  const slots = sum(totals.map((one) => one.slots - one.extraSlots));
  if (found.entries + found.exits + found.unwound !== slots) {
    throw new Error(`the reader tells of other events than the ${slots} that are there`);
  }
  return found;
}

/** Events seen and lost by thread, by the trace's own kinds. */
export function countThreads(
  directory: string,
): ReadonlyMap<number, { readonly entries: number; readonly exits: number }> {
  const trace = openTrace(directory);
  const counters = new Map<number, Counter>();
  using reader = new TraceReader(trace, ({ first }) => {
    const counter = new Counter();
    counters.set(first.tid, counter);
    return counter;
  });
  reader.readAll();
  return new Map(
    reader.readers.flatMap((thread) => {
      if (thread === undefined) return [];
      const { tid, totals } = thread;
      const counter = counters.get(tid) ?? new Counter();
      const entries = sum(counter.entries) + totals.lostEntries;
      const exits = sum(counter.exits) + sum(counter.unwound) + totals.lostExits;
      return [[tid, { entries, exits }] as const];
    }),
  );
}
