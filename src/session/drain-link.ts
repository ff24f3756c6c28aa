/** What a recording has of the worker that drains its rings: the worker, or a part in one. */
import type { TracedFunction } from "../trace/functions.ts";
import type { SessionEnd } from "../trace/session.ts";
import type { DrainTotals } from "./drain.ts";
import type { DrainHandlers } from "./drain-worker.ts";
import type { WorkerClient } from "./worker-rpc.ts";

/** Draining of one program image into a trace. */
export type DrainLink = {
  /** The image's number in the trace. */
  readonly image: number;
  addFunctions(functions: readonly TracedFunction[]): Promise<void>;
  /** Of the whole trace. */
  totals(): Promise<DrainTotals>;
  /** Writes what the rings hold at this moment. */
  snapshot(): Promise<DrainTotals>;
  failure(): Promise<string | undefined>;
  /** Whether a forked child of the image is there that would record. */
  isFollowing(): Promise<boolean>;
  settle(): Promise<void>;
  /** Writes what is left. */
  finish(end: SessionEnd): Promise<DrainTotals>;
  end(): Promise<void>;
};

type Worker = WorkerClient<DrainHandlers>;

/**
 * The part of image `image` in a trace that several are drained into; whoever has the worker ends
 * the trace.
 */
export const imageLink = (worker: Worker, image: number): DrainLink => ({
  image,
  addFunctions: (functions) =>
    worker.call(
      "addFunctions",
      image === 0 ? functions : functions.map((one) => ({ ...one, image })),
    ),
  totals: () => worker.call("totals"),
  snapshot: () => worker.call("snapshot"),
  failure: async () => (await worker.call("failure"))?.why,
  isFollowing: () => worker.call("isFollowing", image),
  settle: () => worker.call("settle", image),
  finish: () => worker.call("endImage", image),
  end: async () => undefined,
});

/** The worker of a trace of one image. */
export const wholeLink = (worker: Worker): DrainLink => ({
  ...imageLink(worker, 0),
  finish: (end) => worker.call("finish", end),
  end: () => worker.end(),
});
