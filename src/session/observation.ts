/**
 * Counting the calls of functions in a process, without a trace: nothing is recorded, nothing is
 * written to disk, and a call costs one addition. It ends when it is told to, or with the process;
 * then the process is as it was and the counts are final.
 */
import { type Cause, Lifetime } from "./lifetime.ts";
import type { CallCount, Seat } from "./seat.ts";
import type { ExitStatus } from "./target-worker.ts";

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
  readonly #seat: Seat;
  readonly #lifetime: Lifetime<ObservationSummary>;

  /** @internal use `Session.observe`. */
  constructor(
    seat: Seat,
    status: () => Promise<ExitStatus>,
    failure: () => Promise<string | undefined>,
  ) {
    this.#seat = seat;
    const finish = (cause: Cause): Promise<ObservationSummary> => this.#finish(cause);
    this.#lifetime = new Lifetime({ status, failure, finish });
  }

  /** Settles when the observation has ended, for whatever reason. */
  get ended(): Promise<ObservationSummary> {
    return this.#lifetime.ended;
  }

  /** Whether it has ended or is about to. */
  get isEnding(): boolean {
    return this.#lifetime.isEnding;
  }

  /** How many functions are counted at present. */
  async functions(): Promise<number> {
    return (await this.#seat.state()).functions;
  }

  /** Calls so far of each function that was called, most first. */
  counts(): Promise<readonly CallCount[]> {
    return this.#seat.counts();
  }

  /** Ends the observation: the process is as it was before. */
  stop(reason = "stopped"): Promise<ObservationSummary> {
    return this.#lifetime.stop(reason);
  }

  async #finish(cause: Cause): Promise<ObservationSummary> {
    const { functions, refused } = await this.#seat.state();
    const removed = await this.#seat.leave(cause.exit.kind === "running");
    // The counters stay mapped here: what was counted to the very end is in them.
    const counts = await this.#seat.counts();
    await this.#seat.release();
    const left = removed?.left;
    return { ...cause, counts, functions, refused, ...(left === undefined ? {} : { left }) };
  }
}
