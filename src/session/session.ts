/**
 * The public way in: `attach` to a running process or `launch` a program, `record` some of its
 * functions into a trace directory, and let it go as it was.
 *
 * Three threads: this one coordinates; the target worker makes all ptrace calls; the drain worker
 * empties the rings.
 */
import type { Pid } from "../base/brand.ts";
import type { Machine } from "../elf/elf-file.ts";
import { hasMemory, isAlive, ProcessMemory, readStat } from "../os/proc.ts";
import { nsPerTick } from "../trace/clock.ts";
import { type About, describeProcess } from "./about.ts";
import { refuseFollowing, refuseFollowingExecs, refuseSignals } from "./attachable.ts";
import {
  type CataloguedFunction,
  resolveFilter,
  type SiteFilter,
  withoutGates,
} from "./catalogue.ts";
import { clockOf, SessionClock } from "./clock.ts";
import { planClock } from "./coarse-clock.ts";
import { runCommand } from "./console.ts";
import type { DrainLink } from "./drain-link.ts";
import type { FollowedSession, Following, HeldImage } from "./exec-follower.ts";
import { own } from "./meet.ts";
import type { MoreSites } from "./more-sites.ts";
import type { NativeLibrary } from "./native-library.ts";
import { Observation } from "./observation.ts";
import { planObservation } from "./observe-plan.ts";
import {
  noRings,
  type ObserveOptions,
  type RecordOptions,
  recordRequestOf,
  requestOf,
} from "./options.ts";
import { orElse } from "./or-else.ts";
import { Owner } from "./owner.ts";
import type { ModuleList } from "./process-modules.ts";
import { noFrameWords, registerCalls } from "./record-details.ts";
import { planRecording } from "./record-plan.ts";
import { Recording } from "./recording.ts";
import { RemoteHost } from "./remote-host.ts";
import { type Announce, type RegisteredOps, type Seat, type SeatRequest, vacate } from "./seat.ts";
import type { ExitStatus } from "./target-worker.ts";
import { ThreadFilter } from "./thread-filter.ts";
import { joinTrace, newTrace } from "./trace-start.ts";
import type { EnabledFunction } from "./tracing.ts";
import { armTriggers, markFunctions, registerTriggers } from "./triggers.ts";
import { reserveName, stopWork, type User } from "./user.ts";

/** One process that Patchbay has its hands on. `close` it in the end. */
export class Session {
  readonly pid: Pid;
  readonly modules: ModuleList;
  readonly #about: About;
  readonly #host: Owner | RemoteHost;
  readonly #clock: SessionClock;
  readonly #architecture: Machine;
  /** The memory of the program as it is now; of the one that exec brings, nothing is seen there. */
  readonly #image: ProcessMemory;
  readonly #entry: bigint;
  /** By name; undefined while one begins. */
  readonly #users = new Map<string, User | undefined>();
  #isClosed = false;
  /** Set where somebody who follows its execs knows better than the kernel would tell. */
  #exit: ExitStatus | undefined;
  #isStatusHeld = false;
  #more: MoreSites = {};

  /** @internal use `attach` or `launch`. */
  constructor(about: About, host: Owner | RemoteHost) {
    this.pid = about.pid;
    this.modules = about.list;
    this.#about = about;
    this.#host = host;
    if (host instanceof Owner) host.serve((words, folder) => runCommand(this, words, folder));
    this.#architecture = about.modules[0]?.program.elf.machine ?? "x86-64";
    this.#clock = new SessionClock(clockOf(this.#architecture));
    this.#image = new ProcessMemory(about.pid);
    this.#entry = about.modules.map(({ program, bias }) => program.elf.entry + bias)[0] ?? 0n;
  }

  /** The Patchbay process that had attached before and was joined; undefined for the first one. */
  get joined(): number | undefined {
    return this.#host instanceof RemoteHost ? this.#host.owner : undefined;
  }

  /** Other Patchbay processes that have joined this one and trace. */
  get guests(): number {
    return this.#host instanceof Owner ? this.#host.guests : 0;
  }

  /** Settles when the last guest has gone, or `signal` says that it does not matter. */
  async guestsGone(signal: AbortSignal): Promise<void> {
    if (this.#host instanceof Owner) await this.#host.guestsGone(signal);
  }

  /** From now on, these sites count beside those that compilers left. */
  useSites({
    prologues = false,
    libcalls = false,
    probes = false,
    execs = false,
    forks = false,
  }: MoreSites): void {
    this.#more = { prologues, libcalls, probes, execs, forks };
  }

  /** The functions that `filter` names. */
  select(
    { include = [], exclude = [] }: Partial<SiteFilter> = {},
    mayBeEmpty = false,
  ): readonly CataloguedFunction[] {
    const doing = `trace functions of process ${this.pid}`;
    const catalogue = withoutGates(this.#about.catalogue(this.#more));
    const terms = { include, exclude };
    const { filter, notrace } = resolveFilter(doing, catalogue, terms, mayBeEmpty);
    const isNamed = (site: number): boolean => include.length === 0 || filter.sites.has(site);
    return catalogue.functions.filter(({ id }) => isNamed(id) && !notrace.sites.has(id));
  }

  /** A filter that names nothing is refused before anything is touched. */
  #check({ filter, ...more }: ObserveOptions): void {
    this.useSites(more);
    this.select(filter, more.execs);
  }

  /** Starts counting calls, beside whatever else goes on. A launched program starts to run. */
  async observe(options: ObserveOptions = {}): Promise<Observation> {
    this.#check(options);
    const { times = true, threads } = options;
    const { handler, frameWords, needsEnds, values } = planObservation(options, (glob) =>
      this.select({ include: [glob] }),
    );
    const name = reserveName(times ? "stat" : "count", this.#users);
    const request = requestOf(name, handler.kind === "count" ? noRings : "statistics", options);
    let observation: Observation | undefined;
    const seat = await this.#sit(
      { ...request, frameWords, valueTables: values.length },
      async (functions) => observation?.announce(functions),
    );
    if (needsEnds && !(seat.rings.hasFrameWords && seat.rings.exits)) {
      await vacate(seat);
      throw noFrameWords(this.pid, "choose them by arguments, threads or --sample");
    }
    observation = new Observation({
      pid: this.pid,
      seat,
      handler,
      values,
      threadFilter:
        threads === undefined ? undefined : new ThreadFilter(this.pid, seat.rings, threads),
      status: () => this.status(),
      failure: async () => this.#host.failure,
      tickNs: async () => nsPerTick(await this.#clock.calibrate()),
    });
    const watching = observation;
    await this.#begin(name, { kind: "count", observation: watching }, seat, () =>
      watching.begin(name, options.filter ?? {}),
    );
    return watching;
  }

  /** Starts recording, beside whatever else goes on. A launched program starts to run. */
  async record(options: RecordOptions): Promise<Recording> {
    const { followForks = false, followExecs = false } = options;
    if (followForks || followExecs) refuseFollowing(this.pid, this.#architecture);
    if (options.signals === true) refuseSignals(this.pid, this.#architecture);
    if (followExecs) refuseFollowingExecs(this.pid, this.joined, options);
    return this.#record({ ...options, execs: followExecs, forks: followForks });
  }

  /** @param into the recording that follows execs, of which this is one more program. */
  async #record(options: RecordOptions, into?: Following): Promise<Recording> {
    this.#check(options);
    const { exits = true, directory, filter, followForks = false, threads } = options;
    const select = (wanted: Partial<SiteFilter> | undefined): readonly CataloguedFunction[] =>
      this.select(wanted, options.followExecs);
    const plan = planRecording(this.pid, options, select);
    const name = reserveName("record", this.#users);
    const sleepNs = planClock(options.clock, this.pid, this.#architecture, plan.handler.when);
    const request = recordRequestOf(name, options, plan.frameWords, sleepNs !== undefined);
    let recording: Recording | undefined;
    const seat = await this.#sit(request, async (functions) => recording?.announce(functions));
    const trace = await orElse(
      () => vacate(seat),
      async () => {
        if (plan.frameWords > 0 && !seat.rings.hasFrameWords) {
          throw noFrameWords(this.pid, "record all calls, and choose when reading the trace");
        }
        const parts = { about: this.#about, clock: this.#clock, sleepNs };
        if (into !== undefined) return joinTrace(parts, seat.rings, plan, into);
        return newTrace(parts, seat.rings, options, plan, (...held) => Session.#adopt(...held));
      },
    );
    const threadFilter =
      threads === undefined ? undefined : new ThreadFilter(this.pid, seat.rings, threads);
    recording = new Recording(
      {
        pid: this.pid,
        status: () => (followForks ? this.#statusOfAll(trace.link) : this.status()),
        failure: () => this.#host.failure,
        drain: trace.link,
        directory,
        exits: exits && seat.rings.exits,
        modules: this.#about.modules,
        clock: this.#clock,
        coarse: trace.coarse,
        threadFilter,
        plan,
        follower: into === undefined ? trace.follower : undefined,
      },
      seat,
    );
    const image = trace.follower?.add(this.#followed(), recording, trace.link.image);
    await this.#begin(name, { kind: "record", recording }, seat, async () => {
      await trace.open();
      const { triggers, values, handler } = plan;
      if (triggers.length > 0 || options.startsOff === true) {
        armTriggers(seat.rings, triggers, options.startsOff === true);
        const [program] = this.#about.modules;
        await recording?.announce(markFunctions(seat.rings, program?.path ?? ""));
        await registerTriggers(seat, triggers, handler);
      }
      const ops = await registerCalls(seat, name, handler, filter ?? {}, values);
      image?.watch(seat.rings.execFd);
      return ops;
    });
    return recording;
  }

  /** Records in a program that came by exec and is held. Whatever happens, it runs. */
  static async #adopt(
    { worker, pid, isOurs }: HeldImage,
    options: RecordOptions,
    into: Following,
  ): Promise<void> {
    const letGo = async (): Promise<void> => {
      await worker.call("release").catch(() => undefined);
      await worker.end();
    };
    const session = await orElse(letGo, async () => {
      const about = describeProcess(pid, readStat(pid).startTime);
      const ownership = own(pid, about.startTime);
      const held = { isOurs, isNew: false };
      return new Session(about, await Owner.of({ ...about, worker, ownership, held }));
    });
    await orElse(
      () => session.close(),
      () => session.#record(options, into),
    );
  }

  /** This session as whoever follows its execs needs it. */
  #followed(): FollowedSession {
    return {
      pid: this.pid,
      isOurs: this.#host instanceof Owner && this.#host.isOurs,
      holdStatus: async () => {
        this.#isStatusHeld = true;
        // One that is being asked for has been answered then.
        await this.#host.status();
        return () => {
          this.#isStatusHeld = false;
        };
      },
      replaced: async (exit) => {
        this.#exit = exit;
        if (this.#host instanceof Owner) await this.#host.closeDoor();
      },
      close: () => this.close(),
    };
  }

  /** Gets a seat for a user whose name has been reserved. */
  #sit(request: SeatRequest, announce: Announce): Promise<Seat> {
    return orElse(
      async () => void this.#users.delete(request.name),
      () => this.#host.sit(request, announce),
    );
  }

  /** Starts what a user does, and the program if it waits for that; or ends it at once. */
  async #begin(
    name: string,
    work: User["work"],
    seat: Seat,
    start: () => Promise<RegisteredOps>,
  ): Promise<void> {
    const ended: Promise<unknown> =
      work.kind === "record" ? work.recording.ended : work.observation.ended;
    const forget = (): boolean => this.#users.delete(name);
    ended.then(forget, forget);
    try {
      const ops = await start();
      this.#users.set(name, { name, work, seat, ops, isOn: true });
      await this.run();
    } catch (error) {
      // Why it could not begin is what counts, not that there is no trace to finish.
      await stopWork(work, `${name} could not begin`).catch(() => undefined);
      throw error;
    }
  }

  /** What goes on. */
  get users(): readonly User[] {
    return [...this.#users.values()].filter((user) => user !== undefined);
  }

  /** What is enabled in the process, for whomever, as ftrace's enabled_functions lists it. */
  enabledFunctions(): Promise<readonly EnabledFunction[]> {
    return this.#host.enabledFunctions();
  }

  /** Loads a library while something is traced: `direct` handlers can call its functions. */
  loadLibrary(path: string): Promise<NativeLibrary> {
    return this.#host.loadLibrary(path);
  }

  /** Lets a launched program run. */
  async run(): Promise<void> {
    await this.#host.run();
  }

  /** How the process is; of one that was not launched here, only whether it is there. */
  async status(): Promise<ExitStatus> {
    if (this.#exit !== undefined) return this.#exit;
    if (this.#isStatusHeld) return { kind: "running" };
    const status = await this.#host.status();
    if (status !== undefined && status.kind !== "running") return status;
    const isThere = status !== undefined || isAlive(this.pid, this.#about.startTime);
    if (!isThere) return { kind: "gone" };
    if (this.#image.isThere(this.#entry)) return { kind: "running" };
    return { kind: hasMemory(this.pid) ? "replaced" : "running" };
  }

  /** The same, which runs as long as one of its children that are followed does. */
  async #statusOfAll(drain: DrainLink): Promise<ExitStatus> {
    const status = await this.status();
    // What it has become is followed by itself, if at all.
    const isLeft = status.kind === "replaced" && this.#exit === undefined;
    const hasEnded = status.kind !== "running" && !isLeft;
    return hasEnded && (await drain.isFollowing()) ? { kind: "running" } : status;
  }

  /**
   * Ends what is going on, for guests too, and lets the process go as it was. A program that was
   * launched and has not run yet never will.
   */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      for (const { work } of this.users) await stopWork(work, "the session was closed");
    } finally {
      await this.#host.close();
      this.#image[Symbol.dispose]();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
