/**
 * `patchbay demo`: the main job on a program that is there already. It works, and
 * the demo attaches while it does, traces for a second, detaches, and shows what it has seen, what
 * that cost, and that the program's results are the same as without.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import {
  attach,
  type CallVisitor,
  callEnd,
  formatBytes,
  formatCount,
  formatDuration,
  formatGraph,
  formatReport,
  openTrace,
  type Paint,
  plural,
  type RecordingSummary,
  reportTrace,
  type SiteFilter,
  type Trace,
  TraceReader,
} from "../../index.ts";
import { type DemoProgram, findDemoProgram } from "../demo-program.ts";
import { nowNs, sleep, Workload } from "../demo-workload.ts";
import { paintFor, writeLines } from "../output.ts";
import { collectPattern } from "../trace-options.ts";

type Flags = {
  readonly seconds: number;
  readonly filter?: readonly string[];
  readonly notrace?: readonly string[];
  readonly keep?: string;
};

/** How long the program is watched without being traced, before and after, in ms. */
const untracedMs = 1000;
const ringBytes = 16 << 20;
const threadsMax = 16;
const reportRows = 15;
/** The graph shows calls of at least this part of its outermost call, in so many lines at most. */
const graphShare = 1 / 50;
const graphLines = 45;

export function registerDemo(program: Command): void {
  program
    .command("demo")
    .description(
      "trace a program at work: attach, record for a second, detach, show the call graph",
    )
    .option("--seconds <n>", "trace for so long", parseSeconds, 1)
    .option("-F, --filter <glob>", "trace functions that match (repeatable)", collectPattern)
    .option(
      "-N, --notrace <glob>",
      "do not trace functions that match (repeatable)",
      collectPattern,
    )
    .option("--keep <dir>", "keep the trace in this directory")
    .action(run);
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (seconds > 0 && seconds <= 3600) return seconds;
  throw new InvalidArgumentError("a time is written as 0.5, 1 or 10; an hour at the most.");
}

const say = (line: string): void => {
  process.stderr.write(`patchbay: ${line}\n`);
};

async function run(flags: Flags): Promise<void> {
  const program = findDemoProgram(say);
  const directory = flags.keep ?? join(makeTemporary(), "trace");
  const traced = await traceWorkload(program, directory, flags);
  const untraced = await runUntraced(program, traced);
  show(program, traced, untraced);
  if (flags.keep === undefined) say("the trace is gone; `patchbay demo --keep DIR` keeps it");
  if (traced.checksum !== untraced.checksum) process.exitCode = 1;
}

/** A folder that goes when this process ends, also by Ctrl-C. */
function makeTemporary(): string {
  const path = mkdtempSync(join(tmpdir(), "patchbay-"));
  process.on("exit", () => rmSync(path, { recursive: true, force: true }));
  process.once("SIGINT", () => process.exit(130));
  return path;
}

type Traced = {
  readonly directory: string;
  readonly summary: RecordingSummary;
  readonly rounds: readonly number[];
  readonly checksum: string;
  /** From the call of `attach` until functions were traced, in ms. */
  readonly attachMs: number;
  readonly seconds: number;
  /** Rounds in a second, before, while and after it was traced. */
  readonly speeds: Readonly<Record<"before" | "traced" | "after", number>>;
};

async function traceWorkload(
  program: DemoProgram,
  directory: string,
  flags: Flags,
): Promise<Traced> {
  const { name, command, prologues } = program;
  await using workload = new Workload(command);
  const pid = await workload.pid();
  say(`${name} is at work in process ${pid}`);
  const untracedFrom = nowNs();
  await sleep(untracedMs);
  const attachedAt = nowNs();
  const { include = [], exclude = [] } = chooseFilter(program, flags);
  await using session = await attach(pid);
  session.useSites({ prologues });
  const every = session.select().length;
  const traced = session.select({ include, exclude }).length;
  say(`tracing ${formatCount(traced)} of its ${plural(every, "function")}, ${flags.seconds} s`);
  const options = { directory, filter: { include, exclude }, ringBytes, threadsMax, prologues };
  const recording = await session.record(options);
  const from = nowNs();
  await Promise.race([sleep(flags.seconds * 1000), recording.ended]);
  const to = nowNs();
  const summary = await recording.stop();
  await session.close();
  const detachedAt = nowNs();
  say("detached; the program runs on");
  await sleep(untracedMs);
  const after = nowNs();
  const result = await workload.end();
  return {
    directory,
    summary,
    ...result,
    attachMs: (from - attachedAt) / 1e6,
    seconds: (to - from) / 1e9,
    speeds: {
      before: workload.speed(untracedFrom, attachedAt) ?? 0,
      traced: workload.speed(from, to) ?? 0,
      after: workload.speed(detachedAt, after) ?? 0,
    },
  };
}

/** The user's own filter, or else the program's. */
const chooseFilter = ({ filter }: DemoProgram, flags: Flags): Partial<SiteFilter> =>
  flags.filter === undefined && flags.notrace === undefined
    ? filter
    : { include: flags.filter ?? [], exclude: flags.notrace ?? [] };

async function runUntraced(
  { command }: DemoProgram,
  traced: Traced,
): Promise<{ readonly checksum: string }> {
  say(`running the same ${traced.rounds.join(" + ")} rounds untraced, to compare the results`);
  await using workload = new Workload(command, traced.rounds);
  return await workload.end();
}

function show(program: DemoProgram, traced: Traced, untraced: { readonly checksum: string }): void {
  const paint = paintFor(process.stdout);
  const trace = openTrace(traced.directory);
  const slowest = findSlowest(trace, program.interruptedNs);
  if (slowest !== undefined) {
    const title = `The slowest call of ${slowest.name}, and what was slow in it`;
    writeLines(["", paint("heading", title), "", ...graphOf(trace, slowest, paint)]);
  }
  writeLines(["", paint("heading", "Where the time went"), ""]);
  writeLines(formatReport(reportTrace(trace), reportRows, paint));
  writeLines([
    "",
    paint("heading", "What it cost"),
    "",
    ...describeCost(program, traced, untraced),
  ]);
}

function graphOf(trace: Trace, { from, to, tid }: Slowest, paint: Paint): readonly string[] {
  const minNs = (to - from) * graphShare;
  const options = { fromNs: from, toNs: to, threads: [tid], minNs };
  const lines = [...formatGraph(trace, options, paint)].join("").trimEnd().split("\n");
  const left = lines.length - graphLines;
  if (left <= 0) return lines;
  return [...lines.slice(0, graphLines), paint("dim", `# ... and ${formatCount(left)} lines more`)];
}

type Slowest = {
  readonly name: string;
  readonly tid: number;
  /** Nanoseconds since the trace's beginning. */
  readonly from: number;
  readonly to: number;
};

/**
 * The longest of the outermost calls that the trace has from beginning to end; where there are any,
 * of those during which no other program had the processor.
 */
function findSlowest(trace: Trace, interruptedNs: number): Slowest | undefined {
  const tickNs = 1e9 / trace.session.clock.frequencyHz;
  let longest = { thread: -1, site: 0, start: 0, end: 0, interrupted: true };
  const visitorFor = (thread: number): CallVisitor => {
    let interrupted = false;
    return {
      enter: () => undefined,
      leave: (site, start, end, self, index, how) => {
        interrupted ||= self * tickNs > interruptedNs;
        if (index > 0) return;
        const call = { thread, site, start, end, interrupted };
        interrupted = false;
        const better =
          call.interrupted === longest.interrupted
            ? end - start > longest.end - longest.start
            : longest.interrupted;
        if (how === callEnd.returned && better) longest = call;
      },
      point: () => undefined,
      orphan: () => undefined,
      gap: () => {
        interrupted = true;
      },
    };
  };
  const reader = new TraceReader(trace, ({ index }) => visitorFor(index)).readAll();
  const tid = reader.threads[longest.thread]?.first.tid;
  if (tid === undefined) return undefined;
  return {
    name: trace.functions.name(longest.site),
    tid,
    from: longest.start * tickNs,
    to: (longest.end + 1) * tickNs,
  };
}

function describeCost(
  program: DemoProgram,
  traced: Traced,
  untraced: { readonly checksum: string },
): readonly string[] {
  const { summary, speeds, seconds, attachMs, rounds, checksum } = traced;
  const { events, lost, bytes, pauseMs, threads } = summary;
  const plain = (speeds.before + speeds.after) / 2;
  const slowdown = 1 - speeds.traced / plain;
  // The program's threads never rest, so what they did not do went into tracing.
  const spentNs = Math.max(0, slowdown) * program.threads * seconds * 1e9;
  const perEvent = spentNs / Math.max(1, events);
  const total = formatCount(rounds.reduce((sum, one) => sum + one, 0));
  const rows = [
    ["events", `${formatCount(events)} in ${plural(threads, "thread")}, ${formatCount(lost)} lost`],
    ["on disk", `${formatBytes(bytes)}, ${formatBytes(bytes / seconds)} a second`],
    ["attached", `${attachMs.toFixed(0)} ms after it was asked to`],
    ["longest pause", `all threads were held for ${formatDuration(pauseMs * 1e6)}`],
    [
      "speed",
      `${speeds.before.toFixed(0)} rounds a second before, ${speeds.traced.toFixed(0)} while ` +
        `traced, ${speeds.after.toFixed(0)} after`,
    ],
    ["per event", `${formatDuration(perEvent)}, the drain's share of the processors included`],
    [
      "results",
      checksum === untraced.checksum
        ? `checksum ${checksum} after ${total} rounds, the same as untraced`
        : `checksum ${checksum} after ${total} rounds, but untraced ${untraced.checksum}`,
    ],
  ] as const;
  return rows.map(([name, text]) => `${name.padEnd(14)} ${text}`);
}
