/**
 * The coarse clock: a word in the target's rings that a thread of this process sets to
 * CLOCK_MONOTONIC now and then. Reading it takes no time; reading the time stamp counter takes
 * several ns, and is nearly all of what an event costs.
 *
 * The thread is the tracer's and not the target's: so it needs nothing of a process that filters
 * its system calls, forked children are served like their parent, time goes on for a process that
 * is stopped, and with the tracer nothing stays behind. Its steps are measured as they come.
 */
import { Worker } from "node:worker_threads";
import type { Pid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import type { Machine } from "../elf/elf-file.ts";
import { type Condition, conjuncts } from "../ftrace/condition.ts";
import { MappedFile } from "../os/mapped-file.ts";
import { formatDuration, parseDurationNs } from "../report/units.ts";
import { control, pageBytes } from "../ring/arena.ts";
import { encodeEvent } from "../ring/event.ts";
import { eventKind } from "../ring/layout.ts";
import type { ClockSteps } from "../trace/clock.ts";

/** How long the thread sleeps between two steps unless it is said; it wakes up somewhat later. */
const sleepNsDefault = 50_000;
const sleepNsMin = 10_000;
const sleepNsMax = 100_000_000;

/** What the worker is started with. */
export type CoarseClockData = {
  readonly arenaFd: number;
  readonly sleepNs: number;
  /** Word 0 is changed and notified when it is to end. */
  readonly stop: SharedArrayBuffer;
};

/**
 * The sleep between two steps in ns, of `coarse` or `coarse:20us`; undefined for `exact`, which
 * reads the counter each time. Fails in one line where that makes no sense.
 * @param when which calls are wanted.
 */
export function planClock(
  text: string | undefined,
  pid: Pid,
  machine: Machine,
  when: Condition | undefined,
): number | undefined {
  const sleepNs = parseClock(text ?? "exact");
  if (sleepNs === undefined) return undefined;
  if (machine !== "x86-64") {
    throw new PatchbayError({
      code: "unsupported",
      doing: `record process ${pid} with the coarse clock`,
      why: "that is for x86-64 programs alone",
    });
  }
  refuseFineDurations(when, sleepNs);
  return sleepNs;
}

function parseClock(text: string): number | undefined {
  if (text === "exact") return undefined;
  if (text === "coarse") return sleepNsDefault;
  const sleepNs = parseDurationNs(/^coarse:(.*)$/.exec(text)?.[1] ?? "") ?? 0;
  if (sleepNs >= sleepNsMin && sleepNs <= sleepNsMax) return Math.round(sleepNs);
  throw new PatchbayError({
    code: "bad-usage",
    doing: "choose a clock",
    why: `there is no ${text}`,
    hint: "exact, coarse or coarse:TIME with 10us to 100ms",
  });
}

/** Conditions on durations that the clock can't tell from nothing. */
function refuseFineDurations(when: Condition | undefined, sleepNs: number): void {
  for (const ns of when === undefined ? [] : conjuncts(when).flatMap(durationsIn)) {
    if (ns >= sleepNs) continue;
    throw new PatchbayError({
      code: "bad-usage",
      doing: `record calls that take ${formatDuration(ns)}`,
      why: `the coarse clock takes steps of ${formatDuration(sleepNs)} and more`,
      hint: "use the exact clock, or a longer time",
    });
  }
}

function durationsIn(condition: Condition): readonly number[] {
  switch (condition.kind) {
    case "duration":
      return [condition.ns];
    case "not":
      return durationsIn(condition.of);
    case "and":
    case "or":
      return [...durationsIn(condition.left), ...durationsIn(condition.right)];
    case "compare":
      return [];
    default:
      return condition satisfies never;
  }
}

/** Indices of the clock's words: see `ring/arena.ts`. */
export const coarseWord = { ns: 0, event: 1, steps: 2, longest: 3 } as const;

/** Sets the time, in this order: who has seen an event has the time that it has. */
export function setTime(words: BigUint64Array, ns: bigint): void {
  Atomics.store(words, coarseWord.ns, ns);
  Atomics.store(words, coarseWord.event, encodeEvent(eventKind.entry, ns, 0));
}

/** The words of the clock in a mapped control page. */
export function coarseWords({ buffer }: MappedFile): BigUint64Array {
  return new BigUint64Array(buffer, control.coarseNs, coarseWord.longest + 1);
}

/** A clock that has not been measured, as readers of a trace are told of it. */
export const plannedSteps = (sleepNs: number): ClockSteps => ({
  meanNs: sleepNs,
  longestNs: sleepNs,
});

/** The clock of one user's rings, from `start` until it is ended. */
export class CoarseClock {
  readonly #worker: Worker;
  readonly #mapped: MappedFile;
  readonly #begin: bigint;
  readonly #stop = new SharedArrayBuffer(4);
  #failure: string | undefined;

  private constructor(arenaFd: number, sleepNs: number) {
    this.#mapped = new MappedFile(arenaFd, 0, pageBytes);
    this.#begin = process.hrtime.bigint();
    setTime(coarseWords(this.#mapped), this.#begin);
    const data: CoarseClockData = { arenaFd, sleepNs, stop: this.#stop };
    const url = new URL("./coarse-clock-worker.js", import.meta.url);
    this.#worker = new Worker(url, { workerData: data, name: "coarse clock" });
    this.#worker.on("error", (error) => {
      this.#failure = `the coarse clock stopped: ${error.message}`;
    });
  }

  /** Returns when the clock runs. */
  static async start(arenaFd: number, sleepNs: number): Promise<CoarseClock> {
    const clock = new CoarseClock(arenaFd, sleepNs);
    await new Promise((resolve, reject) => {
      clock.#worker.once("message", resolve);
      clock.#worker.once("error", reject);
    });
    // A program that forgets a recording is not kept alive by its clock.
    clock.#worker.unref();
    return clock;
  }

  /** Why it does not run any more; undefined while it does. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** The steps that there were. */
  get steps(): ClockSteps {
    const [last = 0n, , steps = 0n, longest = 0n] = coarseWords(this.#mapped);
    const meanNs = Math.round(Number(last - this.#begin) / Math.max(1, Number(steps)));
    return { meanNs, longestNs: Number(longest) };
  }

  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.#worker.once("exit", resolve));
    const word = new Int32Array(this.#stop);
    Atomics.store(word, 0, 1);
    Atomics.notify(word, 0);
    // One that has failed has exited already.
    if (this.#failure === undefined) await ended;
    this.#mapped[Symbol.dispose]();
  }
}
