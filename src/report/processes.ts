/** The processes of a trace, and the programs that they became. */
import type { Session } from "../trace/session.ts";
import type { Trace } from "../trace/trace.ts";
import { type TraceThread, traceOrigin } from "../trace/trace-reader.ts";

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
export function execsOf(trace: Trace, threads: readonly TraceThread[]): readonly Exec[] {
  return (trace.session.images ?? []).flatMap(({ pid }, index) => {
    const own = threads.filter(({ first }) => first.pid === pid);
    const image = index + 1;
    const to = earliest(own.filter(({ first }) => first.image === image));
    // The first thread rather than another: which of them called exec is not known.
    const from = own
      .filter(({ first }) => first.image < image)
      .sort((a, b) => b.first.image - a.first.image || isFirst(b) - isFirst(a))[0];
    return to === undefined || from === undefined ? [] : [{ from: from.index, to: to.index }];
  });
}

/** A fork that was followed, by the indices of the threads before and behind it. */
export type FoundFork = {
  readonly pid: number;
  /** The process and the thread that forked, as far as they are known. */
  readonly parent: number | undefined;
  readonly thread: number | undefined;
  /** When it did, in ticks since the trace's origin; undefined where that is not known. */
  readonly time: number | undefined;
  /** The forking thread, where it has events from before that. */
  readonly from: number | undefined;
  /** The child's thread whose events begin first. */
  readonly to: number;
};

/** The forks of children that have events, by their time. @param threads the trace's. */
export function forksOf({ forks }: Trace, threads: readonly TraceThread[]): readonly FoundFork[] {
  if (forks.length === 0) return [];
  const origin = traceOrigin(threads);
  const byTid = groupBy(threads, ({ first }) => first.tid);
  const byPid = groupBy(threads, ({ first }) => first.pid);
  const found = forks.flatMap((fork): readonly FoundFork[] => {
    const { pid, parent, thread, ticks, image = 0 } = fork;
    // Numbers are used again: the child's first event came behind its fork, soonest of all.
    const own = (byPid.get(pid) ?? []).filter(({ first }) => first.begin >= (ticks ?? 0n));
    const to = earliest(own);
    if (to === undefined) return [];
    const forkers = ticks === undefined ? [] : (byTid.get(thread ?? 0) ?? []);
    const isBefore = ({ first }: TraceThread): boolean =>
      first.image === image && first.begin <= (ticks ?? 0n);
    const from = latest(forkers.filter(isBefore));
    const time = ticks === undefined ? undefined : Number(ticks - origin);
    return [{ pid, parent, thread, time, from: from?.index, to: to.index }];
  });
  return found.sort((a, b) => (a.time ?? 0) - (b.time ?? 0));
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => number): Map<number, T[]> {
  const groups = new Map<number, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}

const earliest = (threads: readonly TraceThread[]): TraceThread | undefined =>
  threads.reduce<TraceThread | undefined>(
    (least, one) => (least === undefined || one.first.begin < least.first.begin ? one : least),
    undefined,
  );
const latest = (threads: readonly TraceThread[]): TraceThread | undefined =>
  threads.reduce<TraceThread | undefined>(
    (most, one) => (most === undefined || one.first.begin > most.first.begin ? one : most),
    undefined,
  );

const isFirst = ({ first }: TraceThread): number => Number(first.tid === first.pid);
