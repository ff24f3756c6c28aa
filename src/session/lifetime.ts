/**
 * The end of what goes on in a process: it comes once, when somebody asks for it or when a regular
 * look finds that it has come.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Pid } from "../base/brand.ts";
import { isEnding } from "../os/outlook.ts";
import type { ExitStatus } from "./target-worker.ts";

/** Why something ended, in a few words, and how the program was then. */
export type Cause = { readonly reason: string; readonly exit: ExitStatus };

/** How often the process is looked after, in ms. */
const watchMs = 50;
/** How often there is a look whether one that is about to end has ended, and the longest wait. */
const endingMs = 2;
const endingMsMax = 10_000;

type Parts<Summary> = {
  readonly pid: Pid;
  readonly status: () => Promise<ExitStatus>;
  /** What keeps the work from going on though the program runs, if anything does. */
  readonly failure?: () => Promise<string | undefined>;
  /** Does all that the end needs; called once. */
  readonly finish: (cause: Cause) => Promise<Summary>;
};

export class Lifetime<Summary> {
  /** Settles when the end has come, for whatever reason. */
  readonly ended: Promise<Summary>;
  readonly #parts: Parts<Summary>;
  #settle: {
    readonly resolve: (summary: Summary) => void;
    readonly reject: (error: unknown) => void;
  };
  #watch: NodeJS.Timeout | undefined;
  #ending: Promise<Summary> | undefined;

  constructor(parts: Parts<Summary>) {
    this.#parts = parts;
    this.#settle = { resolve: () => undefined, reject: () => undefined };
    this.ended = new Promise<Summary>((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // Whoever does not await the end learns of a failure from `stop`.
    this.ended.catch(() => undefined);
    this.#scheduleWatch();
  }

  /** Whether it has ended or is about to: who was to be told of a failure has been told. */
  get isEnding(): boolean {
    return this.#ending !== undefined;
  }

  /** Ends it, unless it has ended; the summary of how it went. */
  async stop(reason: string): Promise<Summary> {
    const exit = await this.#parts.status();
    return this.#end({ reason: exit.kind === "running" ? reason : describeExit(exit), exit });
  }

  /** The cause once more: a program that was just let go may have been about to end. */
  async latest(cause: Cause): Promise<Cause> {
    if (cause.exit.kind !== "running") return cause;
    const { pid, status } = this.#parts;
    const start = performance.now();
    for (;;) {
      // This first: one that has ended in between says so.
      const waits = isEnding(pid) && performance.now() - start < endingMsMax;
      const exit = await status();
      if (exit.kind !== "running") return { reason: describeExit(exit), exit };
      if (!waits) return cause;
      await sleep(endingMs);
    }
  }

  #scheduleWatch(): void {
    this.#watch = setTimeout(() => {
      this.#look().catch((error: unknown) => this.#settle.reject(error));
    }, watchMs);
  }

  async #look(): Promise<void> {
    if (this.isEnding) return;
    const exit = await this.#parts.status();
    const failure = await this.#parts.failure?.();
    if (exit.kind !== "running") await this.#end({ reason: describeExit(exit), exit });
    else if (failure !== undefined) await this.#end({ reason: failure, exit });
    else if (!this.isEnding) this.#scheduleWatch();
  }

  #end(cause: Cause): Promise<Summary> {
    clearTimeout(this.#watch);
    this.#ending ??= this.#parts.finish(cause).then(
      (summary) => {
        this.#settle.resolve(summary);
        return summary;
      },
      (error: unknown) => {
        this.#settle.reject(error);
        throw error;
      },
    );
    return this.#ending;
  }
}

function describeExit(status: ExitStatus): string {
  if (status.kind === "exited") return `the program exited with status ${status.status}`;
  if (status.kind === "killed") return `the program was killed by signal ${status.signal}`;
  if (status.kind === "replaced") return "the program became another one (exec)";
  return status.kind === "gone" ? "the program ended" : "stopped";
}
