/** The beginning of a trace, or of one more program's part in it: what it says, who writes it. */
import { hostname } from "node:os";
import { setFlagsFromString } from "node:v8";
import { commandLine } from "../os/proc.ts";
import type { SessionStart, TracedImage } from "../trace/session.ts";
import type { About } from "./about.ts";
import { refuseWithoutGate } from "./attachable.ts";
import type { SessionClock } from "./clock.ts";
import { CoarseClock, plannedSteps } from "./coarse-clock.ts";
import { type DrainLink, imageLink, wholeLink } from "./drain-link.ts";
import type { DrainHandlers, DrainWorkerData } from "./drain-worker.ts";
import { ExecFollower, type Following, type HeldImage } from "./exec-follower.ts";
import type { ImageStart } from "./image-drain.ts";
import type { RecordOptions } from "./options.ts";
import { orElse } from "./or-else.ts";
import type { RecordPlan } from "./record-plan.ts";
import type { Rings } from "./seat.ts";
import type { TargetHandlers } from "./target-worker.ts";
import { WorkerClient } from "./worker-rpc.ts";

const targetWorkerUrl = new URL("./target-worker.js", import.meta.url);
const drainWorkerUrl = new URL("./drain-worker.js", import.meta.url);

/** A worker that makes ptrace calls, for one process. */
export const newTargetWorker = (): WorkerClient<TargetHandlers> =>
  new WorkerClient<TargetHandlers>(targetWorkerUrl, "target worker");

/**
 * The same for a program that may soon be another one. Node 20 aborts the process where a worker
 * ends while another thread optimises its code (`NodePlatform::ForIsolate`, which the isolate has
 * been taken from already): this one, and those that are started later, optimise it by themselves.
 */
function newBriefWorker(): WorkerClient<TargetHandlers> {
  setFlagsFromString("--no-concurrent-recompilation");
  return newTargetWorker();
}

/** Where what is drained goes: a trace of its own, or a part in one that follows execs. */
export type TracePart = {
  readonly link: DrainLink;
  readonly coarse: CoarseClock | undefined;
  /** Makes the trace. */
  readonly open: () => Promise<void>;
  readonly follower: ExecFollower | undefined;
};

type Parts = {
  readonly about: About;
  readonly clock: SessionClock;
  /** Between two steps of the coarse clock; undefined where events have the exact one. */
  readonly sleepNs: number | undefined;
};

/** What events can bring. */
type Content = Pick<RecordPlan, "hasLong" | "hasStacks">;

const imageOf = (
  { about, clock, sleepNs }: Parts,
  { arenaFd, shape, overwrite, table }: Rings,
  { hasLong, hasStacks }: Content,
): ImageStart => ({
  pid: about.pid,
  arenaFd,
  shape,
  overwrite,
  clock: sleepNs === undefined ? clock.name : "coarse",
  hasLong,
  hasStacks,
  table,
});

/** A part in a trace that is there. */
export async function joinTrace(
  parts: Parts,
  rings: Rings,
  content: Content,
  { drain, follower }: Following,
): Promise<TracePart> {
  const image = imageOf(parts, rings, content);
  const number = await drain.call("addImage", image, describeImage(parts.about));
  const link = imageLink(drain, number);
  return { link, coarse: undefined, open: async () => undefined, follower };
}

/** A new trace. @param adopt records in a program that came by exec. */
export async function newTrace(
  parts: Parts,
  rings: Rings,
  options: RecordOptions,
  content: Content,
  adopt: (held: HeldImage, options: RecordOptions, into: Following) => Promise<void>,
): Promise<TracePart> {
  const { about, clock, sleepNs } = parts;
  if (options.followExecs === true) {
    refuseWithoutGate(about.pid, rings.execFd, content.hasStacks || sleepNs !== undefined);
  }
  const session = await describe(parts, options, content.hasLong);
  const data: DrainWorkerData = {
    wake: new SharedArrayBuffer(4),
    start: { image: imageOf(parts, rings, content), path: options.directory, session },
  };
  const drain = new WorkerClient<DrainHandlers>(drainWorkerUrl, "drain worker", data, data.wake);
  const open = (): Promise<void> => drain.call("open");
  if (options.followExecs !== true) {
    const start = async (): Promise<CoarseClock | undefined> =>
      sleepNs === undefined ? undefined : CoarseClock.start(rings.arenaFd, sleepNs);
    const coarse = await orElse(() => drain.end(), start);
    return { link: wholeLink(drain), coarse, open, follower: undefined };
  }
  const follower: ExecFollower = new ExecFollower({
    followsForks: options.followForks === true,
    newWorker: newBriefWorker,
    adopt: (held) => adopt(held, options, { drain, follower }),
    tellFork: (fork) => drain.call("addFork", fork),
    finish: async (reason) => {
      const wallNs = BigInt(Date.now()) * 1_000_000n;
      try {
        return await drain.call("finish", { wallNs, reason, clock: clock.measure() });
      } finally {
        await drain.end();
      }
    },
  });
  return { link: imageLink(drain, 0), coarse: undefined, open, follower };
}

/** What a trace says of a program that came by exec. */
const describeImage = ({ pid, modules }: About): TracedImage => ({
  pid,
  command: commandLine(pid),
  modules: modules.map(({ path, program }) => ({ path, buildId: program.buildId })),
});

async function describe(
  { about, clock, sleepNs }: Parts,
  options: RecordOptions,
  longEvents: boolean,
): Promise<SessionStart> {
  const { directory: _, ...shown } = options;
  return {
    tool: "patchbay",
    ...describeImage(about),
    architecture: about.modules[0]?.program.elf.machine ?? "x86-64",
    host: hostname(),
    clock: sleepNs === undefined ? await clock.calibrate() : clock.measure(plannedSteps(sleepNs)),
    longEvents,
    options: JSON.parse(JSON.stringify(shown)),
  };
}
