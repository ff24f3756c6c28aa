/**
 * Watching the calls of functions in a process without a trace: the thunks themselves count calls
 * and add up what they take; nothing is recorded, nothing is written to disk. It ends when it is
 * told to, or with the process; then the process is as it was and the statistics are final.
 */
import { ensure } from "../base/assert.ts";
import { type Pid, siteId } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import type { Handler } from "../ftrace/ops.ts";
import { listThreads, ProcessMemory } from "../os/proc.ts";
import { lowest } from "../ring/histogram.ts";
import { StatisticsReader, type StatisticsSnapshot } from "../target/statistics.ts";
import type { SiteFilter } from "./catalogue.ts";
import { type Cause, Lifetime } from "./lifetime.ts";
import type { AnnouncedFunction, CallCount, RegisteredOps, Seat, SeatState } from "./seat.ts";
import type { ExitStatus } from "./target-worker.ts";
import type { ThreadFilter } from "./thread-filter.ts";
import type { EnabledFunction } from "./tracing.ts";
import { type CountedBy, type FunctionValue, ValueTables } from "./value-tables.ts";

/**
 * A function and what its calls took, in nanoseconds. A call within a call of the same function
 * counts as another one, with its own time. Of a function whose calls are counted by a value, there
 * is one of these for each value; its `site` is a number of its own.
 */
export type FunctionStatistics = CallCount & {
  readonly by?: CountedBy;
  /** Calls that have returned; what follows is of these, and absent where there are none. */
  readonly returned: number;
  readonly totalNs: number;
  /** Without the time in functions, counted as well, that it called. */
  readonly selfNs: number;
  readonly meanNs?: number;
  readonly minNs?: number;
  readonly maxNs?: number;
  /** Right to 6 %. */
  readonly p50Ns?: number;
  readonly p99Ns?: number;
};

/** Calls that took from `fromNs` on and less than `toNs`. */
export type DurationBucket = {
  readonly fromNs: number;
  readonly toNs: number;
  readonly calls: number;
};

type ProcessStatistics = {
  readonly functions: readonly FunctionStatistics[];
  readonly missed: number;
};

/** How an observation went. */
export type ObservationSummary = Cause & {
  /** Of each function that was called, most calls first. */
  readonly statistics: readonly FunctionStatistics[];
  /** Calls of threads for which there was no table: of which functions isn't known. */
  readonly missed: number;
  /** Functions that were watched. */
  readonly functions: number;
  /** Functions that were not watched because their bytes were not what they should be. */
  readonly refused: readonly string[];
  /** Functions that were not traced because no memory is free that they reach. */
  readonly outOfReach: readonly string[];
  /** What had to be left in the process, and why. */
  readonly left?: string;
};

/** How calls are counted: in a counter that all threads share, or in tables of theirs. */
export type CountingHandler = Extract<Handler, { readonly kind: "count" | "statistics" }>;

type Parts = {
  readonly pid: Pid;
  readonly seat: Seat;
  /** What happens at the functions. */
  readonly handler: CountingHandler;
  /** Values by which calls are counted apart. */
  readonly values: readonly FunctionValue[];
  /** Where calls of some threads alone count. */
  readonly threadFilter: ThreadFilter | undefined;
  readonly status: () => Promise<ExitStatus>;
  readonly failure: () => Promise<string | undefined>;
  /** Nanoseconds in a tick of the target's clock. */
  readonly tickNs: () => Promise<number>;
};

export class Observation {
  /** Whether times are measured; not so where the process has no room for what that needs. */
  readonly times: boolean;
  readonly #parts: Parts;
  readonly #lifetime: Lifetime<ObservationSummary>;
  readonly #names = new Map<number, string>();
  readonly #reader: StatisticsReader | undefined;
  readonly #tables: ValueTables | undefined;
  readonly #memory: ProcessMemory;
  #ops: RegisteredOps | undefined;
  #final: ProcessStatistics | undefined;

  /** @internal use `Session.observe`. */
  constructor(parts: Parts) {
    this.#parts = parts;
    const { pid, handler, values, seat, status, failure } = parts;
    const hasTables = handler.kind === "statistics";
    const wantsTimes = hasTables && handler.exits !== false;
    this.times = wantsTimes && seat.rings.exits && seat.rings.hasFrameWords;
    this.#reader = hasTables ? new StatisticsReader(seat.rings) : undefined;
    this.#tables =
      values.length === 0
        ? undefined
        : new ValueTables(seat.rings, values, parts.threadFilter !== undefined);
    this.#memory = new ProcessMemory(parts.pid);
    const finish = (cause: Cause): Promise<ObservationSummary> => this.#finish(cause);
    this.#lifetime = new Lifetime({ pid, status, failure, finish });
  }

  /** @internal Is told of functions before they are watched. */
  announce(functions: readonly AnnouncedFunction[]): void {
    for (const { site, name, demangled } of functions) this.#names.set(site, demangled ?? name);
  }

  /** @internal */
  async begin(name: string, filter: Partial<SiteFilter>): Promise<RegisteredOps> {
    const { seat, handler } = this.#parts;
    // These first, so that none of their functions is counted without its value.
    for (const by of this.#tables?.values ?? []) {
      // Words of a filter count functions from 1.
      const include = [String(by.site + 1)];
      const { place, type, table } = by;
      const one = { ...handler, by: { place, type, table } };
      await seat.register(`values of ${by.function}`, one, { include });
    }
    this.#ops = await seat.register(name, handler, filter);
    return this.#ops;
  }

  /** Settles when the observation has ended, for whatever reason. */
  get ended(): Promise<ObservationSummary> {
    return this.#lifetime.ended;
  }

  /** Whether it has ended or is about to. */
  get isEnding(): boolean {
    return this.#lifetime.isEnding;
  }

  /** How many functions are watched at present. */
  async functions(): Promise<number> {
    return (await this.#parts.seat.state()).functions;
  }

  /** Registers an ops beside those that count: see `Seat.register`. */
  async register(
    name: string,
    handler: Handler,
    filter: Partial<SiteFilter> = {},
  ): Promise<RegisteredOps> {
    const choosesThreads = "threads" in handler && handler.threads;
    if (choosesThreads && this.#parts.threadFilter === undefined) {
      throw new PatchbayError({
        code: "bad-usage",
        doing: "add to an observation",
        why: "it has begun without a choice of threads",
        hint: "begin it with one, or another one beside it",
      });
    }
    return this.#parts.seat.register(name, handler, filter);
  }

  /** Takes such an ops away. */
  unregister(ops: RegisteredOps): Promise<void> {
    return this.#parts.seat.unregister(ops);
  }

  /** Watches other functions from now on; what was counted of the others stays. */
  async setFilter(filter: Partial<SiteFilter>): Promise<void> {
    const ops = ensure(this.#ops, "it has begun");
    this.#ops = await this.#parts.seat.setFilter(ops, filter);
  }

  /** Statistics so far of each function that was called, most calls first. */
  async statistics(): Promise<readonly FunctionStatistics[]> {
    return (await this.#read()).functions;
  }

  /** What is enabled now, for whomever, as ftrace's enabled_functions lists it. */
  enabledFunctions(): Promise<readonly EnabledFunction[]> {
    return this.#parts.seat.enabledFunctions();
  }

  /** All changes in the process so far, whoever wanted them. */
  async changes(): Promise<SeatState["changes"]> {
    return (await this.#parts.seat.state()).changes;
  }

  /**
   * How long a function's calls took: buckets with the least duration that falls into each, in
   * nanoseconds; empty ones are left out. None where times are not measured.
   */
  async histogram(site: number): Promise<readonly DurationBucket[]> {
    if (this.#reader === undefined || this.#final !== undefined) return [];
    const ns = await this.#parts.tickNs();
    if (this.#final !== undefined) return [];
    const counts = this.#reader.histogram(site);
    return Array.from(counts, (count, bucket) => ({
      fromNs: round(lowest(bucket) * ns),
      toNs: round(lowest(bucket + 1) * ns),
      calls: count,
    })).filter(({ calls }) => calls > 0);
  }

  async #read(): Promise<ProcessStatistics> {
    if (this.#final !== undefined) return this.#final;
    const { seat, tickNs } = this.#parts;
    const reader = this.#reader;
    if (reader === undefined) {
      const counts = await seat.counts();
      const functions = counts.map((one) => ({ ...one, returned: 0, totalNs: 0, selfNs: 0 }));
      return { functions, missed: 0 };
    }
    const ns = await tickNs();
    // It may have ended meanwhile.
    if (this.#final !== undefined) return this.#final;
    this.#reap(reader);
    const found = reader.read();
    const functions = Array.from(found.sites, (site, index): FunctionStatistics => {
      const numbers = numbersOf(found, index, ns);
      const by = this.#tables?.at(site);
      if (by !== undefined) return { site: siteId(site), ...by, ...numbers };
      const name = this.#names.get(site) ?? `site ${site}`;
      return { site: siteId(site), name, ...numbers };
    });
    functions.sort((a, b) => b.calls - a.calls);
    return { functions, missed: found.missed };
  }

  /** Gives the tables of threads that have ended to others. */
  #reap(reader: StatisticsReader): void {
    try {
      const alive = new Set(listThreads(this.#parts.pid));
      reader.reap(this.#memory, (tid) => alive.has(tid));
    } catch (error) {
      // It has ended, and needs no tables any more.
      if (!(error instanceof PatchbayError) || error.code !== "no-such-process") throw error;
    }
  }

  /** Ends the observation: the process is as it was before. */
  stop(reason = "stopped"): Promise<ObservationSummary> {
    return this.#lifetime.stop(reason);
  }

  async #finish(cause: Cause): Promise<ObservationSummary> {
    const { seat } = this.#parts;
    const { functions, refused, outOfReach } = await seat.state();
    const removed = await seat.leave(cause.exit.kind === "running");
    // The rings stay mapped here: what was counted to the very end is in them.
    this.#final = await this.#read();
    const { functions: statistics, missed } = this.#final;
    this.#reader?.[Symbol.dispose]();
    this.#tables?.[Symbol.dispose]();
    this.#parts.threadFilter?.[Symbol.dispose]();
    this.#memory[Symbol.dispose]();
    await seat.release();
    const left = removed?.left;
    const latest = await this.#lifetime.latest(cause);
    const about = { ...latest, statistics, missed, functions, refused, outOfReach };
    return { ...about, ...(left === undefined ? {} : { left }) };
  }
}

const round = (ns: number): number => Math.round(ns * 1000) / 1000;

/** One function's numbers. */
function numbersOf(
  found: StatisticsSnapshot,
  index: number,
  tickNs: number,
): Omit<FunctionStatistics, "site" | "name"> {
  const ns = (column: Float64Array): number => round((column[index] ?? 0) * tickNs);
  const returned = found.returned[index] ?? 0;
  const sums = {
    calls: found.calls[index] ?? 0,
    returned,
    totalNs: ns(found.total),
    selfNs: ns(found.self),
  };
  if (returned === 0) return sums;
  return {
    ...sums,
    meanNs: round(sums.totalNs / returned),
    minNs: ns(found.shortest),
    maxNs: ns(found.longest),
    p50Ns: ns(found.p50),
    p99Ns: ns(found.p99),
  };
}
