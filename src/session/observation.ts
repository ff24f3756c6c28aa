/**
 * Counting the calls of functions in a process, without a trace: nothing is recorded, nothing is
 * written to disk, and a call costs one addition. It ends when it is told to, or with the process;
 * then the process is as it was and the counts are final.
 */
import { type Cause, Lifetime } from "./lifetime.ts";
import type { ExitStatus } from "./target-worker.ts";
import type { CallCount, Tracing } from "./tracing.ts";

/** How an observation went. */
export type ObservationSummary = Cause & {
  /** Calls of each function that was called, most first. */
  readonly counts: readonly CallCount[];
  /** Functions that were counted. */
  readonly functions: number;
  /** Functions that were not counted because their bytes were not what they should be. */
  readonly refused: readonly string[];
  /** What had to be left in the process, and why. */
  readonly left?: string;
};

export class Observation {
  readonly #tracing: Tracing;
  readonly #lifetime: Lifetime<ObservationSummary>;

  /** @internal use `Session.observe`. */
  constructor(tracing: Tracing, status: () => Promise<ExitStatus>) {
    this.#tracing = tracing;
    const finish = (cause: Cause): Promise<ObservationSummary> => this.#finish(cause);
    this.#lifetime = new Lifetime({ status, finish });
  }

  /** Settles when the observation has ended, for whatever reason. */
  get ended(): Promise<ObservationSummary> {
    return this.#lifetime.ended;
  }

  /** Whether it has ended or is about to. */
  get isEnding(): boolean {
    return this.#lifetime.isEnding;
  }

  /** Functions that are counted at present. */
  get functions(): number {
    return this.#tracing.enabledCount;
  }

  /** Calls so far of each function that was called, most first. */
  counts(): Promise<readonly CallCount[]> {
    return this.#tracing.counts();
  }

  /** Ends the observation: the process is as it was before. */
  stop(reason = "stopped"): Promise<ObservationSummary> {
    return this.#lifetime.stop(reason);
  }

  async #finish(cause: Cause): Promise<ObservationSummary> {
    const functions = this.#tracing.enabledCount;
    const removed = cause.exit.kind === "running" ? await this.#tracing.remove() : undefined;
    // The arena stays mapped here: what was counted to the very end is in it.
    const counts = await this.#tracing.counts();
    const { refused } = this.#tracing;
    const left = removed?.left;
    return { ...cause, counts, functions, refused, ...(left === undefined ? {} : { left }) };
  }
}
