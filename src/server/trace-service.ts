/**
 * A trace as the page sees it: two workers index its threads, then answer. The service keeps what
 * is known so far and tells listeners as it grows.
 */
import { readFileSync, statSync } from "node:fs";
import { PatchbayError } from "../base/error.ts";
import { exporters } from "../report/exporters.ts";
import { tickNs } from "../report/summary.ts";
import type { FoundCall } from "../report/timeline/find-calls.ts";
import type { ThreadPlan, TimelinePlan } from "../report/timeline/plan.ts";
import type { ThreadIndex } from "../report/timeline/thread-index.ts";
import { formatWallTime } from "../report/units.ts";
import { openTrace } from "../session/open-trace.ts";
import { WorkerClient } from "../session/worker-rpc.ts";
import { type CallEnd, callEnd } from "../trace/call-stack.ts";
import { wallNsAt } from "../trace/clock.ts";
import { sessionClock } from "../trace/session.ts";
import type { Trace } from "../trace/trace.ts";
import type {
  CallAnswer,
  CallInfo,
  FunctionColumns,
  RelativesAnswer,
  SelectionAnswer,
  ServerEvents,
  SourceAnswer,
  StretchRequest,
  TraceInfo,
  TraceThreadInfo,
} from "./api.ts";
import type { ExportHandlers } from "./export-worker.ts";
import type { Stretch, TimelineHandlers } from "./timeline-worker.ts";

const workerUrl = new URL("./timeline-worker.js", import.meta.url);
const exportUrl = new URL("./export-worker.js", import.meta.url);

/** A worker indexes for so long before it looks for other calls. */
const stepMs = 60;
/** What is known of a thread is told whenever so much more of it has been read. */
const toldShare = 1 / 5;
/** Source lines shown around the one that is asked for. */
const sourceLinesAround = 200;
const sourceBytesMax = 8 << 20;

const hows: ReadonlyMap<CallEnd, string> = new Map(
  Object.entries(callEnd).map(([name, value]) => [value, name]),
);

type Tell = <N extends "index" | "indexed">(name: N, data: ServerEvents[N]) => void;
type TimelineClient = WorkerClient<TimelineHandlers>;

/** What is still to be told of events that are missing; a number that JSON has. */
const finite = (lost: number): number => (Number.isFinite(lost) ? lost : -1);

export class TraceService {
  readonly path: string;
  readonly #trace: Trace;
  readonly #tell: Tell;
  /** Answers what has to be quick; and what takes long. Both index. */
  readonly #pictures: TimelineClient;
  readonly #sums: TimelineClient;
  readonly #indices = new Map<number, ThreadIndex>();
  #plan: TimelinePlan = { origin: 0n, end: 0, threads: [] };
  #indexedMs: number | undefined;

  /** Opens the trace and begins to index it; `tell` hears of the progress. */
  static async open(path: string, tell: Tell): Promise<TraceService> {
    const service = new TraceService(path, openTrace(path), tell);
    const begin = performance.now();
    try {
      const [plan] = await Promise.all([
        service.#pictures.call("open", path),
        service.#sums.call("open", path),
      ]);
      service.#plan = plan;
    } catch (error) {
      await service.close();
      throw error;
    }
    service.#index(begin);
    return service;
  }

  private constructor(path: string, trace: Trace, tell: Tell) {
    this.path = path;
    this.#trace = trace;
    this.#tell = tell;
    this.#pictures = new WorkerClient<TimelineHandlers>(workerUrl, "timeline worker");
    this.#sums = new WorkerClient<TimelineHandlers>(workerUrl, "selection worker");
  }

  async close(): Promise<void> {
    await Promise.all([this.#pictures.end(), this.#sums.end()]);
  }

  /** Indexes all threads, the greatest first, on both workers. */
  #index(begin: number): void {
    const queue = this.#plan.threads.toSorted((a, b) => b.slots - a.slots);
    const work = async (worker: TimelineClient): Promise<void> => {
      for (let plan = queue.shift(); plan !== undefined; plan = queue.shift()) {
        await this.#indexThread(worker, plan);
      }
    };
    Promise.all([work(this.#pictures), work(this.#sums)]).then(
      () => {
        this.#indexedMs = performance.now() - begin;
        this.#tell("indexed", { ms: this.#indexedMs });
      },
      // The workers were ended: nobody is there to be told.
      () => undefined,
    );
  }

  async #indexThread(worker: TimelineClient, { index: thread, slots }: ThreadPlan): Promise<void> {
    await worker.call("begin", thread);
    for (let told = 0; ; ) {
      const index = await worker.call("step", stepMs);
      // Each time that more is known, pictures are made anew.
      if (!index.isWhole && index.slots - told < slots * toldShare) continue;
      told = index.slots;
      this.#indices.set(thread, index);
      await Promise.all([this.#pictures.call("put", index), this.#sums.call("put", index)]);
      this.#tell("index", { thread, read: index.slots, depths: index.rows.length });
      if (index.isWhole) return;
    }
  }

  info(): TraceInfo {
    const { session } = this.#trace;
    const clock = sessionClock(session);
    return {
      path: this.path,
      command: session.command,
      pid: session.pid,
      host: session.host ?? "",
      ended: session.end?.reason,
      began: formatWallTime(wallNsAt(clock, this.#plan.origin)),
      nsPerTick: tickNs(this.#trace),
      end: this.#plan.end,
      slots: this.#plan.threads.reduce((sum, { slots }) => sum + slots, 0),
      threads: this.#plan.threads.map((plan) => this.#threadInfo(plan)),
      indexedMs: this.#indexedMs,
      formats: [...exporters.keys()],
    };
  }

  #threadInfo(plan: ThreadPlan): TraceThreadInfo {
    const index = this.#indices.get(plan.index);
    const { grid, density, index: number, ...rest } = plan;
    return {
      ...rest,
      index: number,
      read: index?.slots ?? 0,
      baseLevel: grid.level,
      depths: index?.rows.length ?? 0,
      hidden: index?.hidden ?? 0,
      orphans: index?.orphans ?? 0,
      missing: (index?.missing ?? []).map(({ from, to, lost }) => [from, to, finite(lost)]),
      density: Array.from(density, Math.round),
    };
  }

  functions(): FunctionColumns {
    const { functions } = this.#trace;
    const indexOf = (known: Map<string, number>, text: string): number => {
      const at = known.get(text) ?? known.size;
      known.set(text, at);
      return at;
    };
    const [modules, files] = [new Map<string, number>(), new Map<string, number>()];
    const all = functions.all;
    const calls = new Float64Array(functions.siteEnd);
    for (const { counts } of this.#indices.values()) {
      for (let site = 0; site < calls.length; site++) {
        calls[site] = (calls[site] ?? 0) + (counts[site] ?? 0);
      }
    }
    return {
      sites: all.map(({ site }) => site),
      names: all.map(({ site }) => functions.name(site)),
      module: all.map(({ module }) => indexOf(modules, module)),
      modules: [...modules.keys()],
      file: all.map(({ file }) => (file === undefined ? -1 : indexOf(files, file))),
      files: [...files.keys()],
      lines: all.map(({ line }) => line ?? 0),
      calls: all.map(({ site }) => calls[site] ?? 0),
    };
  }

  async tiles(thread: number, level: number, first: number, count: number): Promise<Uint8Array> {
    this.#checkThread(thread);
    return await this.#pictures.call("tiles", thread, level, first, count);
  }

  async call(thread: number, time: number, depth: number, slack: number): Promise<CallAnswer> {
    this.#checkThread(thread);
    const found = await this.#pictures.call("call", thread, time, depth, slack);
    if (found === null) return { call: undefined, around: [] };
    const info = (call: FoundCall["call"]): CallInfo => callInfo(thread, call);
    return { call: info(found.call), around: found.around.map(info) };
  }

  /** The next call of one of `sites` in any thread of `threads`, or the one before. */
  async next(
    threads: readonly number[],
    sites: readonly number[],
    time: number,
    back: boolean,
  ): Promise<CallAnswer> {
    const found = await Promise.all(
      this.#chosen(threads).map(async (thread) => {
        const call = await this.#sums.call("next", thread, sites, time, back);
        return call === null ? undefined : callInfo(thread, call);
      }),
    );
    const [call] = found
      .filter((one) => one !== undefined)
      .sort((a, b) => (back ? b.start - a.start : a.start - b.start));
    return { call, around: [] };
  }

  async selection(request: StretchRequest): Promise<SelectionAnswer> {
    const stretch = this.#stretch(request);
    const { lost, ...profile } = await this.#sums.call("profile", stretch);
    return { ...stretch, ...profile, lost: finite(lost) };
  }

  async relatives(request: StretchRequest, site: number): Promise<RelativesAnswer> {
    return await this.#sums.call("relatives", this.#stretch(request), site);
  }

  /** The source around a function of the trace; no other file is ever read. */
  source(site: number): SourceAnswer {
    const doing = `show the source of function ${site}`;
    const { file, line } = this.#trace.functions.find(site) ?? {};
    if (file === undefined || line === undefined) {
      const why = "the trace does not say where it is";
      throw new PatchbayError({ code: "no-match", doing, why });
    }
    const lines = readSource(doing, file);
    const from = Math.max(0, line - 1 - sourceLinesAround);
    return { file, line, first: from + 1, lines: lines.slice(from, line + sourceLinesAround) };
  }

  /** The trace in another tool's format; the stream ends its worker. */
  async export(format: string, threads: readonly number[]): Promise<ReadableStream<Uint8Array>> {
    const worker = new WorkerClient<ExportHandlers>(exportUrl, "export worker");
    const tids = threads.map((thread) => this.#plan.threads[thread]?.tid ?? -1);
    try {
      for (const thread of threads) this.#checkThread(thread);
      await worker.call("begin", this.path, format, tids.length === 0 ? undefined : tids);
    } catch (error) {
      await worker.end();
      throw error;
    }
    return new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        const piece = await worker.call("next");
        if (piece !== null) controller.enqueue(piece);
        else {
          controller.close();
          await worker.end();
        }
      },
      cancel: () => worker.end(),
    });
  }

  #stretch({ from, to, threads }: StretchRequest): Stretch {
    return { from, to, threads: this.#chosen(threads) };
  }

  #chosen(threads: readonly number[]): readonly number[] {
    for (const thread of threads) this.#checkThread(thread);
    return threads.length > 0 ? threads : this.#plan.threads.map(({ index }) => index);
  }

  #checkThread(thread: number): void {
    if (this.#plan.threads[thread] !== undefined) return;
    const why = "the trace has no such thread";
    throw new PatchbayError({ code: "no-match", doing: `look into thread ${thread}`, why });
  }
}

const callInfo = (thread: number, call: FoundCall["call"]): CallInfo => ({
  thread,
  ...call,
  how: hows.get(call.how) ?? "open",
});

function readSource(doing: string, file: string): readonly string[] {
  const refuse = (why: string): PatchbayError => new PatchbayError({ code: "io", doing, why });
  try {
    const found = statSync(file);
    if (!found.isFile()) throw refuse(`${file} is no file`);
    if (found.size > sourceBytesMax) throw refuse(`${file} is too large`);
    return readFileSync(file, "utf8").split("\n");
  } catch (error) {
    if (error instanceof PatchbayError) throw error;
    throw refuse(`${file} can't be read on this machine`);
  }
}
