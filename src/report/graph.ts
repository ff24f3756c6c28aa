/**
 * `graph`: the calls of a trace as they nest, written as C is indented, as ftrace's function_graph
 * tracer does. Text comes in pieces while the trace is read, so the first lines are there at once
 * and memory does not grow with the trace.
 */
import type { Trace } from "../trace/trace.ts";
import { TraceReader, traceThreads } from "../trace/trace-reader.ts";
import { JsonGraph } from "./graph-json.ts";
import { TextGraph } from "./graph-text.ts";
import { type GraphFilter, type GraphFork, type GraphSink, GraphVisitor } from "./graph-visitor.ts";
import { forksOf } from "./processes.ts";
import { checkSelection, matchSites, type Selection, wantsThread } from "./selection.ts";
import { formatCaveats, formatExtent, summarize, tickNs } from "./summary.ts";
import type { Paint } from "./table.ts";

export type GraphOptions = Selection & {
  /** Calls within so many others at the most. */
  readonly depth?: number | undefined;
  /** Only calls that took so long, in nanoseconds, and what they lie in. */
  readonly minNs?: number | undefined;
  /** Only calls of this part of the trace: nanoseconds since its beginning. */
  readonly fromNs?: number | undefined;
  readonly toNs?: number | undefined;
  /** One thread after the other, instead of all by time. */
  readonly perThread?: boolean | undefined;
  /** Write when each line's call began or ended: seconds since the trace's beginning. */
  readonly times?: boolean | undefined;
};

/** Pieces of text are about so long. */
const pieceLength = 1 << 16;
/** The first one comes sooner: it is about a screen. */
const firstLength = 1 << 12;

/** The graph for a person, in pieces of whole lines. */
export function* formatGraph(trace: Trace, options: GraphOptions, paint: Paint): Generator<string> {
  const graph = new TextGraph(trace, { ...options, paint });
  const reader = yield* writeGraph(trace, options, graph);
  const summary = summarize(trace, reader);
  const caveats = formatCaveats(summary).map((line) => paint("warning", `# ${line}`));
  // Where only a part was read, numbers of the whole are not known.
  const extent = options.toNs === undefined ? [paint("dim", `# ${formatExtent(summary)}`)] : [];
  yield [...extent, ...caveats, ""].join("\n");
}

/** The graph as one JSON object a line: each call when it ended, losses where they lie. */
export function* formatGraphJson(trace: Trace, options: GraphOptions): Generator<string> {
  yield* writeGraph(trace, options, new JsonGraph(trace));
}

/** What collects lines, of all threads. */
type GraphText = {
  /** What was written since it was last asked. */
  take(): string;
  readonly length: number;
  sinkFor(
    index: number,
    threadOf: () => { readonly tid: number; readonly name: string },
  ): GraphSink;
};

function* writeGraph(
  trace: Trace,
  options: GraphOptions,
  text: GraphText,
): Generator<string, TraceReader> {
  checkSelection(trace, options);
  const filter = graphFilter(trace, options);
  const visitors = new Map<number, GraphVisitor>();
  const { before, byThread } = forksIn(trace);
  const perThread = options.perThread === true;
  using reader: TraceReader = new TraceReader(
    trace,
    ({ index, first }) => {
      const fork = before.get(index);
      // By time, the fork comes before what the child does, whatever its parent does meanwhile.
      if (fork !== undefined && !perThread) visitors.get(fork.from)?.tellForks(fork.time);
      const sink = text.sinkFor(index, () => ({
        tid: first.tid,
        name: reader.readers[index]?.threadName ?? first.threadName,
      }));
      const visitor = new GraphVisitor(filter, sink, byThread.get(index));
      visitors.set(index, visitor);
      return visitor;
    },
    {
      order: perThread ? "thread" : "time",
      wants: wantsThread(options),
      until: options.toNs === undefined ? undefined : options.toNs / tickNs(trace),
    },
  );
  for (let wanted = firstLength; reader.step(); ) {
    if (text.length < wanted) continue;
    yield text.take();
    wanted = pieceLength;
  }
  for (const visitor of visitors.values()) visitor.stop();
  yield text.take();
  return reader;
}

/** The forks that are in the graph, by the index of the thread that forks, and of the child's. */
function forksIn(trace: Trace): {
  readonly byThread: ReadonlyMap<number, readonly GraphFork[]>;
  readonly before: ReadonlyMap<number, { readonly from: number; readonly time: number }>;
} {
  const byThread = new Map<number, GraphFork[]>();
  const before = new Map<number, { readonly from: number; readonly time: number }>();
  const forks = trace.forks.length === 0 ? [] : forksOf(trace, traceThreads(trace));
  for (const { from, to, time, pid: child } of forks) {
    if (from === undefined || time === undefined) continue;
    const known = byThread.get(from);
    if (known === undefined) byThread.set(from, [{ child, time }]);
    else known.push({ child, time });
    before.set(to, { from, time });
  }
  return { byThread, before };
}

function graphFilter(trace: Trace, options: GraphOptions): GraphFilter {
  const ns = tickNs(trace);
  const { include } = options;
  return {
    include: include === undefined ? undefined : matchSites(trace.functions, include),
    exclude: matchSites(trace.functions, options.exclude ?? []),
    depthMax: options.depth ?? Infinity,
    minTicks: (options.minNs ?? 0) / ns,
    fromTicks: (options.fromNs ?? 0) / ns,
  };
}
