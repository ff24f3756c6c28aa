/**
 * The worker that drains: a loop of polls and short sleeps, answering calls in between. It sleeps
 * on its message port's wake word, so that a call does not wait for the sleep to end.
 */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { ensure } from "../base/assert.ts";
import { PatchbayError } from "../base/error.ts";
import type { Fork } from "../trace/forks.ts";
import type { TracedFunction } from "../trace/functions.ts";
import type { SessionEnd, TracedImage } from "../trace/session.ts";
import { Drain, type DrainStart, type DrainTotals } from "./drain.ts";
import type { ImageStart } from "./image-drain.ts";
import { answer, type Call } from "./worker-rpc.ts";

/** What the worker is started with. */
export type DrainWorkerData = {
  readonly start: DrainStart;
  /** Word 0 is changed and notified when a call waits. */
  readonly wake: SharedArrayBuffer;
};

/** Functions that the worker serves. */
export type DrainHandlers = {
  /** Makes the trace directory; comes first. */
  open(): void;
  addFunctions(functions: readonly TracedFunction[]): void;
  totals(): DrainTotals;
  /** Writes what the rings hold, also of those that overwrite; the totals after that. */
  snapshot(): DrainTotals;
  /** One more program image; its number in the trace. */
  addImage(start: ImageStart, about: TracedImage): number;
  /** A process that has become another program was forked. */
  addFork(fork: Fork): void;
  /** An image has ended: what its rings still hold is written. */
  endImage(image: number): DrainTotals;
  /** Whether a forked child of an image is there that would record. */
  isFollowing(image: number): boolean;
  /** Why draining had to stop, if it had to; `null` while all is well. */
  failure(): ReturnType<PatchbayError["toJSON"]> | null;
  /** From now on an image's memory is left alone: what is mapped there may go away. */
  settle(image: number): void;
  finish(end: SessionEnd): DrainTotals;
};

const port = ensure(parentPort, "this runs in a worker");
const { start, wake } = workerData as DrainWorkerData;
const wakeWord = new Int32Array(wake);
const sleepMsMin = 1;
/** A thread that begins to do nothing but record fills a ring of 4 MiB within 5 ms. */
const sleepMsMax = 2;
const reapMs = 200;
/** When threads come and go so fast that rings run short. */
const reapMsCrowded = 10;

let failure: PatchbayError | undefined;
let finished = false;

/** Runs `work`; the first error ends draining, and is told when asked for. */
const guarded = (work: () => void): void => {
  try {
    work();
  } catch (error) {
    if (!(error instanceof PatchbayError)) throw error;
    // A target that has ended leaves its rings behind; everything else is worth telling.
    if (error.code !== "no-such-process" && error.code !== "target-exited") failure ??= error;
  }
};

let opened: Drain | undefined;
const getDrain = (): Drain => ensure(opened, "open comes first");

const handlers: DrainHandlers = {
  open: () => {
    opened = new Drain(start);
  },
  addFunctions: (functions) => getDrain().addFunctions(functions),
  totals: () => getDrain().totals,
  snapshot: () => {
    guarded(() => getDrain().snapshot());
    if (failure !== undefined) throw failure;
    return getDrain().totals;
  },
  addImage: (start, about) => getDrain().addImage(start, about),
  addFork: (fork) => guarded(() => getDrain().addFork(fork)),
  endImage: (image) => {
    const drain = getDrain();
    guarded(() => drain.endImage(image));
    return drain.totals;
  },
  isFollowing: (image) => getDrain().isFollowing(image),
  failure: () => failure?.toJSON() ?? null,
  settle: (image) => getDrain().settle(image),
  finish: (end) => {
    finished = true;
    if (failure !== undefined) throw failure;
    const drain = getDrain();
    drain.finish(end);
    return drain.totals;
  },
};

let sleepMs = sleepMsMin;
let lastReap = performance.now();
for (;;) {
  const seen = Atomics.load(wakeWord, 0);
  for (let got = receiveMessageOnPort(port); got; got = receiveMessageOnPort(port)) {
    port.postMessage(answer(handlers, got.message as Call));
  }
  if (finished) break;
  const drain = opened;
  if (failure === undefined && drain !== undefined) {
    guarded(() => {
      const hurry = drain.poll();
      sleepMs = hurry ? sleepMsMin : Math.min(sleepMsMax, sleepMs * 2);
    });
    if (performance.now() - lastReap > (drain.isCrowded ? reapMsCrowded : reapMs)) {
      guarded(() => drain.reapThreads());
      lastReap = performance.now();
    }
  }
  Atomics.wait(wakeWord, 0, seen, sleepMs);
}
opened?.[Symbol.dispose]();
port.close();
