/**
 * Reads a whole trace: thread by thread, or all threads in the order of time. One piece per `step`,
 * so that output can be written, and reading can be stopped, in between; memory is bounded by the
 * windows of the threads that are being read.
 */
import type { CallVisitor } from "./call-stack.ts";
import { type PacketFields, packetHeaderBytes } from "./packet.ts";
import { PacketReader } from "./packet-reader.ts";
import { ThreadReader } from "./thread-reader.ts";
import type { Trace, TraceStream } from "./trace.ts";

/** A thread that has events, as its first packet shows it. */
export type TraceThread = {
  /** Its place among the trace's threads. */
  readonly index: number;
  readonly stream: TraceStream;
  readonly first: PacketFields;
};

export type ReadOptions = {
  /** All threads by time, or one after the other, which is faster; the default is the latter. */
  readonly order?: "time" | "thread" | undefined;
  /** Which threads to read; all without it. */
  readonly wants?: ((thread: TraceThread) => boolean) | undefined;
};

const windowBytesTotal = 64 << 20;
const windowBytesMin = 16 << 10;
const windowBytesMax = 1 << 20;

/** The threads of a trace that have at least one whole packet. */
export function traceThreads(trace: Trace): readonly TraceThread[] {
  return trace.streams
    .map((stream) => ({ stream, first: firstPacket(trace, stream) }))
    .filter((thread): thread is Omit<TraceThread, "index"> => thread.first !== undefined)
    .map((thread, index) => ({ index, ...thread }));
}

function firstPacket(trace: Trace, stream: TraceStream): PacketFields | undefined {
  const source = stream.open();
  try {
    const packets = new PacketReader(source, trace.session.uuid, packetHeaderBytes);
    return packets.nextBlock(0) ? packets.packet : undefined;
  } finally {
    source.close();
  }
}

/** Times are counted from here, in ticks: the beginning of the earliest packet. */
export const traceOrigin = (threads: readonly TraceThread[]): bigint =>
  threads.reduce(
    (least, { first }) => (first.begin < least ? first.begin : least),
    threads[0]?.first.begin ?? 0n,
  );

export class TraceReader {
  /** Ticks that all times are counted from. */
  readonly origin: bigint;
  /** All threads of the trace, also those that are not wanted. */
  readonly threads: readonly TraceThread[];
  /** The readers made so far, by their thread's index. */
  readonly readers: Map<number, ThreadReader> = new Map();
  readonly #trace: Trace;
  readonly #visitorFor: (thread: TraceThread) => CallVisitor;
  readonly #byTime: boolean;
  readonly #windowBytes: number;
  readonly #queue: ThreadQueue = new ThreadQueue();

  /** @param visitorFor gives whom to tell of a thread's calls; asked when the thread is reached. */
  constructor(
    trace: Trace,
    visitorFor: (thread: TraceThread) => CallVisitor,
    options: ReadOptions = {},
  ) {
    this.#trace = trace;
    this.#visitorFor = visitorFor;
    this.threads = traceThreads(trace);
    this.origin = traceOrigin(this.threads);
    const wanted = this.threads.filter((thread) => options.wants?.(thread) ?? true);
    this.#byTime = options.order === "time" && wanted.length > 1;
    const share = windowBytesTotal / Math.max(1, wanted.length);
    this.#windowBytes = this.#byTime
      ? Math.min(windowBytesMax, 2 ** Math.floor(Math.log2(Math.max(share, windowBytesMin))))
      : windowBytesMax;
    for (const { index, first } of wanted) {
      this.#queue.add(index, this.#byTime ? Number(first.begin - this.origin) : index);
    }
  }

  /** Reads a piece; false when there is nothing left. */
  step(): boolean {
    const index = this.#queue.take();
    if (index === undefined) return false;
    const known = this.readers.get(index);
    const reader = known ?? this.#open(index);
    const until = this.#byTime ? this.#queue.nearest : Infinity;
    const next = known === undefined ? reader.next() : reader.run(until);
    if (next < Infinity) this.#queue.add(index, this.#byTime ? next : index);
    return true;
  }

  /** Reads everything that is left. */
  readAll(): this {
    while (this.step());
    return this;
  }

  /** Closes what is open; needed only where reading stops before its end. */
  close(): void {
    for (const reader of this.readers.values()) reader.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #open(index: number): ThreadReader {
    const thread = this.threads[index];
    if (thread === undefined) throw new RangeError(`thread ${index}`);
    const reader = new ThreadReader(
      this.#trace,
      thread.stream,
      this.#visitorFor(thread),
      this.origin,
      this.#windowBytes,
    );
    this.readers.set(index, reader);
    return reader;
  }
}

/** Threads by the time of their next event: a binary heap. */
class ThreadQueue {
  readonly #heap: { readonly index: number; readonly time: number }[] = [];

  /** The least time in it, Infinity when it is empty. */
  get nearest(): number {
    return this.#heap[0]?.time ?? Infinity;
  }

  add(index: number, time: number): void {
    let at = this.#heap.length;
    const item = { index, time };
    this.#heap.push(item);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = this.#heap[parent];
      if (above === undefined || !isBefore(item, above)) break;
      this.#heap[at] = above;
      at = parent;
    }
    this.#heap[at] = item;
  }

  take(): number | undefined {
    const first = this.#heap[0];
    const last = this.#heap.pop();
    if (first === undefined || last === undefined) return undefined;
    if (this.#heap.length > 0) this.#sink(last);
    return first.index;
  }

  #sink(item: { readonly index: number; readonly time: number }): void {
    const heap = this.#heap;
    let at = 0;
    for (;;) {
      const left = heap[2 * at + 1];
      const right = heap[2 * at + 2];
      const isRight = left !== undefined && right !== undefined && isBefore(right, left);
      const least = isRight ? right : left;
      if (least === undefined || !isBefore(least, item)) break;
      heap[at] = least;
      at = 2 * at + (isRight ? 2 : 1);
    }
    heap[at] = item;
  }
}

/** Threads with the same time go by their index, so that the order is always the same. */
const isBefore = (
  a: { readonly index: number; readonly time: number },
  b: { readonly index: number; readonly time: number },
): boolean => a.time < b.time || (a.time === b.time && a.index < b.index);
