/** Starts the worker that drains a recording's rings into a trace. */
import { hostname } from "node:os";
import { commandLine } from "../os/proc.ts";
import type { SessionStart } from "../trace/session.ts";
import type { About } from "./about.ts";
import type { SessionClock } from "./clock.ts";
import { CoarseClock, plannedSteps } from "./coarse-clock.ts";
import type { DrainHandlers, DrainWorkerData } from "./drain-worker.ts";
import type { RecordOptions } from "./options.ts";
import { orElse } from "./or-else.ts";
import type { RecordPlan } from "./record-plan.ts";
import type { Rings } from "./seat.ts";
import { WorkerClient } from "./worker-rpc.ts";

const workerUrl = new URL("./drain-worker.js", import.meta.url);

type Parts = {
  readonly about: About;
  readonly clock: SessionClock;
  /** Between two steps of the coarse clock; undefined where events have the exact one. */
  readonly sleepNs: number | undefined;
};

type Draining = {
  readonly drain: WorkerClient<DrainHandlers>;
  readonly coarse: CoarseClock | undefined;
};

/**
 * The worker, and the clock if it is the coarse one.
 * @param plan what events can bring.
 */
export async function startDrain(
  parts: Parts,
  { arenaFd, shape, overwrite, table }: Rings,
  options: RecordOptions,
  { hasLong, hasStacks }: Pick<RecordPlan, "hasLong" | "hasStacks">,
): Promise<Draining> {
  const data: DrainWorkerData = {
    wake: new SharedArrayBuffer(4),
    start: {
      pid: parts.about.pid,
      arenaFd,
      shape,
      overwrite,
      clock: parts.sleepNs === undefined ? parts.clock.name : "coarse",
      hasLong,
      hasStacks,
      table,
      path: options.directory,
      session: await describe(parts, options),
    },
  };
  const drain = new WorkerClient<DrainHandlers>(workerUrl, "drain worker", data, data.wake);
  const { sleepNs } = parts;
  if (sleepNs === undefined) return { drain, coarse: undefined };
  const start = (): Promise<CoarseClock> => CoarseClock.start(arenaFd, sleepNs);
  return { drain, coarse: await orElse(() => drain.end(), start) };
}

async function describe(
  { about, clock, sleepNs }: Parts,
  options: RecordOptions,
): Promise<SessionStart> {
  const { directory: _, ...shown } = options;
  return {
    tool: "patchbay",
    command: commandLine(about.pid),
    pid: about.pid,
    architecture: about.modules[0]?.program.elf.machine ?? "x86-64",
    host: hostname(),
    clock: sleepNs === undefined ? await clock.calibrate() : clock.measure(plannedSteps(sleepNs)),
    modules: about.modules.map(({ path, program }) => ({ path, buildId: program.buildId })),
    options: JSON.parse(JSON.stringify(shown)),
  };
}
