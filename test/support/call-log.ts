/** A visitor that writes down what it is told. */
import type { CallEnd, CallVisitor, LongPayload } from "../../src/trace/call-stack.ts";
import { ThreadReader } from "../../src/trace/thread-reader.ts";
import type { Trace } from "../../src/trace/trace.ts";

export type LoggedCall = {
  readonly site: number;
  readonly start: number;
  readonly end: number;
  readonly self: number;
  readonly how: CallEnd;
};

export class CallLog implements CallVisitor {
  readonly calls: LoggedCall[] = [];
  readonly entries: { readonly site: number; readonly time: number; readonly index: number }[] = [];
  readonly points: { readonly site: number; readonly time: number }[] = [];
  readonly orphans: { readonly site: number; readonly time: number }[] = [];
  readonly gaps: { readonly lost: number; readonly from: number; readonly to: number }[] = [];
  readonly payloads: { readonly form: number; readonly words: readonly number[] }[] = [];

  enter(site: number, time: number, index: number): void {
    this.entries.push({ site, time, index });
  }
  leave(site: number, start: number, end: number, self: number, _: number, how: CallEnd): void {
    this.calls.push({ site, start, end, self, how });
  }
  point(site: number, time: number): void {
    this.points.push({ site, time });
  }
  orphan(site: number, time: number): void {
    this.orphans.push({ site, time });
  }
  gap(lost: number, from: number, to: number): void {
    this.gaps.push({ lost, from, to });
  }
  values(payload: LongPayload): void {
    const words = [...payload.words.subarray(payload.from, payload.to)];
    this.payloads.push({ form: payload.form, words });
  }
}

/** Reads the first thread of a trace, with times as its clock has them. */
export function readFirst(
  trace: Trace,
  windowBytes?: number,
): { log: CallLog; reader: ThreadReader } {
  const log = new CallLog();
  const stream = trace.streams[0];
  if (stream === undefined) throw new Error("no stream");
  const reader = new ThreadReader(trace, stream, log, 0n, windowBytes);
  for (let next = reader.next(); next < Infinity; ) next = reader.run(Infinity);
  return { log, reader };
}
