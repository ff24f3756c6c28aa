/** Reading a stretch of a thread's time again, from the mark before it on. */
import { type CallEnd, type CallVisitor, callEnd, unknownFrame } from "../../trace/call-stack.ts";
import type { Trace } from "../../trace/trace.ts";
import { openThread, type Segment, type ThreadIndex } from "./thread-index.ts";

/** A call as far as it is known; times in ticks. */
export type Span = {
  readonly site: number;
  readonly start: number;
  /** Where the stretch ends, for a call that goes on behind it. */
  readonly end: number;
  readonly depth: number;
  readonly how: CallEnd;
  /** It goes on behind the stretch: where it ends was not read. */
  readonly goesOn: boolean;
};

/** What is told of the calls of a stretch: each once, when it ends or when the stretch does. */
export type SpanSink = {
  span(
    site: number,
    start: number,
    end: number,
    depth: number,
    how: CallEnd,
    goesOn: boolean,
  ): void;
  /** Events are missing between two moments. */
  gap?(lost: number, from: number, to: number): void;
};

/** Gives a sink the calls that it is told of, and those that are open at the end. */
class SpanVisitor implements CallVisitor {
  readonly #sink: SpanSink;
  readonly #from: number;
  readonly #to: number;
  readonly #sites: number[] = [];
  readonly #starts: number[] = [];
  #depth = 0;

  constructor(sink: SpanSink, from: number, to: number) {
    this.#sink = sink;
    this.#from = from;
    this.#to = to;
  }

  enter(site: number, time: number, index: number): void {
    // Calls of which only the number is known have places in the stack, too.
    for (let at = this.#depth; at < index; at++) this.#sites[at] = unknownFrame;
    this.#sites[index] = site;
    this.#starts[index] = time;
    this.#depth = index + 1;
  }

  leave(site: number, start: number, end: number, _: number, index: number, how: CallEnd): void {
    this.#depth = index;
    if (end < this.#from || start >= this.#to) return;
    const goesOn = end > this.#to;
    this.#sink.span(site, start, goesOn ? this.#to : end, index, how, goesOn);
  }

  point(site: number, time: number, index: number): void {
    if (time < this.#from || time >= this.#to) return;
    this.#sink.span(site, time, time, index, callEnd.returned, false);
  }

  orphan(): void {
    // Where it began is not in the trace.
  }

  gap(lost: number, from: number, to: number): void {
    if (to >= this.#from && from < this.#to) this.#sink.gap?.(lost, from, to);
  }

  /** The stretch ends: innermost first, as calls end. */
  finish(): void {
    for (let at = this.#depth - 1; at >= 0; at--) {
      const site = this.#sites[at] ?? unknownFrame;
      const start = this.#starts[at] ?? 0;
      if (site === unknownFrame || start >= this.#to) continue;
      this.#sink.span(site, start, this.#to, at, callEnd.open, true);
    }
  }
}

/** The last segment that begins before `time`; the first one where none does. */
export function segmentAt(segments: readonly Segment[], time: number): number {
  let low = 0;
  let high = segments.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((segments[middle]?.mark.time ?? 0) < time) low = middle;
    else high = middle;
  }
  return low;
}

/** Events between two moments, about. */
export function slotsBetween(index: ThreadIndex, from: number, to: number): number {
  const place = (time: number): number => {
    const at = segmentAt(index.segments, time);
    const here = index.segments[at];
    if (here === undefined) return 0;
    const next = index.segments[at + 1];
    const end = next?.mark.time ?? index.plan.end;
    const slots = (next?.slots ?? index.slots) - here.slots;
    const part = (time - here.mark.time) / Math.max(1, end - here.mark.time);
    return here.slots + slots * Math.max(0, Math.min(1, part));
  };
  return place(to) - place(from);
}

/**
 * Tells `sink` of all calls of a thread that ran at some moment from `from` on and before `to`, in
 * the order of their ends. The thread's index has to be whole.
 */
export function readWindow(
  trace: Trace,
  origin: bigint,
  index: ThreadIndex,
  from: number,
  to: number,
  sink: SpanSink,
): void {
  const visitor = new SpanVisitor(sink, from, to);
  const segment = index.segments[segmentAt(index.segments, from)];
  if (segment === undefined) return;
  const reader = openThread(trace, origin, index.plan.index, visitor);
  try {
    let next = reader.resume(segment.mark);
    while (next <= to) next = reader.run(to);
    visitor.finish();
  } finally {
    reader.close();
  }
}
