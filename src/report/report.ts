/** `report`: statistics per function, of all threads together or of each. */
import type { Trace } from "../trace/trace.ts";
import { TraceReader, type TraceThread } from "../trace/trace-reader.ts";
import { checkSelection, matchSites, type Selection, wantsThread } from "./selection.ts";
import { Statistics, type Tally } from "./statistics.ts";
import { formatCaveats, formatExtent, summarize, type TraceSummary, tickNs } from "./summary.ts";
import { type Column, formatTable, type Paint } from "./table.ts";
import { formatCount, formatDuration, formatMeasured, formatShare, plural } from "./units.ts";

/** One function's statistics; times in nanoseconds. Part of the `--json` contract. */
export type FunctionReport = {
  readonly site: number;
  readonly name: string;
  readonly module: string;
  /** Entries that were seen. */
  readonly calls: number;
  /** Calls that were seen from their entry to their exit; the six last numbers are theirs. */
  readonly complete: number;
  /** Time in which at least one call of the function was open. */
  readonly totalNs: number;
  /** Time in the function itself, not in traced functions that it called. */
  readonly selfNs: number;
  readonly meanNs: number | undefined;
  readonly minNs: number | undefined;
  readonly maxNs: number | undefined;
  /** Right to 6 %. */
  readonly p50Ns: number | undefined;
  readonly p99Ns: number | undefined;
};

export type ThreadReport = {
  /** Undefined for all threads together. */
  readonly tid: number | undefined;
  readonly name: string;
  readonly functions: readonly FunctionReport[];
};

/** The calls that a thread was in when the trace ended, outermost first. */
export type OpenCalls = { readonly tid: number; readonly calls: readonly string[] };

export type Report = {
  readonly reports: readonly ThreadReport[];
  /** Of threads that were in any. */
  readonly open: readonly OpenCalls[];
  /** Why the recording ended; undefined where it goes on or was cut short. */
  readonly ended: string | undefined;
  /** Exits of calls that began before the trace did, or whose entries were lost. */
  readonly unmatchedExits: number;
  readonly summary: TraceSummary;
};

/** What a report can be sorted by: `calls`, or one of the durations. */
export type ReportOrder = "total" | "self" | "calls" | "mean" | "min" | "max" | "p50" | "p99";

/** What each order compares. */
export const reportOrders: Readonly<Record<ReportOrder, (f: FunctionReport) => number>> = {
  total: (f) => f.totalNs,
  self: (f) => f.selfNs,
  calls: (f) => f.calls,
  mean: (f) => f.meanNs ?? -1,
  min: (f) => f.minNs ?? -1,
  max: (f) => f.maxNs ?? -1,
  p50: (f) => f.p50Ns ?? -1,
  p99: (f) => f.p99Ns ?? -1,
};

export type ReportOptions = Selection & {
  /** Greatest first; `total` without it. */
  readonly sort?: ReportOrder | undefined;
  readonly perThread?: boolean | undefined;
};

/** Reads the whole trace once; memory is independent of its size. `npm run bench -- reading`. */
export function reportTrace(trace: Trace, options: ReportOptions = {}): Report {
  const siteEnd = trace.functions.siteEnd;
  const all = new Statistics(siteEnd);
  const byThread = new Map<number, Statistics>();
  const open: OpenCalls[] = [];
  let current: { readonly tid: number; readonly statistics: Statistics } | undefined;
  const closeThread = (): void => {
    const calls = current?.statistics.takeOpen().map((site) => trace.functions.name(site)) ?? [];
    if (current !== undefined && calls.length > 0) open.push({ tid: current.tid, calls });
  };
  const statisticsOf = (thread: TraceThread): Statistics => {
    closeThread();
    const statistics = options.perThread === true ? new Statistics(siteEnd) : all;
    if (options.perThread === true) byThread.set(thread.index, statistics);
    current = { tid: thread.first.tid, statistics };
    return statistics;
  };
  checkSelection(trace, options);
  const wants = wantsThread(options);
  const reader = new TraceReader(trace, statisticsOf, { wants }).readAll();
  closeThread();
  const each = options.perThread === true ? [...byThread] : [[-1, all] as const];
  return {
    reports: each.map(([index, statistics]) => ({
      tid: reader.readers[index]?.tid,
      name: reader.readers[index]?.threadName ?? "",
      functions: selectRows(trace, statistics.tallies(), options),
    })),
    open,
    ended: trace.session.end?.reason,
    unmatchedExits: each.reduce((sum, [, statistics]) => sum + statistics.orphans, 0),
    summary: summarize(trace, reader),
  };
}

function selectRows(
  trace: Trace,
  tallies: readonly Tally[],
  options: ReportOptions,
): readonly FunctionReport[] {
  const wanted = matchSites(trace.functions, options.include ?? ["*"]);
  const unwanted = matchSites(trace.functions, options.exclude ?? []);
  const key = reportOrders[options.sort ?? "total"];
  const ns = tickNs(trace);
  return tallies
    .filter((tally) => wanted(tally.site) && !unwanted(tally.site))
    .map((tally) => reportFunction(trace, tally, ns))
    .sort((a, b) => key(b) - key(a) || a.site - b.site);
}

function reportFunction(trace: Trace, tally: Tally, ns: number): FunctionReport {
  const time = (ticks: number): number | undefined =>
    tally.complete === 0 ? undefined : ticks * ns;
  return {
    site: tally.site,
    name: trace.functions.name(tally.site),
    module: trace.functions.find(tally.site)?.module ?? "",
    calls: tally.calls,
    complete: tally.complete,
    totalNs: tally.total * ns,
    selfNs: tally.self * ns,
    meanNs: time(tally.sum / tally.complete),
    minNs: time(tally.min),
    maxNs: time(tally.max),
    p50Ns: time(tally.p50),
    p99Ns: time(tally.p99),
  };
}

const columns: readonly Column[] = [
  { title: "total", align: "right", ink: "strong" },
  { title: "self", align: "right" },
  { title: "self%", align: "right", ink: "dim" },
  { title: "calls", align: "right" },
  { title: "mean", align: "right" },
  { title: "min", align: "right", ink: "dim" },
  { title: "p50", align: "right", ink: "dim" },
  { title: "p99", align: "right", ink: "dim" },
  { title: "max", align: "right" },
  { title: "function", align: "left", ink: "name" },
];

/** The report for a person. `limit` is the number of functions to show of each thread. */
export function formatReport(report: Report, limit: number, paint: Paint): readonly string[] {
  const lines = report.reports.flatMap((thread) => [
    ...(thread.tid === undefined
      ? []
      : [paint("heading", `thread ${thread.tid} ${thread.name}`.trimEnd())]),
    ...formatFunctions(thread, limit, paint, report.summary.clockSteps?.meanNs ?? 0),
    "",
  ]);
  lines.push(formatExtent(report.summary));
  if (report.unmatchedExits > 0) {
    const exits = plural(report.unmatchedExits, "exit");
    lines.push(
      `${exits} of calls whose entry is not in the trace: they began before it, or it was lost`,
    );
  }
  lines.push(...formatDeath(report, paint));
  const caveats = formatCaveats(report.summary).map((line) => paint("warning", line));
  return [...lines, ...caveats];
}

/** Threads that are shown, and calls of each, the innermost ones. */
const threadsShown = 16;
const openShown = 8;

/** Of a program that was killed, or ended nobody knows how: where its threads were. */
function formatDeath({ ended, open }: Report, paint: Paint): readonly string[] {
  if (ended === undefined || !/^the program (was killed|ended)/.test(ended)) return [];
  const lines = open.slice(0, threadsShown).map(({ tid, calls }) => {
    const shown = calls.slice(-openShown).map((name) => paint("name", name));
    const more = calls.length > openShown ? "... > " : "";
    return `thread ${tid} was in ${more}${shown.join(" > ")}`;
  });
  const hidden = open.length - lines.length;
  if (hidden > 0) lines.push(`and ${plural(hidden, "thread")} more`);
  return lines.length === 0 ? [] : [paint("warning", ended), ...lines];
}

function formatFunctions(
  thread: ThreadReport,
  limit: number,
  paint: Paint,
  stepNs: number,
): readonly string[] {
  const { functions } = thread;
  const selfSum = functions.reduce((sum, f) => sum + f.selfNs, 0);
  const duration = (ns: number | undefined): string =>
    ns === undefined ? "-" : formatMeasured(ns, stepNs);
  const rows = functions
    .slice(0, limit)
    .map((f) => [
      f.complete === 0 && f.totalNs === 0 ? "-" : formatDuration(f.totalNs),
      f.complete === 0 && f.selfNs === 0 ? "-" : formatDuration(f.selfNs),
      formatShare(f.selfNs, selfSum),
      formatCount(f.calls),
      duration(f.meanNs),
      duration(f.minNs),
      duration(f.p50Ns),
      duration(f.p99Ns),
      duration(f.maxNs),
      f.name,
    ]);
  const hidden = functions.length - rows.length;
  const more = hidden === 0 ? [] : [paint("dim", `... and ${plural(hidden, "function")} more`)];
  return [...formatTable(columns, rows, paint), ...more];
}
