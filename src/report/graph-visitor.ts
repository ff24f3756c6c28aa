/**
 * Which calls of a thread a graph shows, and when they can be written: a call is written as its
 * first inner call that is shown begins, or when it ends, whichever comes first; so nothing waits
 * for longer than it must, and a call without inner ones takes one line.
 */
import type { CallEnd, CallVisitor, LongPayload } from "../trace/call-stack.ts";
import { formatValues, type SignalFacts, signalOf, stackOf } from "../trace/values.ts";

/** What a graph shows; times in ticks since the trace's origin. */
export type GraphFilter = {
  /** Calls of these and what they call; undefined shows everything. */
  readonly include: ((site: number) => boolean) | undefined;
  /** Not these, nor what they call. */
  readonly exclude: (site: number) => boolean;
  /** Calls within so many others at the most. */
  readonly depthMax: number;
  /** Only calls of this duration or longer. */
  readonly minTicks: number;
  /** Only calls that go on at this moment or later. */
  readonly fromTicks: number;
};

/** One call as it is shown. */
export type GraphCall = {
  readonly site: number;
  readonly start: number;
  /** Calls around it that are shown. */
  readonly level: number;
  /** What it was called with, where that was recorded. */
  readonly values: readonly string[] | undefined;
  /** Return addresses of the calls around it, innermost first, where they were recorded. */
  readonly stack: readonly bigint[] | undefined;
  /** What signal it is for, where it is a signal handler's. */
  readonly signal: SignalFacts | undefined;
};

/** How a call ended; times in ticks. */
export type GraphEnd = {
  readonly end: number;
  readonly self: number;
  readonly how: CallEnd;
  readonly values: readonly string[] | undefined;
};

/** Who writes the graph of one thread down. */
export type GraphSink = {
  /** The call has inner ones, which follow. */
  open(call: GraphCall): void;
  /** The call that was opened so ends. */
  close(call: GraphCall, end: GraphEnd): void;
  /** The call has no inner ones. */
  leaf(call: GraphCall, end: GraphEnd): void;
  /** A call whose end is not recorded. */
  point(call: GraphCall): void;
  /** A call ended whose beginning is not in the trace. */
  orphan(site: number, time: number): void;
  /** Events are missing. */
  gap(lost: number, from: number, to: number): void;
  /** The thread forks that process, within so many calls that are shown. */
  fork(child: number, time: number, level: number): void;
};

/** A fork, by its time in ticks since the trace's origin. */
export type GraphFork = { readonly child: number; readonly time: number };

type Frame = GraphCall & {
  readonly isInside: boolean;
  readonly isExcluded: boolean;
  readonly isShown: boolean;
  /** Or there is nothing to write, because it is not shown. */
  isWritten: boolean;
};

export class GraphVisitor implements CallVisitor {
  readonly #filter: GraphFilter;
  readonly #sink: GraphSink;
  /** Of the thread, in the order of their time. */
  readonly #forks: readonly GraphFork[];
  #forksTold = 0;
  readonly #frames: Frame[] = [];
  #values: readonly string[] | undefined;
  #stack: readonly bigint[] | undefined;
  #signal: SignalFacts | undefined;

  constructor(filter: GraphFilter, sink: GraphSink, forks: readonly GraphFork[] = []) {
    this.#filter = filter;
    this.#sink = sink;
    this.#forks = forks;
  }

  enter(site: number, time: number): void {
    this.tellForks(time);
    const frame = this.#frame(site, time);
    const { minTicks, fromTicks } = this.#filter;
    if (frame.isShown && minTicks === 0 && time >= fromTicks) this.#writeOpen();
    this.#frames.push(frame);
  }

  leave(
    _site: number,
    start: number,
    end: number,
    self: number,
    _index: number,
    how: CallEnd,
  ): void {
    this.tellForks(end);
    const frame = this.#frames.pop();
    const values = this.#takeValues();
    if (frame === undefined || !frame.isShown) return;
    const ending: GraphEnd = { end, self, how, values };
    if (frame.isWritten) this.#sink.close(frame, ending);
    else if (end - start >= this.#filter.minTicks && end >= this.#filter.fromTicks) {
      this.#writeOpen();
      this.#sink.leaf(frame, ending);
    }
  }

  point(site: number, time: number): void {
    this.tellForks(time);
    const frame = this.#frame(site, time);
    const { minTicks, fromTicks } = this.#filter;
    if (!frame.isShown || minTicks > 0 || time < fromTicks) return;
    this.#writeOpen();
    this.#sink.point(frame);
  }

  orphan(site: number, time: number): void {
    this.tellForks(time);
    this.#values = undefined;
    const { include, exclude, minTicks, fromTicks } = this.#filter;
    const isInside = include === undefined || include(site);
    if (isInside && !exclude(site) && minTicks === 0 && time >= fromTicks) {
      this.#sink.orphan(site, time);
    }
  }

  gap(lost: number, from: number, to: number): void {
    if (to < this.#filter.fromTicks) return;
    if (this.#filter.minTicks === 0) this.#writeOpen();
    this.#sink.gap(lost, from, to);
  }

  values(payload: LongPayload): void {
    this.#values = formatValues(payload);
    this.#stack = stackOf(payload);
    this.#signal = signalOf(payload);
  }

  /** Tells of the forks up to an event at `time`, where the calls around them are shown. */
  tellForks(time: number): void {
    for (;;) {
      const fork = this.#forks[this.#forksTold];
      if (fork === undefined || fork.time > time) return;
      this.#forksTold++;
      const { include, minTicks, fromTicks } = this.#filter;
      const around = this.#frames.at(-1);
      const isShown = around?.isShown ?? include === undefined;
      if (!isShown || minTicks > 0 || fork.time < fromTicks) continue;
      this.#writeOpen();
      this.#sink.fork(fork.child, fork.time, around === undefined ? 0 : around.level + 1);
    }
  }

  /** Nothing more comes: writes the calls that are open and wait for their first inner call. */
  stop(): void {
    this.tellForks(Infinity);
    if (this.#filter.minTicks === 0) this.#writeOpen();
  }

  #takeValues(): readonly string[] | undefined {
    const values = this.#values;
    this.#values = undefined;
    return values;
  }

  #frame(site: number, start: number): Frame {
    const { include, exclude, depthMax } = this.#filter;
    const parent = this.#frames.at(-1);
    const isInside = parent?.isInside === true || include === undefined || include(site);
    const isExcluded = parent?.isExcluded === true || exclude(site);
    const level = parent === undefined ? 0 : parent.level + (parent.isInside ? 1 : 0);
    const isShown = isInside && !isExcluded && level < depthMax;
    const [stack, signal] = [this.#stack, this.#signal];
    this.#stack = undefined;
    this.#signal = undefined;
    // Stacks and signals bring no arguments of their own.
    const taken = this.#takeValues();
    const isBare = stack === undefined && signal === undefined;
    const values = taken?.length === 0 && !isBare ? undefined : taken;
    return {
      site,
      start,
      level,
      values,
      stack,
      signal,
      isInside,
      isExcluded,
      isShown,
      isWritten: !isShown,
    };
  }

  /** Writes the open calls that are to be shown and are not written yet, outermost first. */
  #writeOpen(): void {
    let at = this.#frames.length;
    while (at > 0 && this.#frames[at - 1]?.isWritten === false) at--;
    for (; at < this.#frames.length; at++) {
      const frame = this.#frames[at];
      if (frame === undefined) break;
      frame.isWritten = true;
      this.#sink.open(frame);
    }
  }
}
