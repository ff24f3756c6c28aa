/**
 * `patchbay stat`: calls of functions and what they take, counted by the thunks while a process
 * runs. Nothing is recorded.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type Command, Option } from "commander";
import {
  attach,
  type DispatchForm,
  type FunctionStatistics,
  firstView,
  formatCount,
  formatLive,
  formatScreen,
  type LiveOrder,
  type LiveRow,
  launch,
  liveOrders,
  type MoreSites,
  type Observation,
  type ObservationSummary,
  PatchbayError,
  plural,
  pressKey,
  sortLive,
} from "../../index.ts";
import { addChoiceOptions, type ChoiceFlags, callChoice } from "../call-options.ts";
import { dispatchOption } from "../dispatch-option.ts";
import { describeLeftAlone } from "../left-alone.ts";
import { LiveScreen } from "../live-screen.ts";
import { paintFor, writeLines, writePiece } from "../output.ts";
import { addSiteOptions, moreSites } from "../site-options.ts";
import { stayForGuests, untilTold } from "../stay.ts";
import { collect, collectPattern } from "../trace-options.ts";
import { durationMaxMs, parseDuration, parsePid } from "../units.ts";

type Options = Required<MoreSites> &
  ChoiceFlags & {
    readonly filter?: readonly string[];
    readonly notrace?: readonly string[];
    readonly by?: readonly string[];
    readonly pid?: string;
    readonly interval: number;
    readonly duration?: number;
    readonly once: boolean;
    readonly dispatch?: DispatchForm;
    readonly times: boolean;
    readonly sort?: LiveOrder;
    readonly json: boolean;
  };

export function registerStat(program: Command): void {
  addChoiceOptions(addSiteOptions(program.command("stat")))
    .description("calls and times of functions of a process, live; nothing is recorded")
    .argument("[command...]", "program to start, with its arguments")
    .option("-F, --filter <glob>", "count functions that match (repeatable)", collectPattern)
    .option(
      "-N, --notrace <glob>",
      "do not count functions that match (repeatable)",
      collectPattern,
    )
    .option(
      "--by <spec>",
      "a row for each value: 'read@arg1/d', 'read@ret/ld' (repeatable)",
      collect,
    )
    .option("-p, --pid <pid>", "attach to this running process")
    .addOption(
      new Option("--interval <time>", "time between two tables: 500ms, 2s")
        .argParser(parseDuration)
        .default(1000, "1s"),
    )
    .option("--duration <time>", "stop by itself after 500ms, 2s, 1m", parseDuration)
    .option("--no-times", "count calls alone: a tenth of the cost")
    .addOption(new Option("--sort <key>", "what stands first").choices(liveOrders))
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
      hint: "--interval 1s",
    });
  }
  await using session = pid === undefined ? await launch(command) : await attach(pid);
  const { filter: include = [], notrace: exclude = [] } = options;
  const { exit } = await untilTold(async (stop) => {
    const observation = await session.observe({
      filter: { include, exclude },
      times: options.times,
      ...moreSites(options),
      ...callChoice(options),
      ...(options.by === undefined ? {} : { by: options.by }),
      ...(options.dispatch === undefined ? {} : { dispatch: options.dispatch }),
    });
    return watch(observation, options, stop);
  });
  if (exit.kind === "exited") process.exitCode = exit.status;
  if (exit.kind === "killed") process.exitCode = 128 + exit.signal;
  if (exit.kind !== "running") return;
  if (pid === undefined && !options.json) {
    process.stderr.write(`patchbay: the program runs on as process ${session.pid}\n`);
  }
  await stayForGuests(session);
}

/** Shows how statistics grow until the observation ends, and what they came to. */
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
  const growth = new Growth();
  try {
    if (isLive) await showLive(observation, options, stop, growth);
    else if (options.json && !options.once)
      await printIntervals(observation, options, stop, growth);
    else await isOver(durationMaxMs, stop.signal);
    const summary = await (observation.isEnding ? observation.ended : observation.stop());
    const total = growth.finish(summary.statistics);
    const order = options.sort ?? (observation.times ? "total" : "rate");
    if (options.json) {
      writeLines([JSON.stringify({ ...total, missed: summary.missed, reason: summary.reason })]);
    } else {
      const paint = paintFor(process.stdout);
      const rows = sortLive(total.functions, order);
      writeLines(formatLive(rows, { times: observation.times, paint }));
      process.stderr.write(describe(summary));
    }
    return summary;
  } finally {
    clearTimeout(timer);
  }
}

/** Prints a line of JSON after each interval. */
async function printIntervals(
  observation: Observation,
  options: Options,
  stop: AbortController,
  growth: Growth,
): Promise<void> {
  while (!(await isOver(options.interval, stop.signal))) {
    const now = growth.add(await observation.statistics());
    // Nobody reads on: there is no use in going on.
    if (!writePiece(process.stdout.fd, `${JSON.stringify(now)}\n`)) stop.abort();
  }
}

/** A screen that obeys keys; without a terminal to read from, one that only shows. */
async function showLive(
  observation: Observation,
  options: Options,
  stop: AbortController,
  growth: Growth,
): Promise<void> {
  const { times } = observation;
  const paint = paintFor(process.stdout);
  let view = firstView(times);
  if (options.sort !== undefined) view = { ...view, order: options.sort };
  let calls: Calls = { seconds: 0, functions: [] };
  let watched = await observation.functions();
  const title = (): string => {
    const rate = calls.functions.reduce((sum, { perSecond }) => sum + perSecond, 0);
    const functions = plural(watched, "function");
    return `${functions}, ${calls.seconds.toFixed(1)} s, ${formatCount(rate)} calls/s`;
  };
  // A program that was started here has the keyboard to itself.
  using screen = new LiveScreen(options.pid !== undefined, (key) => {
    const before = view;
    view = pressKey(view, key, calls.functions, times);
    if (view.quit) stop.abort();
    if (view.off !== before.off) switchOff(view.off);
    draw();
  });
  const draw = (): void => {
    const { columns, lines } = screen;
    const looks = { columns, lines, title: title(), times, paint };
    if (!screen.draw(formatScreen(calls.functions, view, looks))) stop.abort();
  };
  const switchOff = (off: ReadonlySet<number>): void => {
    // Words of a filter count functions from 1.
    const exclude = [...(options.notrace ?? []), ...[...off].map((site) => String(site + 1))];
    observation.setFilter({ include: options.filter ?? [], exclude }).catch((error: unknown) => {
      if (stop.signal.aborted) return;
      view = { ...view, message: error instanceof PatchbayError ? error.message : String(error) };
      draw();
    });
  };
  process.stdout.on("resize", draw);
  try {
    draw();
    while (!(await isOver(options.interval, stop.signal))) {
      calls = growth.add(await observation.statistics());
      watched = await observation.functions();
      draw();
    }
  } finally {
    process.stdout.off("resize", draw);
  }
}

/** Waits; whether it was to end meanwhile. */
async function isOver(ms: number, signal: AbortSignal): Promise<boolean> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
  return signal.aborted;
}

/** Statistics of functions after some time, and how fast their calls grow. */
type Calls = {
  readonly seconds: number;
  readonly functions: readonly (FunctionStatistics & LiveRow)[];
};

/** Makes rates of statistics that are taken now and then. */
class Growth {
  readonly #start = performance.now();
  #before: readonly FunctionStatistics[] = [];
  #takenMs: number = this.#start;

  /** Statistics with their growth since the last ones. */
  add(now: readonly FunctionStatistics[]): Calls {
    const nowMs = performance.now();
    const calls = this.#rates(now, this.#before, nowMs - this.#takenMs, nowMs);
    this.#before = now;
    this.#takenMs = nowMs;
    return calls;
  }

  /** The last ones, with their growth since the beginning. */
  finish(last: readonly FunctionStatistics[]): Calls {
    const nowMs = performance.now();
    return this.#rates(last, [], nowMs - this.#start, nowMs);
  }

  #rates(
    all: readonly FunctionStatistics[],
    before: readonly FunctionStatistics[],
    ms: number,
    nowMs: number,
  ): Calls {
    const earlier = new Map(before.map(({ site, calls }) => [site, calls]));
    const functions = all.map((one) => {
      const grown = one.calls - (earlier.get(one.site) ?? 0);
      return { ...one, perSecond: Math.round((grown * 1000) / ms) };
    });
    functions.sort((a, b) => b.perSecond - a.perSecond || b.calls - a.calls);
    return { seconds: Math.round(nowMs - this.#start) / 1000, functions };
  }
}

function describe(summary: ObservationSummary): string {
  const { reason, functions, statistics, missed, left } = summary;
  const calls = statistics.reduce((sum, one) => sum + one.calls, 0);
  const lines = [`counted ${plural(calls, "call")} of ${plural(functions, "function")}; ${reason}`];
  if (missed > 0) {
    const calls = formatCount(missed);
    lines.push(`${calls} more calls are of threads for which there was no memory left`);
  }
  lines.push(...describeLeftAlone(summary));
  if (left !== undefined) lines.push(`some memory stays mapped: ${left}`);
  return lines.map((line) => `patchbay: ${line}\n`).join("");
}
