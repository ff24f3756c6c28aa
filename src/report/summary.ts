/** What was read of a trace, and what was missing in it: the last lines of every output. */
import { type ClockSteps, nsPerTick } from "../trace/clock.ts";
import { sessionClock } from "../trace/session.ts";
import type { ThreadReader } from "../trace/thread-reader.ts";
import type { Trace, TraceStream } from "../trace/trace.ts";
import type { TraceReader } from "../trace/trace-reader.ts";
import { formatBytes, formatCount, formatDuration, plural } from "./units.ts";

/** One thread's share; times in nanoseconds since the trace's beginning. */
export type ThreadSummary = {
  readonly tid: number;
  readonly pid: number;
  readonly name: string;
  readonly file: string;
  readonly packets: number;
  readonly events: number;
  readonly beginNs: number;
  readonly endNs: number;
  readonly lost: number;
  readonly lostEntries: number;
  readonly lostExits: number;
  /** Bytes at the file's end of a packet that was never finished. */
  readonly tornBytes: number;
  /** Places in the file that could not be read. */
  readonly damages: readonly { readonly offset: number; readonly why: string }[];
  /** Events whose clock stood behind that of the event before. */
  readonly backwards: number;
};

export type TraceSummary = {
  readonly threads: readonly ThreadSummary[];
  readonly events: number;
  readonly lost: number;
  readonly spanNs: number;
  /** Calls of threads that found no ring to record into. */
  readonly ringless: number;
  /** Where times go in steps (`--clock coarse`): no duration is better than that. */
  readonly clockSteps?: ClockSteps | undefined;
  /** Files beside the threads' that hold something, but nothing of this trace; if there are any. */
  readonly strays?: readonly string[];
};

/** Nanoseconds in a tick of this trace. */
export const tickNs = (trace: Trace): number => nsPerTick(sessionClock(trace.session));

/** The steps in which the trace's clock goes; undefined where it is the exact one. */
export const clockSteps = (trace: Trace): ClockSteps | undefined =>
  sessionClock(trace.session).coarse;

/** The summary of what `reader` has read so far. */
export function summarize(trace: Trace, reader: TraceReader): TraceSummary {
  const threads = reader.readers
    .filter((thread): thread is ThreadReader => thread !== undefined)
    .map((thread) => summarizeThread(thread, tickNs(trace)));
  const begin = Math.min(...threads.map((thread) => thread.beginNs));
  const end = Math.max(...threads.map((thread) => thread.endNs));
  const { ringlessEntries = 0, ringlessExits = 0 } = trace.session.end ?? {};
  const strays = strayFiles(trace, reader);
  return {
    threads,
    events: threads.reduce((sum, thread) => sum + thread.events, 0),
    lost: threads.reduce((sum, thread) => sum + thread.lost, 0),
    spanNs: threads.length === 0 ? 0 : end - begin,
    ringless: ringlessEntries + ringlessExits,
    clockSteps: clockSteps(trace),
    ...(strays.length === 0 ? {} : { strays }),
  };
}

function strayFiles(trace: Trace, reader: TraceReader): readonly string[] {
  const known = new Set(reader.threads.map(({ stream }) => stream));
  const isEmpty = (stream: TraceStream): boolean => {
    const source = stream.open();
    source.close();
    return source.sizeBytes === 0;
  };
  const unknown = trace.streams.filter((stream) => !known.has(stream) && !isEmpty(stream));
  return unknown.map(({ name }) => name);
}

const summarizeThread = (thread: ThreadReader, ns: number): ThreadSummary => ({
  tid: thread.tid,
  pid: thread.pid,
  name: thread.threadName,
  file: thread.stream.name,
  packets: thread.totals.packets,
  events: thread.totals.slots - thread.totals.extraSlots,
  beginNs: (thread.begin ?? 0) * ns,
  endNs: thread.end * ns,
  lost: thread.totals.lost,
  lostEntries: thread.totals.lostEntries,
  lostExits: thread.totals.lostExits,
  tornBytes: thread.totals.tornBytes,
  damages: thread.totals.damages,
  backwards: thread.totals.backwards,
});

/** What there was, in one line. */
export function formatExtent(summary: TraceSummary): string {
  const threads = plural(summary.threads.length, "thread");
  const events = plural(summary.events, "event");
  return `${events} of ${threads} in ${formatDuration(summary.spanNs)}`;
}

/** What was missing or odd, a line each; none where all is well. */
export function formatCaveats(summary: TraceSummary): readonly string[] {
  const lines: string[] = [];
  const losers = summary.threads.filter((thread) => thread.lost > 0);
  if (summary.lost > 0) {
    const entries = losers.reduce((sum, thread) => sum + thread.lostEntries, 0);
    const exits = losers.reduce((sum, thread) => sum + thread.lostExits, 0);
    lines.push(
      `${plural(summary.lost, "event")} lost in ${plural(losers.length, "thread")} ` +
        `(${plural(entries, "entry", "entries")}, ${plural(exits, "exit")}): ` +
        "no duration is given where one of them could change it",
    );
  }
  if (summary.ringless > 0) {
    lines.push(`${plural(summary.ringless, "event")} of threads that found no ring: not recorded`);
  }
  if (summary.clockSteps !== undefined) {
    const [mean, longest] = [summary.clockSteps.meanNs, summary.clockSteps.longestNs];
    lines.push(
      `times go in steps of ${formatDuration(mean)}, ${formatDuration(longest)} at the most: ` +
        "the clock was coarse",
    );
  }
  for (const name of summary.strays ?? []) {
    lines.push(`${name} holds no whole packet of this trace: nothing in it is shown`);
  }
  for (const thread of summary.threads) {
    for (const { offset, why } of thread.damages) {
      lines.push(`${thread.file} is damaged at byte ${formatCount(offset)}: ${why}`);
    }
    if (thread.tornBytes > 0) {
      lines.push(
        `${thread.file} ends with ${formatBytes(thread.tornBytes)} of an unfinished packet`,
      );
    }
    if (thread.backwards > 0) {
      lines.push(
        `${thread.file}: the clock went back at ${plural(thread.backwards, "event")}; ` +
          "these are taken to be at the time of the event before",
      );
    }
  }
  return lines;
}
