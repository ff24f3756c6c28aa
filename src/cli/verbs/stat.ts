/** `patchbay stat`: calls of functions, counted while a process runs. Nothing is recorded. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import {
  attach,
  type CallCount,
  type DispatchForm,
  formatCount,
  launch,
  type MoreSites,
  type Observation,
  type ObservationSummary,
  type Paint,
  PatchbayError,
} from "../../index.ts";
import { dispatchOption } from "../dispatch-option.ts";
import { paintFor, writeLines, writePiece } from "../output.ts";
import { addSiteOptions, moreSites } from "../site-options.ts";
import { stayForGuests, untilTold } from "../stay.ts";
import { collect } from "../trace-options.ts";
import { parseDuration, parsePid } from "../units.ts";

type Options = Required<MoreSites> & {
  readonly filter?: readonly string[];
  readonly notrace?: readonly string[];
  readonly pid?: string;
  readonly interval: number;
  readonly duration?: number;
  readonly once: boolean;
  readonly dispatch?: DispatchForm;
  readonly json: boolean;
};

export function registerStat(program: Command): void {
  addSiteOptions(program.command("stat"))
    .description("count the calls of functions of a process, live; nothing is recorded")
    .argument("[command...]", "program to start, with its arguments")
    .option("-F, --filter <glob>", "count functions that match (repeatable)", collect)
    .option("-N, --notrace <glob>", "do not count functions that match (repeatable)", collect)
    .option("-p, --pid <pid>", "attach to this running process")
    .option("--interval <time>", "time between two tables: 500ms, 2s", parseDuration, 1000)
    .option("--duration <time>", "stop by itself after 500ms, 2s, 1m", parseDuration)
    .option("--once", "stop after one interval", false)
    .addOption(dispatchOption())
    .option("--json", "print one JSON object a line, for each interval and for the end", false)
    .passThroughOptions()
    .action(run);
}

async function run(command: readonly string[], options: Options): Promise<void> {
  const pid = parsePid(options.pid);
  if ((pid === undefined) === (command.length === 0)) {
    throw new PatchbayError({
      code: "bad-usage",
      doing: "count calls",
      why:
        pid === undefined ? "there is no process to look at" : "both -p and a command were given",
      hint: "patchbay stat -p PID, or patchbay stat -- COMMAND",
    });
  }
  if (options.interval < 10) {
    throw new PatchbayError({
      code: "bad-usage",
      doing: "count calls",
      why: "the interval is shorter than 10 ms",
    });
  }
  await using session = pid === undefined ? await launch(command) : await attach(pid);
  const { filter: include = [], notrace: exclude = [] } = options;
  const { exit } = await untilTold(async (stop) => {
    const observation = await session.observe({
      filter: { include, exclude },
      ...moreSites(options),
      ...(options.dispatch === undefined ? {} : { dispatch: options.dispatch }),
    });
    return watch(observation, options, stop);
  });
  if (exit.kind === "exited") process.exitCode = exit.status;
  if (exit.kind === "killed") process.exitCode = 128 + exit.signal;
  if (exit.kind === "running") await stayForGuests(session);
}

/** Shows how counts grow until the observation ends, and what they came to. */
async function watch(
  observation: Observation,
  options: Options,
  stop: AbortController,
): Promise<ObservationSummary> {
  const duration = options.once ? options.interval : options.duration;
  const timer = duration === undefined ? undefined : setTimeout(() => stop.abort(), duration);
  const onEnd = (): void => stop.abort();
  observation.ended.then(onEnd, onEnd);
  const isLive = process.stdout.isTTY && !options.json && !options.once;
  const paint = paintFor(process.stdout);
  const growth = new Growth();
  try {
    while (!(await isOver(options.interval, stop.signal))) {
      if (!isLive && !options.json) continue;
      const now = growth.add(await observation.counts());
      const text = options.json
        ? JSON.stringify(now)
        : screen(now, await observation.functions(), paint);
      // Nobody reads on: there is no use in counting on.
      if (!writePiece(process.stdout.fd, `${text}\n`)) stop.abort();
    }
    const summary = await (observation.isEnding ? observation.ended : observation.stop());
    const total = growth.finish(summary.counts);
    if (options.json) writeLines([JSON.stringify({ ...total, reason: summary.reason })]);
    else writeLines([...(isLive ? [clear] : []), ...formatCalls(total, paint)]);
    if (!options.json) process.stderr.write(describe(summary));
    return summary;
  } finally {
    clearTimeout(timer);
  }
}

/** Waits; whether it was to end meanwhile. */
async function isOver(ms: number, signal: AbortSignal): Promise<boolean> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
  return signal.aborted;
}

/** Calls of functions after some time, and how fast they grow. */
type Calls = {
  readonly seconds: number;
  readonly functions: readonly (CallCount & { readonly perSecond: number })[];
};

/** Makes rates of counts that are taken now and then. */
class Growth {
  readonly #start = performance.now();
  #before: readonly CallCount[] = [];
  #takenMs: number = this.#start;

  /** Counts with their growth since the last ones. */
  add(counts: readonly CallCount[]): Calls {
    const now = performance.now();
    const calls = this.#rates(counts, this.#before, now - this.#takenMs, now);
    this.#before = counts;
    this.#takenMs = now;
    return calls;
  }

  /** The last counts, with their growth since the beginning. */
  finish(counts: readonly CallCount[]): Calls {
    const now = performance.now();
    return this.#rates(counts, [], now - this.#start, now);
  }

  #rates(
    counts: readonly CallCount[],
    before: readonly CallCount[],
    ms: number,
    now: number,
  ): Calls {
    const earlier = new Map(before.map(({ site, calls }) => [site, calls]));
    const functions = counts.map((one) => {
      const grown = one.calls - (earlier.get(one.site) ?? 0);
      return { ...one, perSecond: Math.round((grown * 1000) / ms) };
    });
    functions.sort((a, b) => b.perSecond - a.perSecond || b.calls - a.calls);
    return { seconds: Math.round(now - this.#start) / 1000, functions };
  }
}

const clear = "\x1b[H\x1b[J";

/** A screen full of the functions that are called most at present. */
function screen(calls: Calls, functions: number, paint: Paint): string {
  const rows = Math.max(1, (process.stdout.rows ?? 24) - 4);
  const title = `${formatCount(functions)} functions, ${calls.seconds.toFixed(1)} s; Ctrl-C ends`;
  const shown = { ...calls, functions: calls.functions.slice(0, rows) };
  return [`${clear}${paint("dim", title)}`, ...formatCalls(shown, paint)].join("\n");
}

function formatCalls({ functions }: Calls, paint: Paint): readonly string[] {
  const cell = (text: string): string => text.padStart(15);
  return [
    paint("heading", `${cell("calls")} ${cell("calls/s")}  function`),
    ...functions.map(({ name, calls, perSecond }) => {
      return `${cell(formatCount(calls))} ${cell(formatCount(perSecond))}  ${paint("name", name)}`;
    }),
  ];
}

function describe({ reason, functions, counts, refused, left }: ObservationSummary): string {
  const calls = counts.reduce((sum, one) => sum + one.calls, 0);
  const lines = [
    `counted ${formatCount(calls)} calls of ${formatCount(functions)} functions; ${reason}`,
  ];
  if (refused.length > 0) {
    const some = refused.slice(0, 3).join(", ");
    lines.push(`${refused.length} functions were not as the file has them: ${some}`);
  }
  if (left !== undefined) lines.push(`some memory stays mapped: ${left}`);
  return lines.map((line) => `patchbay: ${line}\n`).join("");
}
