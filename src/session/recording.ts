/**
 * One recording: ops in the register, sites that follow them, rings that are drained. It ends when
 * it is told to, or with the process; then the process is as it was and the trace is whole.
 */
import { PatchbayError } from "../base/error.ts";
import { thunkWork } from "../codegen/x86-64/record.ts";
import { type Handler, makeOps, type Ops } from "../ftrace/ops.ts";
import { describeConflict, type EnabledSite, Registry, type Update } from "../ftrace/registry.ts";
import type { ClockReading } from "../os/tsc.ts";
import type { ChangeResult, RemoveResult } from "../target/injection.ts";
import type { TracedFunction } from "../trace/functions.ts";
import {
  type Catalogue,
  type CataloguedFunction,
  resolveFilter,
  type SiteFilter,
} from "./catalogue.ts";
import type { DrainTotals } from "./drain.ts";
import type { DrainHandlers } from "./drain-worker.ts";
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
  /** Changes of sites by the protocol that made them; `stop`: while all threads were held. */
  readonly protocols: ChangeResult["protocols"];
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
  /** Whether returns can be hooked. */
  readonly exits: boolean;
  readonly catalogue: Catalogue;
  readonly clock: ClockReading;
};

export class Recording {
  readonly directory: string;
  /** Settles when the recording has ended, for whatever reason; fails where data was at risk. */
  readonly ended: Promise<RecordingSummary>;
  readonly #parts: Parts;
  readonly #registry: Registry;
  readonly #settle: {
    readonly resolve: (summary: RecordingSummary) => void;
    readonly reject: (error: unknown) => void;
  };
  readonly #named = new Set<number>();
  readonly #refused = new Set<number>();
  #changes: ChangeResult = {
    refused: [],
    protocols: { store: 0, cover: 0, coverSeveral: 0, skip: 0, spin: 0, stop: 0 },
    pauseMs: 0,
  };
  #watch: NodeJS.Timeout | undefined;
  #locating: Promise<void> = Promise.resolve();
  #stopping: Promise<RecordingSummary> | undefined;

  /** @internal use `Session.record`. */
  constructor(parts: Parts) {
    this.#parts = parts;
    this.directory = parts.directory;
    this.#registry = new Registry(parts.catalogue.functions.length);
    const { promise, ...settle } = deferred<RecordingSummary>();
    this.ended = promise;
    // Whoever does not await the end learns of a failure from `stop`.
    promise.catch(() => undefined);
    this.#settle = settle;
    this.#scheduleWatch();
  }

  /**
   * Registers an ops: `handler` happens at the functions that `filter` names, beside what other
   * ops want there.
   */
  async register(name: string, handler: Handler, filter: Partial<SiteFilter> = {}): Promise<Ops> {
    const doing = `trace functions of process ${this.#parts.session.pid}`;
    const ops = makeOps(name, handler, this.#hashes(doing, filter));
    const result = this.#registry.register(ops);
    if (!result.ok) {
      const why = describeConflict(result.error, (site) => this.#nameOf(site));
      throw new PatchbayError({ code: "unsupported", doing: `register ${name}`, why });
    }
    await this.#apply(result.value);
    return ops;
  }

  /** Takes an ops away. */
  async unregister(ops: Ops): Promise<void> {
    await this.#apply(this.#registry.unregister(ops));
  }

  /** Gives an ops another filter; the ops that is registered from now on. */
  async setFilter(ops: Ops, filter: Partial<SiteFilter>): Promise<Ops> {
    const doing = `change the filter of ${ops.name}`;
    const next = makeOps(ops.name, ops.handler, this.#hashes(doing, filter));
    const result = this.#registry.modify(ops, next);
    if (!result.ok) {
      const why = describeConflict(result.error, (site) => this.#nameOf(site));
      throw new PatchbayError({ code: "unsupported", doing, why });
    }
    await this.#apply(result.value);
    return next;
  }

  /** Switches all functions off, or those back on that some ops wants (ftrace's tracing_on). */
  async setEnabled(on: boolean): Promise<void> {
    await this.#apply(this.#registry.setEnabled(on));
  }

  /** What is enabled now, as ftrace's enabled_functions lists it. */
  enabledFunctions(): readonly (EnabledSite & { readonly name: string })[] {
    return [...this.#registry.enabledSites()].map((one) => ({
      ...one,
      name: this.#nameOf(one.site),
    }));
  }

  /** Calls so far of functions that `count` ops want: function and count, most first. */
  async counts(): Promise<readonly { readonly name: string; readonly calls: number }[]> {
    const counts = await this.#parts.target.call("counters");
    return this.#parts.catalogue.functions
      .map(({ id }) => ({ name: this.#nameOf(id), calls: counts[id] ?? 0 }))
      .filter(({ calls }) => calls > 0)
      .sort((a, b) => b.calls - a.calls);
  }

  #hashes(doing: string, { include = [], exclude = [] }: Partial<SiteFilter>) {
    return resolveFilter(doing, this.#parts.catalogue, { include, exclude });
  }

  #nameOf(site: number): string {
    const found = this.#parts.catalogue.functions[site];
    return found?.demangled ?? found?.name ?? `site ${site}`;
  }

  /** Carries an update out in the process. */
  async #apply(update: Update): Promise<void> {
    if (update.length === 0) return;
    const sites = Uint32Array.from(update, ({ site }) => site);
    const work = Uint8Array.from(update, ({ ops }) => workOf(ops));
    await this.#name(sites);
    const result = await this.#parts.target.call("change", { sites, work });
    for (const site of result.refused) this.#refused.add(site);
    this.#registry.disableSites(result.refused);
    this.#changes = addResults(this.#changes, result);
    if (result.refused.length < update.length) return;
    throw new PatchbayError({
      code: "bad-site",
      doing: `change ${update.length} functions`,
      why: "the bytes in memory are not those of the file at any of them",
      hint: "another tool may have patched them; `patchbay sites PID` shows what stands there",
    });
  }

  /** Names functions in the trace before the first event of theirs can be in it. */
  async #name(sites: Uint32Array): Promise<void> {
    const { drain, catalogue, exits } = this.#parts;
    const fresh = [...sites].filter((site) => !this.#named.has(site));
    if (fresh.length === 0) return;
    for (const site of fresh) this.#named.add(site);
    const functions = fresh.flatMap((site) => catalogue.functions[site] ?? []);
    await drain.call(
      "addFunctions",
      functions.map((one) => describe(one, exits)),
    );
    const before = this.#locating;
    this.#locating = before.then(() => this.#locate(functions));
    // Awaited at the end of the recording, where its failure counts.
    this.#locating.catch(() => undefined);
  }

  /** Adds the functions' source lines to the trace, a few at a time: debug information is large. */
  async #locate(functions: readonly CataloguedFunction[]): Promise<void> {
    const { drain, exits } = this.#parts;
    const located: TracedFunction[] = [];
    for (const [index, one] of functions.entries()) {
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
    return { ...totals, functions: this.#functions() };
  }

  #functions(): number {
    return [...this.#registry.enabledSites()].length;
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
    else if (failure !== null) await this.#end(failure.why, status);
    else if (this.#stopping === undefined) this.#scheduleWatch();
  }

  /** Whether it has ended or is about to: who was to be told of a failure has been told. */
  get isEnding(): boolean {
    return this.#stopping !== undefined;
  }

  /**
   * Ends the recording: the process is as it was before, the trace is whole. Fails where data was
   * lost that nothing counts (a full disk); the process is as it was all the same.
   */
  async stop(reason = "stopped"): Promise<RecordingSummary> {
    const status = await this.#parts.session.status();
    return this.#end(status.kind === "running" ? reason : describeExit(status), status);
  }

  #end(reason: string, exit: ExitStatus): Promise<RecordingSummary> {
    this.#stopping ??= this.#finish(reason, exit).then(
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

  async #finish(reason: string, exit: ExitStatus): Promise<RecordingSummary> {
    clearTimeout(this.#watch);
    const { drain, target, clock, directory, exits } = this.#parts;
    const functions = this.#functions();
    try {
      const removed = exit.kind === "running" ? await remove(target) : undefined;
      await this.#locating;
      const wallNs = BigInt(Date.now()) * 1_000_000n;
      const totals = await drain.call("finish", { wallNs, reason, clock: measureClock(clock) });
      const { protocols, agentless, pauseMs } = this.#changes;
      return {
        ...totals,
        functions,
        directory,
        reason,
        exit,
        refused: [...this.#refused].map((site) => this.#nameOf(site)),
        exits,
        protocols,
        ...(agentless === undefined ? {} : { agentless }),
        pauseMs: Math.max(pauseMs, removed?.pauseMs ?? 0),
        ...(removed?.left === undefined ? {} : { left: removed.left }),
      };
    } finally {
      await drain.end();
    }
  }
}

/** What a thunk has to do for all ops of a site. */
function workOf(ops: readonly Ops[]): number {
  let work = 0;
  for (const { handler, name } of ops) {
    if (handler.kind === "record") {
      work |= thunkWork.entry | (handler.exits ? thunkWork.exit : 0);
    } else if (handler.kind === "count") work |= thunkWork.count;
    else {
      throw new PatchbayError({
        code: "unsupported",
        doing: `let ${name} work`,
        why: `handlers of kind ${handler.kind} can't be carried out in a process yet`,
      });
    }
  }
  return work;
}

/** Changes so far and one more. */
function addResults(a: ChangeResult, b: ChangeResult): ChangeResult {
  const agentless = b.agentless ?? a.agentless;
  return {
    refused: [],
    protocols: {
      store: a.protocols.store + b.protocols.store,
      cover: a.protocols.cover + b.protocols.cover,
      coverSeveral: a.protocols.coverSeveral + b.protocols.coverSeveral,
      skip: a.protocols.skip + b.protocols.skip,
      spin: a.protocols.spin + b.protocols.spin,
      stop: a.protocols.stop + b.protocols.stop,
    },
    pauseMs: Math.max(a.pauseMs, b.pauseMs),
    ...(agentless === undefined ? {} : { agentless }),
  };
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

const describe = (one: CataloguedFunction, exits: boolean): TracedFunction => ({
  site: one.id,
  name: one.name,
  demangled: one.demangled,
  module: one.module.path,
  address: one.at,
  entriesOnly: !exits || one.site.entriesOnly !== undefined,
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
