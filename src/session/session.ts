/**
 * The public way in: `attach` to a running process or `launch` a program, `record` some of its
 * functions into a trace directory, and let it go as it was.
 *
 * Three threads: this one coordinates; the target worker makes all ptrace calls; the drain worker
 * empties the rings.
 */
import { hostname } from "node:os";
import { type Pid, pid as toPid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { commandLine, cpuVendor, hasMemory, isAlive, ProcessMemory, readStat } from "../os/proc.ts";
import type { SpawnOptions } from "../os/spawn.ts";
import { type ClockReading, readClocks } from "../os/tsc.ts";
import type { VendorRules } from "../patch/protocols/x86-64-live.ts";
import { type ArenaShape, pageBytes } from "../ring/arena.ts";
import { eventBytes } from "../ring/layout.ts";
import { refuseOtherTracer } from "../target/other-tracer.ts";
import type { TraceClock } from "../trace/clock.ts";
import type { SessionStart } from "../trace/session.ts";
import { refuseUnattachable } from "./attachable.ts";
import {
  type Catalogue,
  type CataloguedFunction,
  makeCatalogue,
  resolveFilter,
  type SiteFilter,
  toSiteTable,
} from "./catalogue.ts";
import { measureClock } from "./clock.ts";
import { checkCommand } from "./command.ts";
import type { DrainHandlers, DrainWorkerData } from "./drain-worker.ts";
import type { MoreSites } from "./more-sites.ts";
import { Observation } from "./observation.ts";
import { listModules, type ModuleList } from "./process-modules.ts";
import { Recording } from "./recording.ts";
import { targetFacts } from "./target-facts.ts";
import type { ExitStatus, TargetHandlers } from "./target-worker.ts";
import { Tracing } from "./tracing.ts";
import { WorkerClient } from "./worker-rpc.ts";

export type RecordOptions = MoreSites & {
  /** The trace directory; made, or an older trace there moved aside. */
  readonly directory: string;
  readonly filter?: Partial<SiteFilter>;
  /** Record exits too, and so durations; on unless said otherwise. */
  readonly exits?: boolean;
  /** Bytes of each thread's ring, a power of two times 4096; 4 MiB unless said otherwise. */
  readonly ringBytes?: number;
  /** Threads that can record at the same time; 1024 unless said otherwise. */
  readonly threadsMax?: number;
  /** Full rings overwrite their oldest events; what they hold at the end is the trace. */
  readonly flightRecorder?: boolean;
  /** Whose manual the choice of protocols relies on; this machine's unless said otherwise. */
  readonly vendorRules?: VendorRules;
};

/** What is counted without a recording. */
export type ObserveOptions = MoreSites & Pick<RecordOptions, "filter" | "vendorRules">;

const ringBytesDefault = 4 << 20;
const threadsDefault = 1024;
/** Room for the steps that change some 250,000 sites; memory that is not used is not taken. */
const programBytesDefault = 16 << 20;
/** Shortest span over which the clock's speed is measured, in ms. */
const calibrationMs = 25;

/** The rules of this machine's vendor; Hygon makes AMD's processors. */
const machineRules = (): VendorRules =>
  ["AuthenticAMD", "HygonGenuine"].includes(cpuVendor()) ? "amd" : "intel";

/** Attaches to a running process. Nothing in it changes before something is recorded. */
export async function attach(pid: number): Promise<Session> {
  const target = toPid(pid);
  refuseUnattachable(target);
  refuseOtherTracer(target);
  const modules = listModules(target);
  const { startTime } = readStat(target);
  const worker = new WorkerClient<TargetHandlers>(targetWorkerUrl, "target worker");
  return new Session(target, startTime, modules, worker, undefined);
}

/**
 * Starts a program and holds it before its first own instruction; it runs once something is
 * recorded, or with `run`.
 */
export async function launch(
  command: readonly string[],
  options: SpawnOptions = {},
): Promise<Session> {
  checkCommand(command, (options.env ?? process.env)["PATH"] ?? "");
  const worker = new WorkerClient<TargetHandlers>(targetWorkerUrl, "target worker");
  try {
    const target = await worker.call("launch", command, options);
    return new Session(target, readStat(target).startTime, listModules(target), worker, "held");
  } catch (error) {
    await worker.end();
    throw error;
  }
}

const targetWorkerUrl = new URL("./target-worker.js", import.meta.url);
const drainWorkerUrl = new URL("./drain-worker.js", import.meta.url);

/** One process that Patchbay has its hands on. `close` it in the end. */
export class Session {
  readonly pid: Pid;
  readonly modules: ModuleList;
  readonly #worker: WorkerClient<TargetHandlers>;
  readonly #startTime: number;
  readonly #clock: ClockReading;
  /** The memory of the program as it is now; of the one that exec brings, nothing is seen there. */
  readonly #image: ProcessMemory;
  readonly #entry: bigint;
  #isClosed = false;
  #launched: "held" | "running" | undefined;
  /** What goes on in the process; one thing at a time. */
  #running: Recording | Observation | undefined;
  #catalogue: Catalogue | undefined;
  #more: MoreSites = {};

  /** @internal use `attach` or `launch`. */
  constructor(
    pid: Pid,
    startTime: number,
    modules: ModuleList,
    worker: WorkerClient<TargetHandlers>,
    launched: "held" | undefined,
  ) {
    this.pid = pid;
    this.modules = modules;
    this.#worker = worker;
    this.#launched = launched;
    this.#startTime = startTime;
    this.#clock = readClocks();
    this.#image = new ProcessMemory(pid);
    this.#entry = modules.modules.map(({ program, bias }) => program.elf.entry + bias)[0] ?? 0n;
  }

  get #functions(): Catalogue {
    const doing = `trace functions of process ${this.pid}`;
    this.#catalogue ??= makeCatalogue(doing, this.modules.modules, this.#more);
    return this.#catalogue;
  }

  /** From now on, these sites count beside those that compilers left. */
  useSites({ prologues = false, libcalls = false, probes = false }: MoreSites): void {
    const more = { prologues, libcalls, probes };
    if (JSON.stringify(more) !== JSON.stringify(this.#more)) this.#catalogue = undefined;
    this.#more = more;
  }

  /** The functions that `filter` names. */
  select({ include = [], exclude = [] }: Partial<SiteFilter> = {}): readonly CataloguedFunction[] {
    const doing = `trace functions of process ${this.pid}`;
    const { filter, notrace } = resolveFilter(doing, this.#functions, { include, exclude });
    const isNamed = (site: number): boolean => include.length === 0 || filter.sites.has(site);
    return this.#functions.functions.filter(({ id }) => isNamed(id) && !notrace.sites.has(id));
  }

  /** Makes sure that nothing goes on yet, and that `filter` names something; for `doing`. */
  #prepare(doing: string, { filter, ...more }: ObserveOptions): Catalogue {
    if (this.#running !== undefined) {
      throw new PatchbayError({
        code: "bad-usage",
        doing: `${doing} process ${this.pid}`,
        why: "this session is tracing it already",
      });
    }
    this.useSites(more);
    // A filter that names nothing is refused before anything is touched.
    this.select(filter);
    return this.#functions;
  }

  /** Brings in what tracing needs, with rings of this shape. */
  #inject(
    catalogue: Catalogue,
    rings: Pick<ArenaShape, "ringCount" | "slotCount">,
    { overwrite, vendorRules }: { overwrite: boolean; vendorRules: VendorRules | undefined },
  ) {
    const counterBytes = pageBytes * Math.ceil((catalogue.functions.length * 8) / pageBytes);
    const shape = { ...rings, programBytes: programBytesDefault, counterBytes };
    const options = { shape, overwrite, rules: vendorRules ?? machineRules() };
    const facts = targetFacts(this.modules.modules);
    const sites = toSiteTable(catalogue);
    return this.#worker
      .call("inject", this.pid, facts, sites, options)
      .then((injected) => ({ ...injected, shape }));
  }

  /**
   * Starts counting calls, without a trace; nothing else may go on in this session. A program that
   * was launched starts to run.
   */
  async observe(options: ObserveOptions = {}): Promise<Observation> {
    const { pid } = this;
    const catalogue = this.#prepare("observe", options);
    const { vendorRules } = options;
    // Nothing is recorded: the smallest ring that there can be.
    const rings = { ringCount: 1, slotCount: pageBytes / eventBytes };
    await this.#inject(catalogue, rings, { overwrite: false, vendorRules });
    const tracing = new Tracing({ pid, target: this.#worker, catalogue });
    const observation = new Observation(tracing, () => this.status());
    this.#running = observation;
    try {
      await tracing.register("count", { kind: "count" }, options.filter);
      await this.run();
    } catch (error) {
      await observation.stop("counting could not begin").catch(() => undefined);
      throw error;
    }
    return observation;
  }

  /** Starts recording; one recording at a time. A program that was launched starts to run. */
  async record(options: RecordOptions): Promise<Recording> {
    const catalogue = this.#prepare("record", options);
    const { flightRecorder = false, exits = true, vendorRules } = options;
    const rings = {
      ringCount: options.threadsMax ?? threadsDefault,
      slotCount: (options.ringBytes ?? ringBytesDefault) / eventBytes,
    };
    const injected = await this.#inject(catalogue, rings, {
      overwrite: flightRecorder,
      vendorRules,
    });
    const data: DrainWorkerData = {
      wake: new SharedArrayBuffer(4),
      start: {
        pid: this.pid,
        arenaFd: injected.arenaFd,
        shape: injected.shape,
        overwrite: flightRecorder,
        table: injected.table,
        path: options.directory,
        session: await this.#describe(options),
      },
    };
    const drain = new WorkerClient<DrainHandlers>(drainWorkerUrl, "drain worker", data, data.wake);
    const recording = new Recording({
      pid: this.pid,
      status: () => this.status(),
      target: this.#worker,
      drain,
      directory: options.directory,
      exits: exits && injected.exits,
      catalogue,
      clock: this.#clock,
    });
    this.#running = recording;
    try {
      await drain.call("open");
      await recording.register("record", { kind: "record", exits }, options.filter);
      await this.run();
    } catch (error) {
      // Why it could not begin is what counts, not that there is no trace to finish.
      await recording.stop("recording could not begin").catch(() => undefined);
      throw error;
    }
    return recording;
  }

  /** Lets a launched program run. */
  async run(): Promise<void> {
    if (this.#launched !== "held") return;
    await this.#worker.call("release");
    this.#launched = "running";
  }

  /** How the process is; of one that was not launched here, only whether it is there. */
  async status(): Promise<ExitStatus> {
    if (this.#launched !== undefined) {
      const status = await this.#worker.call("status");
      if (status.kind !== "running") return status;
    } else if (!isAlive(this.pid, this.#startTime)) return { kind: "gone" };
    if (this.#image.isThere(this.#entry)) return { kind: "running" };
    return { kind: hasMemory(this.pid) ? "replaced" : "running" };
  }

  async #describe(options: RecordOptions): Promise<SessionStart> {
    const { directory: _, ...shown } = options;
    return {
      tool: "patchbay",
      command: commandLine(this.pid),
      pid: this.pid,
      architecture: "x86-64",
      host: hostname(),
      clock: await this.#calibrate(),
      modules: this.modules.modules.map(({ path, program }) => ({
        path,
        buildId: program.buildId,
      })),
      options: JSON.parse(JSON.stringify(shown)),
    };
  }

  /** The clock's speed since the session began, over at least `calibrationMs`. */
  async #calibrate(): Promise<TraceClock> {
    const passed = Number(process.hrtime.bigint() - this.#clock.monotonicNs) / 1e6;
    if (passed < calibrationMs) {
      await new Promise((resolve) => setTimeout(resolve, calibrationMs - passed));
    }
    return measureClock(this.#clock);
  }

  /**
   * Ends what is going on and lets the process go as it was. A program that was launched and has
   * not run yet never will.
   */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const running = this.#running;
    try {
      if (running?.isEnding === true) await running.ended.catch(() => undefined);
      else await running?.stop("the session was closed");
    } finally {
      if (this.#launched === "held") await this.#worker.call("abandon");
      await this.#worker.end();
      this.#image[Symbol.dispose]();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
