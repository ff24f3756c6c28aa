/**
 * A recording that goes on in the programs that a process becomes. A thread that is about to exec
 * waits at a gate; it is seized there, and what its exec brings is held before its first own
 * instruction, traced by the same filter into the same trace, and let go. An exec that fails
 * changes nothing. With forks followed, what children become is recorded, too.
 */
import type { Pid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { readStatus } from "../os/proc.ts";
import type { Fork } from "../trace/forks.ts";
import type { DrainTotals } from "./drain.ts";
import type { DrainHandlers } from "./drain-worker.ts";
import { ExecWatch, type Waiting } from "./exec-watch.ts";
import type { Recording, RecordingSummary } from "./recording.ts";
import type { ExitStatus, TargetHandlers } from "./target-worker.ts";
import type { WorkerClient } from "./worker-rpc.ts";

/** What the follower wants of a session. */
export type FollowedSession = {
  readonly pid: Pid;
  /** Whether this process started the program and learns how it ends. */
  readonly isOurs: boolean;
  /** Asks the kernel no more how the process is, until what it gives is called. */
  holdStatus(): Promise<() => void>;
  /** The process has ended, or become another program. */
  replaced(exit: ExitStatus): Promise<void>;
  close(): Promise<void>;
};

/** A program that came by exec and is held by a worker. */
export type HeldImage = {
  readonly worker: WorkerClient<TargetHandlers>;
  readonly pid: Pid;
  readonly isOurs: boolean;
};

/** The trace and the follower that a program which came by exec is recorded for. */
export type Following = {
  readonly drain: WorkerClient<DrainHandlers>;
  readonly follower: ExecFollower;
};

type Parts = {
  readonly followsForks: boolean;
  readonly newWorker: () => WorkerClient<TargetHandlers>;
  /** Records in a program, for this follower, and lets it run; it runs if that fails, too. */
  readonly adopt: (held: HeldImage) => Promise<void>;
  /** A program that was adopted is a child's. */
  readonly tellFork: (fork: Fork) => Promise<void>;
  /** Ends the trace, for that reason. */
  readonly finish: (reason: string) => Promise<DrainTotals>;
};

/** The parent of a process that waits, unless that has ended. */
const parentOf = (pid: Pid): number | undefined => Number(readStatus(pid).get("PPid")) || undefined;

/** A program that could not be followed, and why. */
export type Unfollowed = { readonly pid: number; readonly why: string };

/** A program that is recorded. */
type Image = {
  readonly session: FollowedSession;
  readonly recording: Recording;
  /** Its number in the trace. */
  readonly number: number;
  execs: ExecWatch | undefined;
};

export class ExecFollower {
  /** Settles when the last program has ended, or was told to stop being recorded. */
  readonly ended: Promise<RecordingSummary>;
  readonly #parts: Parts;
  readonly #images = new Set<Image>();
  readonly #summaries: { readonly pid: Pid; readonly summary: RecordingSummary }[] = [];
  readonly #unfollowed: Unfollowed[] = [];
  /** The process that it began with. */
  #first: FollowedSession | undefined;
  /** Execs that are under way. */
  #execs = 0;
  /** A worker that holds nothing. */
  #spare: WorkerClient<TargetHandlers> | undefined;
  #stopping: string | undefined;
  #failure: Error | undefined;
  #isOver = false;
  #settle: () => void = () => undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    const over = new Promise<void>((resolve) => {
      this.#settle = resolve;
    });
    this.ended = over.then(() => this.#finish());
    // Whoever does not await the end learns of a failure from `stop`.
    this.ended.catch(() => undefined);
  }

  /** Whether it has ended, or is about to. */
  get isEnding(): boolean {
    return this.#isOver || this.#stopping !== undefined;
  }

  /** One more program, whose recording is about to begin; `watch` when it has. */
  add(
    session: FollowedSession,
    recording: Recording,
    number: number,
  ): { readonly watch: (execFd: number | undefined) => void } {
    this.#first ??= session;
    const image: Image = { session, recording, number, execs: undefined };
    this.#images.add(image);
    recording.imageEnded
      .then((summary) => void this.#summaries.push({ pid: session.pid, summary }))
      .catch((error: unknown) => this.#fail(error))
      .then(() => this.#end(image))
      .catch((error: unknown) => this.#fail(error));
    return { watch: (execFd) => this.#watch(image, execFd) };
  }

  /** Ends the recording of all programs; they run on. */
  stop(reason: string): Promise<RecordingSummary> {
    this.#stopping ??= reason;
    this.#look();
    return this.ended;
  }

  #watch(image: Image, execFd: number | undefined): void {
    if (execFd === undefined || !this.#images.has(image)) return;
    this.#spare ??= this.#parts.newWorker();
    image.execs = new ExecWatch({
      arenaFd: execFd,
      only: this.#parts.followsForks ? undefined : image.session.pid,
      onExec: (waiting) => {
        this.#execs++;
        this.#follow(image, waiting)
          .catch((error: unknown) => this.#miss(waiting.pid, error))
          .finally(() => {
            // Whatever went wrong, the thread goes on.
            waiting.pass();
            this.#execs--;
            this.#look();
          });
      },
    });
  }

  async #follow({ session, number }: Image, { pid, tid, forked, pass }: Waiting): Promise<void> {
    if (this.#stopping !== undefined) return;
    const isOwn = pid === session.pid;
    const isOurs = isOwn && session.isOurs;
    const worker = this.#takeWorker();
    let isIdle = false;
    let isAdopted = false;
    // Two threads of this process would take each other's news of a child.
    const resume = isOurs ? await session.holdStatus() : undefined;
    try {
      if (!(await worker.call("holdAtGate", tid))) return;
      const fork = forked && { pid, parent: parentOf(pid), image: number, ...forked };
      pass();
      const exec = await worker.call("holdExec", pid, tid, isOurs);
      isIdle = exec.kind !== "held";
      if (exec.kind === "let-go") this.#unfollowed.push({ pid, why: exec.why });
      if (exec.kind === "ended" && isOurs) await session.replaced(exec.exit);
      if (isIdle) return;
      // The next exec need not wait for one to come up.
      this.#spare ??= this.#parts.newWorker();
      if (isOwn) await session.replaced({ kind: "replaced" });
      isAdopted = true;
      await this.#parts.adopt({ worker, pid, isOurs });
      if (fork !== undefined) await this.#parts.tellFork(fork);
    } finally {
      resume?.();
      // What else it may hold is let go with it.
      if (isIdle) this.#giveBack(worker);
      else if (!isAdopted) await worker.end();
    }
  }

  #takeWorker(): WorkerClient<TargetHandlers> {
    const worker = this.#spare ?? this.#parts.newWorker();
    this.#spare = undefined;
    return worker;
  }

  #giveBack(worker: WorkerClient<TargetHandlers>): void {
    if (this.#spare === undefined) this.#spare = worker;
    else worker.end().catch((error: unknown) => this.#fail(error));
  }

  #stopImage({ recording }: Image, reason: string): void {
    // How it went is told by `imageEnded`.
    recording.stopImage(reason).catch(() => undefined);
  }

  async #end(image: Image): Promise<void> {
    const missed = image.execs?.end() ?? 0;
    if (missed > 0) {
      const why = `${missed} execs waited for too long, or came from where they can't be found`;
      this.#unfollowed.push({ pid: image.session.pid, why });
    }
    // The first session is its user's.
    if (image.session !== this.#first) await image.session.close();
    this.#images.delete(image);
    this.#look();
  }

  /** A program could not be followed, which the others need not suffer for. */
  #miss(pid: Pid, error: unknown): void {
    if (error instanceof PatchbayError) this.#unfollowed.push({ pid, why: error.why });
    else this.#fail(error);
  }

  #fail(error: unknown): void {
    this.#failure ??= error instanceof Error ? error : new Error(String(error));
    this.stop("another program's recording failed").catch(() => undefined);
  }

  /**
   * Ends when nothing goes on any more. Execs that are under way come first: two tracers of one
   * process are in each other's way.
   */
  #look(): void {
    if (this.#execs > 0) return;
    if (this.#stopping !== undefined) {
      for (const image of this.#images) this.#stopImage(image, this.#stopping);
    }
    if (this.#images.size > 0) return;
    this.#isOver = true;
    this.#settle();
  }

  async #finish(): Promise<RecordingSummary> {
    const own = this.#summaries.filter(({ pid }) => pid === this.#first?.pid);
    const all = this.#summaries.map(({ summary }) => summary);
    const last = own.at(-1)?.summary ?? all.at(-1);
    // One that has not come up yet is not to be torn down in the middle of that.
    await this.#spare?.call("status");
    await this.#spare?.end();
    const totals = await this.#parts.finish(last?.reason ?? "stopped");
    if (this.#failure !== undefined || last === undefined) throw this.#failure;
    return {
      ...last,
      ...totals,
      functions: all.reduce((sum, { functions }) => sum + functions, 0),
      refused: all.flatMap(({ refused }) => refused),
      pauseMs: Math.max(...all.map(({ pauseMs }) => pauseMs)),
      programs: all.length,
      unfollowed: this.#unfollowed,
    };
  }
}
