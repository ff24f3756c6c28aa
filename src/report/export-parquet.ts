/**
 * A trace as tables in Parquet files, for DuckDB (`patchbay query`) and any other engine: `calls`,
 * `losses`, `functions`, `threads` and `trace`. The schema is in docs/analysis.md.
 */
import { isComplete } from "../trace/call-stack.ts";
import { wallNsAt } from "../trace/clock.ts";
import { sessionClock } from "../trace/session.ts";
import type { Trace } from "../trace/trace.ts";
import { TraceReader, type TraceThread } from "../trace/trace-reader.ts";
import { CallValues } from "./call-values.ts";
import { type ExportOptions, type ExportVisitor, type FilePiece, shownSites } from "./export.ts";
import { endNames } from "./graph-json.ts";
import { CallTable, LossTable, smallTable } from "./parquet/tables.ts";
import { checkSelection, wantsThread } from "./selection.ts";
import { summarize, tickNs } from "./summary.ts";

/** The files that there are afterwards, by the names of their tables. */
export const parquetTables = ["calls", "losses", "functions", "threads", "trace"] as const;

/** How a call ended, by `callEnd`, and what stands there where its end is not recorded. */
const endings: readonly string[] = [...Object.values(endNames), "unrecorded"];
const unrecorded: number = endings.length - 1;

/** Pieces of the files, which take a few MiB of memory however many there are. */
export function* exportParquet(trace: Trace, options: ExportOptions): Generator<FilePiece> {
  checkSelection(trace, options);
  const calls = new CallTable((site) => trace.functions.name(site), endings);
  const losses = new LossTable();
  const shows = shownSites(trace, options);
  using reader = new TraceReader(
    trace,
    (thread) => tableVisitor(trace, thread, { calls, losses, shows }),
    { wants: wantsThread(options) },
  );
  while (reader.step()) {
    const piece = calls.table.take();
    if (piece !== undefined) yield piece;
  }
  yield calls.table.finish();
  yield losses.table.finish();
  yield functionTable(trace);
  yield threadTable(trace, reader);
  yield traceTable(trace, reader);
}

type Sinks = {
  readonly calls: CallTable;
  readonly losses: LossTable;
  readonly shows: (site: number) => boolean;
};

function tableVisitor(
  trace: Trace,
  { index, first }: TraceThread,
  { calls, losses, shows }: Sinks,
): Omit<ExportVisitor, "finish"> {
  const unit = tickNs(trace);
  const ns = (ticks: number): number => Math.round(ticks * unit);
  const thread = { index, tid: first.tid };
  const values = new CallValues(trace);
  const bare = { startNs: undefined, endNs: undefined, selfNs: undefined };
  return {
    values: (payload) => values.announce(payload),
    enter: (site, _time, depth) => values.enter(site, depth),
    leave: (site, start, end, self, depth, how) => {
      const texts = values.leave(site, depth);
      if (!shows(site)) return;
      const times = { startNs: ns(start), endNs: ns(end), selfNs: ns(Math.max(0, self)) };
      const isKnown = isComplete(how);
      calls.add(thread, { site, depth, ...times, isComplete: isKnown, ending: how, texts });
    },
    point: (site, time, depth) => {
      const texts = values.point(site);
      if (!shows(site)) return;
      const call = { ...bare, site, depth, startNs: ns(time), isComplete: false, texts };
      calls.add(thread, { ...call, ending: unrecorded });
    },
    orphan: (site, time, depth, how) => {
      const { result } = values.leave(site, depth);
      if (!shows(site)) return;
      const texts = { arguments: undefined, result };
      const call = { ...bare, site, depth, endNs: ns(time), isComplete: false, texts };
      calls.add(thread, { ...call, ending: how });
    },
    gap: (lost, from, to) => {
      const known = lost === Infinity ? undefined : lost;
      losses.add(thread, { fromNs: ns(from), toNs: ns(to), lost: known });
    },
  };
}

const functionTable = (trace: Trace): FilePiece =>
  smallTable(
    "functions",
    ["site", "name", "symbol", "demangled", "module", "address", "file", "line"],
    new Set(["site", "address", "line"]),
    trace.functions.all.map((f) => ({
      site: f.site,
      name: trace.functions.name(f.site),
      symbol: f.name,
      demangled: f.demangled,
      module: f.module,
      address: Number(f.address),
      file: f.file,
      line: f.line,
    })),
  );

function threadTable(trace: Trace, reader: TraceReader): FilePiece {
  const unit = tickNs(trace);
  return smallTable(
    "threads",
    ["thread", "tid", "pid", "name", "begin_ns", "end_ns", "lost"],
    new Set(["thread", "tid", "pid", "begin_ns", "end_ns", "lost"]),
    reader.readers.flatMap((thread, index) => {
      if (thread === undefined) return [];
      const { tid, pid, threadName: name, totals } = thread;
      const begin = Math.round((thread.begin ?? 0) * unit);
      const times = { begin_ns: begin, end_ns: Math.round(thread.end * unit) };
      return [{ thread: index, tid, pid, name, ...times, lost: totals.lost }];
    }),
  );
}

function traceTable(trace: Trace, reader: TraceReader): FilePiece {
  const { session } = trace;
  const { threads, ...summary } = summarize(trace, reader);
  const row = {
    command: session.command.join(" "),
    pid: session.pid,
    host: session.host,
    start_unix_us: Number(wallNsAt(sessionClock(session), reader.origin) / 1000n),
    span_ns: Math.max(0, Math.round(summary.spanNs)),
    threads: threads.length,
    events: summary.events,
    lost: summary.lost,
  };
  const numbers = ["pid", "start_unix_us", "span_ns", "threads", "events", "lost"];
  return smallTable("trace", Object.keys(row), new Set(numbers), [row]);
}
