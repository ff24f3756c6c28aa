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
  /** Reading stops here, in ticks since the origin; calls that are open then are not told. */
  readonly until?: number | undefined;
};

/** A step ends after so many slots of events; a thread's turn counts as some itself. */
const slotsPerStep = 1 << 14;
const turnSlots = 16;
const windowBytesTotal = 64 << 20;
const windowBytesMin = 16 << 10;
/** No more than a processor keeps near while it does something else with it. */
const windowBytesMax = 1 << 18;

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
  readonly readers: (ThreadReader | undefined)[];
  readonly #trace: Trace;
  readonly #visitorFor: (thread: TraceThread) => CallVisitor;
  readonly #byTime: boolean;
  readonly #windowBytes: number;
  readonly #until: number;
  readonly #queue: ThreadQueue;

  /** @param visitorFor gives whom to tell of a thread's calls; asked when the thread is reached. */
  constructor(
    trace: Trace,
    visitorFor: (thread: TraceThread) => CallVisitor,
    options: ReadOptions = {},
  ) {
    this.#trace = trace;
    this.#visitorFor = visitorFor;
    this.threads = traceThreads(trace);
    this.readers = this.threads.map(() => undefined);
    this.origin = traceOrigin(this.threads);
    const wanted = this.threads.filter((thread) => options.wants?.(thread) ?? true);
    this.#byTime = options.order === "time" && wanted.length > 1;
    const share = windowBytesTotal / Math.max(1, wanted.length);
    this.#windowBytes = this.#byTime
      ? Math.min(windowBytesMax, 2 ** Math.floor(Math.log2(Math.max(share, windowBytesMin))))
      : windowBytesMax;
    this.#until = options.until ?? Infinity;
    this.#queue = new ThreadQueue(wanted.length);
    for (const { index, first } of wanted) {
      this.#queue.add(index, this.#byTime ? Number(first.begin - this.origin) : index);
    }
  }

  /** Reads a piece; false when there is nothing left. */
  step(): boolean {
    const queue = this.#queue;
    for (let left = slotsPerStep; left > 0; ) {
      const index = queue.first;
      if (index < 0) return false;
      const known = this.readers[index];
      const reader = known ?? this.#open(index);
      const before = reader.totals.slots;
      const until = this.#byTime ? Math.min(this.#until, queue.second) : this.#until;
      const next = known === undefined ? reader.next() : reader.run(until);
      left -= turnSlots + reader.totals.slots - before;
      if (next === Infinity || next > this.#until) {
        reader.close();
        queue.removeFirst();
      } else if (this.#byTime) queue.moveFirst(next);
    }
    return true;
  }

  /** Reads everything that is left. */
  readAll(): this {
    while (this.step());
    return this;
  }

  /** Closes what is open; needed only where reading stops before its end. */
  close(): void {
    for (const reader of this.readers) reader?.close();
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
    this.readers[index] = reader;
    return reader;
  }
}

/**
 * Threads by the time of their next event: a binary heap. Those with the same time go by their
 * index, so that the order is always the same.
 */
class ThreadQueue {
  readonly #indices: Int32Array;
  readonly #times: Float64Array;
  #count = 0;

  constructor(capacity: number) {
    this.#indices = new Int32Array(capacity);
    this.#times = new Float64Array(capacity);
  }

  /** The thread with the least time; -1 where there is none. */
  get first(): number {
    return this.#count === 0 ? -1 : (this.#indices[0] ?? -1);
  }

  /** The least time of the others; Infinity where there are none. */
  get second(): number {
    const left = this.#count > 1 ? (this.#times[1] ?? Infinity) : Infinity;
    const right = this.#count > 2 ? (this.#times[2] ?? Infinity) : Infinity;
    return Math.min(left, right);
  }

  add(index: number, time: number): void {
    let at = this.#count++;
    this.#put(at, index, time);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isBefore(at, parent)) break;
      this.#swap(at, parent);
      at = parent;
    }
  }

  /** The first thread's next event is at `time` now, which is no earlier than before. */
  moveFirst(time: number): void {
    this.#times[0] = time;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      if (left >= this.#count) return;
      const isRight = left + 1 < this.#count && this.#isBefore(left + 1, left);
      const least = isRight ? left + 1 : left;
      if (!this.#isBefore(least, at)) return;
      this.#swap(least, at);
      at = least;
    }
  }

  removeFirst(): void {
    this.#swap(0, --this.#count);
    this.moveFirst(this.#times[0] ?? 0);
  }

  #put(at: number, index: number, time: number): void {
    this.#indices[at] = index;
    this.#times[at] = time;
  }

  #swap(a: number, b: number): void {
    const index = this.#indices[a] ?? 0;
    const time = this.#times[a] ?? 0;
    this.#put(a, this.#indices[b] ?? 0, this.#times[b] ?? 0);
    this.#put(b, index, time);
  }

  #isBefore(a: number, b: number): boolean {
    const first = this.#times[a] ?? 0;
    const second = this.#times[b] ?? 0;
    return first < second || (first === second && this.#isLower(a, b));
  }

  #isLower(a: number, b: number): boolean {
    return (this.#indices[a] ?? 0) < (this.#indices[b] ?? 0);
  }
}
