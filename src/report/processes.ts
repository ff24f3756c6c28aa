/** The processes of a trace, and the programs that they became. */
import type { Session } from "../trace/session.ts";
import type { Trace } from "../trace/trace.ts";
import { type TraceThread, traceThreads } from "../trace/trace-reader.ts";

/**
 * The command of the process that `thread` belongs to: the last one, where it became several
 * programs. A forked child has its parent's.
 */
export function commandOf(
  { pid, command, images = [] }: Session,
  { first }: TraceThread,
): readonly string[] {
  const own = images.findLast((image) => image.pid === first.pid);
  if (own !== undefined) return own.command;
  return first.pid === pid ? command : (images[first.image - 1]?.command ?? command);
}

/** An exec that was followed, by the indices of the threads before and behind it. */
export type Exec = { readonly from: number; readonly to: number };

/** The execs of which the trace has events on both sides. */
export function execsOf(trace: Trace): readonly Exec[] {
  const threads = traceThreads(trace);
  return (trace.session.images ?? []).flatMap(({ pid }, index) => {
    const own = threads.filter(({ first }) => first.pid === pid);
    const image = index + 1;
    const to = own
      .filter(({ first }) => first.image === image)
      .reduce<TraceThread | undefined>(
        (least, one) => (least === undefined || one.first.begin < least.first.begin ? one : least),
        undefined,
      );
    // The first thread rather than another: which of them called exec is not known.
    const from = own
      .filter(({ first }) => first.image < image)
      .sort((a, b) => b.first.image - a.first.image || isFirst(b) - isFirst(a))[0];
    return to === undefined || from === undefined ? [] : [{ from: from.index, to: to.index }];
  });
}

const isFirst = ({ first }: TraceThread): number => Number(first.tid === first.pid);
