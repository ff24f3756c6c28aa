/**
 * One recording: from the moment its sites are enabled until the process is as it was and the
 * trace is whole.
 */
import { PatchbayError } from "../base/error.ts";
import type { ClockReading } from "../os/tsc.ts";
import type { EnableResult, RemoveResult, SiteBatch } from "../target/injection.ts";
import type { TracedFunction } from "../trace/functions.ts";
import type { DrainTotals } from "./drain.ts";
import type { DrainHandlers } from "./drain-worker.ts";
import type { SelectedSite } from "./select-sites.ts";
import { measureClock, type Session } from "./session.ts";
import type { ExitStatus, TargetHandlers } from "./target-worker.ts";
import type { WorkerClient } from "./worker-rpc.ts";

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
  /** False when only entries could be recorded: no room for a mirror of the stacks. */
  readonly exits: boolean;
  /** Sites by the protocol that patched them; `stop`: while all threads were held. */
  readonly protocols: EnableResult["protocols"];
  /** Why threads had to be held for patching, if they had to. */
  readonly agentless?: string;
  /** Longest time that all threads were held, in ms. */
  readonly pauseMs: number;
  /** What had to be left in the process, and why. */
  readonly left?: string;
};

/** How often the process is looked after, in ms. */
const watchMs = 50;
/** Functions whose source lines are looked up before other work gets its turn. */
const locateAtOnce = 500;

type Parts = {
  readonly session: Session;
  readonly target: WorkerClient<TargetHandlers>;
  readonly drain: WorkerClient<DrainHandlers>;
  readonly directory: string;
  readonly exits: boolean;
  readonly selected: readonly SelectedSite[];
  readonly clock: ClockReading;
};

export class Recording {
  readonly directory: string;
  /** Settles when the recording has ended, for whatever reason; fails where data was at risk. */
  readonly ended: Promise<RecordingSummary>;
  readonly #parts: Parts;
  readonly #settle: {
    readonly resolve: (summary: RecordingSummary) => void;
    readonly reject: (error: unknown) => void;
  };
  #enabled: EnableResult = {
    refused: [],
    protocols: { store: 0, cover: 0, coverSeveral: 0, skip: 0, stop: 0 },
    pauseMs: 0,
  };
  #locating: Promise<void> = Promise.resolve();
  #watch: NodeJS.Timeout | undefined;
  #stopping: Promise<RecordingSummary> | undefined;

  /** @internal use `Session.record`. */
  constructor(parts: Parts) {
    this.#parts = parts;
    this.directory = parts.directory;
    const { promise, ...settle } = deferred<RecordingSummary>();
    this.ended = promise;
    // Whoever does not await the end learns of a failure from `stop`.
    promise.catch(() => undefined);
    this.#settle = settle;
  }

  /** @internal Names the functions in the trace and patches their sites. */
  async enable(batch: SiteBatch): Promise<void> {
    const { drain, target, selected, exits } = this.#parts;
    await drain.call(
      "addFunctions",
      selected.map((one) => describe(one, exits)),
    );
    this.#enabled = await target.call("enable", batch);
    if (this.#enabled.refused.length === batch.count) {
      throw new PatchbayError({
        code: "bad-site",
        doing: `enable ${batch.count} functions`,
        why: "the bytes in memory are not those of the file at any of them",
        hint: "another tool may have patched them; `patchbay sites PID` shows what stands there",
      });
    }
    this.#scheduleWatch();
    this.#locating = this.#locate();
    // Awaited at the end of the recording, where its failure counts.
    this.#locating.catch(() => undefined);
  }

  /** Adds the functions' source lines to the trace, a few at a time: debug information is large. */
  async #locate(): Promise<void> {
    const { selected, drain, exits } = this.#parts;
    const located: TracedFunction[] = [];
    for (const [index, one] of selected.entries()) {
      const line = one.module.program.sourceLine(one.site.functionAddr);
      if (line !== undefined) located.push({ ...describe(one, exits), ...line });
      if (index % locateAtOnce !== 0) continue;
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#stopping !== undefined) break;
    }
    if (located.length > 0) await drain.call("addFunctions", located);
  }

  async progress(): Promise<RecordingProgress> {
    const totals = await this.#parts.drain.call("totals");
    return { ...totals, functions: this.#parts.selected.length - this.#enabled.refused.length };
  }

  #scheduleWatch(): void {
    this.#watch = setTimeout(() => {
      this.#look().catch((error: unknown) => this.#settle.reject(error));
    }, watchMs);
  }

  /** Ends the recording when the process has ended or draining had to stop. */
  async #look(): Promise<void> {
    if (this.#stopping !== undefined) return;
    const { session, drain } = this.#parts;
    const status = await session.status();
    const failure = await drain.call("failure");
    if (status.kind !== "running") await this.#end(describeExit(status), status);
    else if (failure !== null) await this.#end(failure.why, status, new PatchbayError(failure));
    else if (this.#stopping === undefined) this.#scheduleWatch();
  }

  /** Ends the recording: the process is as it was before, the trace is whole. */
  async stop(reason = "stopped"): Promise<RecordingSummary> {
    const status = await this.#parts.session.status();
    return this.#end(status.kind === "running" ? reason : describeExit(status), status);
  }

  #end(reason: string, exit: ExitStatus, failure?: PatchbayError): Promise<RecordingSummary> {
    this.#stopping ??= this.#finish(reason, exit, failure).then(
      (summary) => {
        this.#settle.resolve(summary);
        return summary;
      },
      (error: unknown) => {
        this.#settle.reject(error);
        throw error;
      },
    );
    return this.#stopping;
  }

  async #finish(reason: string, exit: ExitStatus, failure?: PatchbayError) {
    clearTimeout(this.#watch);
    const { drain, target, selected, clock, directory, exits } = this.#parts;
    try {
      const removed = exit.kind === "running" ? await remove(target) : undefined;
      await this.#locating;
      const wallNs = BigInt(Date.now()) * 1_000_000n;
      const totals = await drain.call("finish", { wallNs, reason, clock: measureClock(clock) });
      if (failure !== undefined) throw failure;
      const summary: RecordingSummary = {
        ...totals,
        functions: selected.length - this.#enabled.refused.length,
        directory,
        reason,
        exit,
        refused: this.#enabled.refused.map((index) => selected[index]?.name ?? ""),
        exits,
        protocols: this.#enabled.protocols,
        ...(this.#enabled.agentless === undefined ? {} : { agentless: this.#enabled.agentless }),
        pauseMs: Math.max(this.#enabled.pauseMs, removed?.pauseMs ?? 0),
        ...(removed?.left === undefined ? {} : { left: removed.left }),
      };
      return summary;
    } finally {
      await drain.end();
    }
  }
}

/** Takes everything out of the process; one that ends meanwhile needs no more of that. */
async function remove(target: WorkerClient<TargetHandlers>): Promise<RemoveResult | undefined> {
  try {
    return await target.call("remove");
  } catch (error) {
    const ended =
      error instanceof PatchbayError &&
      (error.code === "no-such-process" || error.code === "target-exited");
    if (ended) return undefined;
    throw error;
  }
}

const describe = (one: SelectedSite, exits: boolean): TracedFunction => ({
  site: one.id,
  name: one.name,
  demangled: one.demangled,
  module: one.module.path,
  address: one.at,
  entriesOnly: !exits,
});

function describeExit(status: ExitStatus): string {
  if (status.kind === "exited") return `the program exited with status ${status.status}`;
  if (status.kind === "killed") return `the program was killed by signal ${status.signal}`;
  return status.kind === "gone" ? "the program ended" : "stopped";
}

function deferred<T>() {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: unknown) => void = () => undefined;
  const promise = new Promise<T>((onValue, onError) => {
    resolve = onValue;
    reject = onError;
  });
  return { promise, resolve, reject };
}
