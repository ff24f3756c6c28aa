/**
 * One recording: ops in the register, sites that follow them, rings that are drained. It ends when
 * it is told to, or with the process; then the process is as it was and the trace is whole.
 */
import { linkAddr, type Pid } from "../base/brand.ts";
import type { DispatchForm } from "../ftrace/dispatch.ts";
import type { Handler } from "../ftrace/ops.ts";
import type { ChangeResult } from "../target/injection.ts";
import type { TracedFunction } from "../trace/functions.ts";
import type { SiteFilter } from "./catalogue.ts";
import type { SessionClock } from "./clock.ts";
import type { CoarseClock } from "./coarse-clock.ts";
import type { DrainTotals } from "./drain.ts";
import type { DrainLink } from "./drain-link.ts";
import type { ExecFollower, Unfollowed } from "./exec-follower.ts";
import { type Cause, Lifetime } from "./lifetime.ts";
import type { Module } from "./process-modules.ts";
import { type RecordPlan, refuseLater } from "./record-plan.ts";
import type { AnnouncedFunction, CallCount, RegisteredOps, Seat } from "./seat.ts";
import type { ExitStatus } from "./target-worker.ts";
import type { ThreadFilter } from "./thread-filter.ts";
import type { DispatchCounts, EnabledFunction } from "./tracing.ts";

/** Totals so far; rates are for the caller to make of two of them. */
export type RecordingProgress = DrainTotals & {
  /** Functions that are traced. */
  readonly functions: number;
};

/** How a recording went. */
export type RecordingSummary = RecordingProgress & {
  readonly directory: string;
  /** Why it ended, in a few words. */
  readonly reason: string;
  /** How the program ended, if it did. */
  readonly exit: ExitStatus;
  /** Functions that were not traced because their bytes were not what they should be. */
  readonly refused: readonly string[];
  /** Functions that were not traced because no memory is free that they reach. */
  readonly outOfReach: readonly string[];
  /** False when only entries could be recorded: no room for a mirror of the stacks. */
  readonly exits: boolean;
  /** Functions by how they reached their ops in the end. */
  readonly dispatches: DispatchCounts;
  /** Changes of sites by the protocol that made them; `stop`: while all threads were held. */
  readonly protocols: ChangeResult["protocols"];
  /** Why threads had to be held for patching, if they had to. */
  readonly agentless?: string;
  /** Why it was not recorded what a longjmp leaves, though one may have come. */
  readonly jumpsUnseen?: string;
  /** Longest time that all threads were held, in ms. */
  readonly pauseMs: number;
  /** What had to be left in the process, and why. */
  readonly left?: string;
  /** Programs that were recorded, of a recording that follows execs. */
  readonly programs?: number;
  /** Programs that could not be followed, and why. */
  readonly unfollowed?: readonly Unfollowed[];
};

/** Functions whose source lines are looked up before other work gets its turn. */
const locateAtOnce = 500;

type Parts = {
  readonly pid: Pid;
  readonly status: () => Promise<ExitStatus>;
  /** Why there is nothing to trace with any more, if that is so. */
  readonly failure: () => string | undefined;
  readonly drain: DrainLink;
  readonly directory: string;
  /** Whether returns are recorded, and can be. */
  readonly exits: boolean;
  readonly modules: readonly Module[];
  readonly clock: SessionClock;
  /** What events are stamped with instead, where that was asked for. */
  readonly coarse: CoarseClock | undefined;
  readonly threadFilter: ThreadFilter | undefined;
  /** What it began with. */
  readonly plan: RecordPlan;
  /** Goes on with the recording in the programs that the process becomes. */
  readonly follower: ExecFollower | undefined;
};

export class Recording {
  readonly directory: string;
  readonly #parts: Parts;
  readonly #seat: Seat;
  readonly #lifetime: Lifetime<RecordingSummary>;
  #locating: Promise<void> = Promise.resolve();

  /** @internal use `Session.record`. */
  constructor(parts: Parts, seat: Seat) {
    this.#parts = parts;
    this.#seat = seat;
    this.directory = parts.directory;
    const { pid, status, drain, coarse } = parts;
    this.#lifetime = new Lifetime({
      pid,
      status,
      failure: async () => (await drain.failure()) ?? coarse?.failure ?? parts.failure(),
      finish: (cause) => this.#finish(cause),
    });
  }

  /** Settles when the recording has ended, for whatever reason; fails where data was at risk. */
  get ended(): Promise<RecordingSummary> {
    return this.#parts.follower?.ended ?? this.#lifetime.ended;
  }

  /** @internal the same of this program alone. */
  get imageEnded(): Promise<RecordingSummary> {
    return this.#lifetime.ended;
  }

  /** Registers an ops: see `Seat.register`. */
  async register(
    name: string,
    handler: Handler,
    filter: Partial<SiteFilter> = {},
  ): Promise<RegisteredOps> {
    refuseLater(this.#parts.plan, handler);
    return this.#seat.register(name, handler, filter);
  }

  /** Takes an ops away. */
  unregister(ops: RegisteredOps): Promise<void> {
    return this.#seat.unregister(ops);
  }

  /** Gives an ops another filter; the ops that is registered from now on. */
  setFilter(ops: RegisteredOps, filter: Partial<SiteFilter>): Promise<RegisteredOps> {
    return this.#seat.setFilter(ops, filter);
  }

  /** Gives an ops another handler. */
  async setHandler(ops: RegisteredOps, handler: Handler): Promise<RegisteredOps> {
    refuseLater(this.#parts.plan, handler);
    return this.#seat.setHandler(ops, handler);
  }

  /** Takes all ops of this recording out of the process, or puts them back (tracing_on). */
  setEnabled(on: boolean): Promise<void> {
    return this.#seat.setEnabled(on);
  }

  /** Lets all functions of the process reach their ops in another way, where that is possible. */
  setDispatch(form: DispatchForm | undefined): Promise<void> {
    return this.#seat.setDispatch(form);
  }

  /** What is enabled in the process now, as ftrace's enabled_functions lists it. */
  enabledFunctions(): Promise<readonly EnabledFunction[]> {
    return this.#seat.enabledFunctions();
  }

  /** Calls so far of functions that `count` ops want, most first. */
  counts(): Promise<readonly CallCount[]> {
    return this.#seat.counts();
  }

  /** @internal names functions in the trace before the first event of theirs can be in it. */
  async announce(functions: readonly AnnouncedFunction[]): Promise<void> {
    const { drain } = this.#parts;
    await drain.addFunctions(functions.map((one) => this.#describe(one)));
    const before = this.#locating;
    this.#locating = before.then(() => this.#locate(functions));
    // Awaited at the end of the recording, where its failure counts.
    this.#locating.catch(() => undefined);
  }

  /** Adds the functions' source lines to the trace, a few at a time: debug information is large. */
  async #locate(functions: readonly AnnouncedFunction[]): Promise<void> {
    const { drain, modules } = this.#parts;
    const programs = new Map(modules.map(({ path, program }) => [path, program]));
    const located: TracedFunction[] = [];
    for (const [index, one] of functions.entries()) {
      const line = programs.get(one.module)?.sourceLine(linkAddr(one.linkAddress));
      if (line !== undefined) located.push({ ...this.#describe(one), ...line });
      if (index % locateAtOnce !== 0) continue;
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#lifetime.isEnding) break;
    }
    if (located.length > 0) await drain.addFunctions(located);
  }

  async progress(): Promise<RecordingProgress> {
    const totals = await this.#parts.drain.totals();
    return { ...totals, functions: (await this.#seat.state()).functions };
  }

  /**
   * Writes what the rings hold at this moment into the trace, and goes on: with `flightRecorder`,
   * the latest events, which otherwise stay in memory until the end. Totals after that.
   */
  async snapshot(): Promise<DrainTotals> {
    return this.#parts.drain.snapshot();
  }

  /** Whether it has ended or is about to: who was to be told of a failure has been told. */
  get isEnding(): boolean {
    return this.#parts.follower?.isEnding ?? this.#lifetime.isEnding;
  }

  /**
   * Ends the recording: the process is as it was before, the trace is whole. Fails where data was
   * lost that nothing counts (a full disk); the process is as it was all the same.
   */
  stop(reason = "stopped"): Promise<RecordingSummary> {
    return this.#parts.follower?.stop(reason) ?? this.stopImage(reason);
  }

  /** @internal the same of this program alone. */
  stopImage(reason: string): Promise<RecordingSummary> {
    return this.#lifetime.stop(reason);
  }

  async #finish(cause: Cause): Promise<RecordingSummary> {
    const { drain, clock, coarse, directory, exits } = this.#parts;
    const seat = this.#seat;
    try {
      this.#parts.threadFilter?.[Symbol.dispose]();
      const { functions, dispatches } = await seat.state();
      // A drain that has broken down is no reason to leave the process as it is.
      await drain.settle().catch(() => undefined);
      const removed = await seat.leave(cause.exit.kind === "running");
      await this.#locating;
      const { reason, exit } = await this.#lifetime.latest(cause);
      const wallNs = BigInt(Date.now()) * 1_000_000n;
      const measured = clock.measure(coarse?.steps);
      const totals = await drain.finish({ wallNs, reason, clock: measured });
      const { changes, refused, outOfReach, jumpsUnseen } = await seat.state();
      const { protocols, agentless, pauseMs } = changes;
      return {
        ...totals,
        functions,
        directory,
        reason,
        exit,
        refused,
        outOfReach,
        exits,
        dispatches,
        protocols,
        ...(agentless === undefined ? {} : { agentless }),
        ...(jumpsUnseen === undefined ? {} : { jumpsUnseen }),
        pauseMs: Math.max(pauseMs, removed?.pauseMs ?? 0),
        ...(removed?.left === undefined ? {} : { left: removed.left }),
      };
    } finally {
      await drain.end();
      await coarse?.end();
      await seat.release();
    }
  }

  #describe(one: AnnouncedFunction): TracedFunction {
    const facts = this.#parts.plan.valueFacts?.get(one.site);
    return { ...one, ...facts, entriesOnly: one.entriesOnly === true || !this.#parts.exits };
  }
}
