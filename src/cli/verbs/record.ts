/** `patchbay record`: traces a process into a trace directory until it ends or is told to stop. */
import type { Command } from "commander";
import {
  attach,
  attachStub,
  type DispatchForm,
  formatBytes,
  formatCount,
  formatOpenCalls,
  type LaunchOptions,
  launch,
  type MoreSites,
  openTrace,
  PatchbayError,
  plural,
  type Recording,
  type RecordingSummary,
  type RecordOptions,
  readOpenCalls,
  type Session,
  type SiteDesign,
} from "../../index.ts";
import { addCallOptions, type CallFlags, callOptions } from "../call-options.ts";
import { describeReasons, dispatchOption, siteDesignOption } from "../dispatch-option.ts";
import { describeLeftAlone } from "../left-alone.ts";
import { addSiteOptions, moreSites } from "../site-options.ts";
import { stayForGuests, untilTold } from "../stay.ts";
import { collect, collectPattern } from "../trace-options.ts";
import { parseCount, parseDuration, parsePid, parseSize } from "../units.ts";

type Options = CallFlags &
  Required<MoreSites> & {
    readonly output: string;
    readonly filter: readonly string[];
    readonly notrace: readonly string[];
    readonly pid?: string;
    readonly duration?: number;
    readonly exits: boolean;
    readonly flightRecorder: boolean;
    readonly clock?: string;
    readonly followFork: boolean;
    readonly signals: boolean;
    readonly followExec: boolean;
    readonly longjmp: boolean;
    readonly ringSize?: number;
    readonly maxThreads?: number;
    readonly trigger: readonly string[];
    readonly off: boolean;
    readonly dispatch?: DispatchForm;
    readonly siteDesign?: SiteDesign;
    readonly qemu: boolean;
    readonly gdb?: string;
    readonly emulator?: string;
    readonly sysroot?: string;
    readonly quiet: boolean;
    readonly json: boolean;
  };

const progressMs = 500;

export function registerRecord(program: Command): void {
  addCallOptions(addSiteOptions(program.command("record")))
    .description("trace functions of a process, running or started here, into a trace directory")
    .argument("[command...]", "program to start, with its arguments")
    .option(
      "-o, --output <dir>",
      "trace directory; a trace that is there becomes DIR.old",
      "patchbay-trace",
    )
    .option("-F, --filter <glob>", "trace functions that match (repeatable)", collectPattern, [])
    .option(
      "-N, --notrace <glob>",
      "do not trace functions that match (repeatable)",
      collectPattern,
      [],
    )
    .option("-p, --pid <pid>", "attach to this running process")
    .option("--duration <time>", "stop by itself after 500ms, 2s, 1m", parseDuration)
    .option("--no-exits", "record entries alone: cheaper, without durations")
    .option("--follow-fork", "record forked children, too, into the same trace", false)
    .option("--follow-exec", "go on in programs that the process becomes, in one trace", false)
    .option("--signals", "tell which calls are of signal handlers, and for what signal", false)
    .option("--no-longjmp", "do not record which functions a longjmp leaves, and when")
    .option("--flight-recorder", "keep the latest events instead of all of them", false)
    .option("--clock <clock>", "exact, or coarse: cheap, in steps of 50us or so (coarse:20us)")
    .option("--ring-size <size>", "memory of each thread's ring: 4M, 64K", parseSize)
    .option("--max-threads <n>", "threads that record at the same time", parseCount)
    .option(
      "--trigger <trigger>",
      "FUNCTION:traceoff, :traceon, :snapshot or :stacktrace, and :COUNT",
      collect,
      [],
    )
    .option("--off", "begin switched off, until a trigger switches it on", false)
    .addOption(dispatchOption())
    .addOption(siteDesignOption())
    .option(
      "--qemu",
      "run the program under qemu-user: it may be of another instruction set",
      false,
    )
    .option(
      "--gdb <place>",
      "trace what waits under a qemu-user's GDB stub, at HOST:PORT or a path",
    )
    .option("--emulator <command>", "the qemu-user to take for that")
    .option("--sysroot <dir>", "where an emulated program's libraries are")
    .option("-q, --quiet", "say nothing while it records", false)
    .option("--json", "print the summary as JSON", false)
    .passThroughOptions()
    .action(run);
}

async function run(command: readonly string[], options: Options): Promise<void> {
  const pid = parsePid(options.pid);
  const given = [pid, options.gdb, command[0]].filter((one) => one !== undefined).length;
  if (given !== 1) {
    throw new PatchbayError({
      code: "bad-usage",
      doing: "record",
      why: given === 0 ? "nothing to trace" : "more than one of -p, --gdb and a command were given",
      hint: "patchbay record -p PID, or patchbay record -- COMMAND",
    });
  }
  await using session = await open(command, pid, options);
  const summary = await recordUntilEnd(session, options);
  if (options.json) process.stdout.write(`${JSON.stringify(summary)}\n`);
  else process.stderr.write(describe(summary, options) + describeOpenCalls(summary));
  // As a shell would say it: whoever starts a program through this learns how it ended.
  if (summary.exit.kind === "exited") process.exitCode = summary.exit.status;
  if (summary.exit.kind === "killed") process.exitCode = 128 + summary.exit.signal;
  if (summary.exit.kind !== "running") return;
  if (pid === undefined && !options.json) {
    process.stderr.write(`patchbay: the program runs on as process ${session.pid}\n`);
  }
  await stayForGuests(session);
}

/** Traces up to this size are read once more to say where a program was that was killed. */
const openCallsBytesMax = 256 << 20;
const openCallsThreadsMax = 8;

/** Where the threads of a program were that was killed, or that ended and nobody knows how. */
function describeOpenCalls({ exit, bytes, directory }: RecordingSummary): string {
  if (exit.kind !== "killed" && exit.kind !== "gone") return "";
  if (bytes > openCallsBytesMax) {
    return `patchbay: \`patchbay info --open ${directory}\` says where its threads were\n`;
  }
  const lines = [...formatOpenCalls(readOpenCalls(openTrace(directory)))];
  const more = lines.splice(openCallsThreadsMax).length;
  if (more > 0) lines.push(`and ${more} more threads: \`patchbay info --open ${directory}\``);
  return lines.map((line) => `patchbay: ${line}\n`).join("");
}

function recordUntilEnd(session: Session, options: Options): Promise<RecordingSummary> {
  return untilTold(async (stop) => {
    const recording = await session.record(toRecordOptions(options));
    const started = performance.now();
    if (!options.quiet) await announce(recording, session);
    const { duration } = options;
    const timer = duration === undefined ? undefined : setTimeout(() => stop.abort(), duration);
    const quiet = options.quiet || options.json || !process.stderr.isTTY;
    const progress = quiet ? undefined : showProgress(recording, started);
    const onAbort = (): void => {
      recording.stop().catch(() => undefined);
    };
    if (stop.signal.aborted) onAbort();
    else stop.signal.addEventListener("abort", onAbort);
    try {
      return await recording.ended;
    } finally {
      clearTimeout(timer);
      progress?.end();
    }
  });
}

/** Says that every function is on from now on: scripts wait for this line. */
async function announce(recording: Recording, { pid, joined }: Session): Promise<void> {
  const { functions } = await recording.progress();
  const beside = joined === undefined ? "" : `, joining patchbay process ${joined}`;
  process.stderr.write(
    `patchbay: recording ${plural(functions, "function")} of process ${pid}${beside}\n`,
  );
}

async function open(
  command: readonly string[],
  pid: number | undefined,
  options: Options,
): Promise<Session> {
  if (pid !== undefined) return attach(pid);
  const { gdb, sysroot } = options;
  if (gdb === undefined) return launch(command, toLaunchOptions(options));
  return attachStub(gdb, sysroot === undefined ? {} : { sysroot });
}

function toLaunchOptions({ qemu, emulator, sysroot }: Options): LaunchOptions {
  if (!qemu) return {};
  return {
    emulated: {
      ...(emulator === undefined ? {} : { emulator }),
      ...(sysroot === undefined ? {} : { sysroot }),
    },
  };
}

const toRecordOptions = (options: Options): RecordOptions => ({
  directory: options.output,
  filter: { include: options.filter, exclude: options.notrace },
  exits: options.exits,
  ...moreSites(options),
  ...callOptions(options),
  flightRecorder: options.flightRecorder,
  followForks: options.followFork,
  ...(options.clock === undefined ? {} : { clock: options.clock }),
  ...(options.signals ? { signals: true } : {}),
  jumps: options.longjmp,
  ...(options.followExec ? { followExecs: true } : {}),
  ...(options.ringSize === undefined ? {} : { ringBytes: options.ringSize }),
  ...(options.trigger.length === 0 ? {} : { triggers: options.trigger }),
  ...(options.off ? { startsOff: true } : {}),
  ...(options.dispatch === undefined ? {} : { dispatch: options.dispatch }),
  ...(options.siteDesign === undefined ? {} : { siteDesign: options.siteDesign }),
  ...(options.maxThreads === undefined ? {} : { threadsMax: options.maxThreads }),
});

/** Rewrites one line on the terminal, twice a second. */
function showProgress(recording: Recording, started: number): { end(): void } {
  let lastBytes = 0;
  let lastEvents = 0;
  const show = async (): Promise<void> => {
    const now = await recording.progress();
    const perSecond = 1000 / progressMs;
    const line = [
      `${((performance.now() - started) / 1000).toFixed(1)} s`,
      `${formatCount(now.events)} events (${formatCount((now.events - lastEvents) * perSecond)}/s)`,
      `${formatCount(now.lost)} lost`,
      `${formatBytes(now.bytes)} (${formatBytes((now.bytes - lastBytes) * perSecond)}/s)`,
      plural(now.threads, "thread"),
    ].join(", ");
    lastBytes = now.bytes;
    lastEvents = now.events;
    // A line that is wrapped would stay.
    const width = Math.max(0, (process.stderr.columns || 80) - 1);
    process.stderr.write(`\r\x1b[K${line.slice(0, width)}`);
  };
  const timer = setInterval(() => {
    show().catch(() => clearInterval(timer));
  }, progressMs);
  return {
    end: () => {
      clearInterval(timer);
      process.stderr.write("\r\x1b[K");
    },
  };
}

/** Programs that are named at the most when they could not be followed. */
const unfollowedShown = 3;

function describeFollowing({ programs, unfollowed = [] }: RecordingSummary): readonly string[] {
  if (programs === undefined) return [];
  const lines = programs === 1 ? ["it became no other program"] : [`${programs} programs in all`];
  for (const { pid, why } of unfollowed.slice(0, unfollowedShown)) {
    lines.push(`process ${pid} could not be followed into another program: ${why}`);
  }
  const more = unfollowed.length - unfollowedShown;
  if (more > 0) lines.push(`and ${more} more could not be followed`);
  return lines;
}

const howToLoseLess =
  "events are lost where a thread's ring is full, or none is left for it: narrow -F, or see " +
  "--ring-size, --max-threads and --flight-recorder";

function describe(
  summary: RecordingSummary,
  { exits: wantsExits, flightRecorder }: Options,
): string {
  const lines = [
    `recorded ${plural(summary.events, "event")} of ` +
      `${plural(summary.functions, "function")} in ` +
      `${plural(summary.threads, "thread")}, ${formatCount(summary.lost)} lost, ` +
      `${formatBytes(summary.bytes)} in ` +
      `${summary.directory}; ${summary.reason}`,
  ];
  if (summary.lost > 0 && !flightRecorder) lines.push(howToLoseLess);
  if (!summary.exits && wantsExits)
    lines.push("entries alone: the process has no room for a mirror of its stacks");
  if (summary.jumpsUnseen !== undefined)
    lines.push(`what a longjmp leaves is not recorded: ${summary.jumpsUnseen}`);
  lines.push(...describeLeftAlone(summary), ...describeFollowing(summary));
  lines.push(...describeReasons(summary.dispatches));
  if (summary.left !== undefined) lines.push(`some memory stays mapped: ${summary.left}`);
  return lines.map((line) => `patchbay: ${line}\n`).join("");
}
