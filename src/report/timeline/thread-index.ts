/**
 * One pass over a thread's events that makes everything which a picture of it needs at any zoom:
 * its calls as cells, the longest calls as they are, and marks from which any moment's events can
 * be read again. Memory is bounded by the thread's grid, not by its events.
 */
import type { CallEnd, CallVisitor } from "../../trace/call-stack.ts";
import { type ThreadMark, ThreadReader } from "../../trace/thread-reader.ts";
import type { Trace } from "../../trace/trace.ts";
import { traceThreads } from "../../trace/trace-reader.ts";
import { CellPainter } from "./cells.ts";
import type { ThreadPlan, TimelinePlan } from "./plan.ts";

/** Events between two marks, at the least; and marks of a thread, at the most. */
const markSlotsDefault = 1 << 14;
const marksMax = 4096;
/** A deep stack is long to write down: so many slots for each of its calls. */
const markSlotsPerCall = 64;

/** A call that is known in full; times in ticks. */
export type LongCall = {
  readonly site: number;
  readonly start: number;
  readonly end: number;
  readonly self: number;
  readonly depth: number;
  readonly how: CallEnd;
};
/** Calls over so many columns are kept as they are. */
const longColumns = 64;

export type Missing = { readonly from: number; readonly to: number; readonly lost: number };
const missingMax = 10_000;

/** Where reading can begin, and which sites are entered between there and the next mark. */
export type Segment = {
  readonly mark: ThreadMark;
  /** Slots of the thread before it. */
  readonly slots: number;
  /** A bit for each site. */
  readonly seen: Uint8Array;
};

/** What is known of a thread so far. It can be cloned; rows are shared memory. */
export type ThreadIndex = {
  readonly plan: ThreadPlan;
  /** Slots that have been read; all of them when `isWhole`. */
  readonly slots: number;
  readonly isWhole: boolean;
  /** One for each depth, of the plan's grid. */
  readonly rows: readonly Uint32Array[];
  readonly segments: readonly Segment[];
  readonly long: readonly LongCall[];
  readonly missing: readonly Missing[];
  /** Entries by site. */
  readonly counts: Float64Array;
  /** Calls too deep to be drawn. */
  readonly hidden: number;
  /** Exits without an entry. */
  readonly orphans: number;
};

const sharedRow = (columns: number): Uint32Array =>
  new Uint32Array(new SharedArrayBuffer(columns * 4));

class IndexVisitor implements CallVisitor {
  readonly painter: CellPainter;
  readonly long: LongCall[] = [];
  readonly missing: Missing[] = [];
  counts: Float64Array;
  seen: Uint8Array;
  orphans = 0;
  readonly #longTicks: number;
  /** Of each site: the segment in which it was seen last. */
  #lastSeen: Int32Array;
  #segment = 0;

  constructor(plan: ThreadPlan, siteEnd: number) {
    this.painter = new CellPainter(plan.grid, sharedRow);
    this.counts = new Float64Array(siteEnd);
    this.#lastSeen = new Int32Array(siteEnd).fill(-1);
    this.seen = new Uint8Array(Math.ceil(siteEnd / 8));
    this.#longTicks = longColumns * 2 ** plan.grid.level;
  }

  /** What is seen from now on belongs to another segment. */
  beginSegment(): Uint8Array {
    this.#segment++;
    this.seen = new Uint8Array(Math.ceil(this.counts.length / 8));
    return this.seen;
  }

  enter(site: number): void {
    if (site >= this.counts.length) this.#grow(site);
    this.counts[site] = (this.counts[site] ?? 0) + 1;
    if (this.#lastSeen[site] === this.#segment) return;
    this.#lastSeen[site] = this.#segment;
    this.seen[site >> 3] = (this.seen[site >> 3] ?? 0) | (1 << (site & 7));
  }

  leave(site: number, start: number, end: number, self: number, depth: number, how: CallEnd): void {
    this.painter.add(site, start, end, depth);
    if (end - start >= this.#longTicks) this.long.push({ site, start, end, self, depth, how });
  }

  point(site: number, time: number, depth: number): void {
    this.enter(site);
    this.painter.add(site, time, time, depth);
  }

  orphan(): void {
    this.orphans++;
  }

  gap(lost: number, from: number, to: number): void {
    const before = this.missing.at(-1);
    if (before === undefined || this.missing.length < missingMax) {
      this.missing.push({ from, to, lost });
    } else {
      this.missing[this.missing.length - 1] = { from: before.from, to, lost: before.lost + lost };
    }
  }

  /** Makes room for a site that the trace's functions do not name. */
  #grow(site: number): void {
    const length = Math.max(site + 1, this.counts.length * 2, 64);
    const counts = new Float64Array(length);
    counts.set(this.counts);
    this.counts = counts;
    const lastSeen = new Int32Array(length).fill(-1);
    lastSeen.set(this.#lastSeen);
    this.#lastSeen = lastSeen;
    const seen = new Uint8Array(Math.ceil(length / 8));
    seen.set(this.seen);
    this.seen = seen;
  }
}

/** Reads one thread; whoever made it closes it. */
export class ThreadIndexer {
  readonly #plan: ThreadPlan;
  readonly #markSlots: number;
  readonly #reader: ThreadReader;
  readonly #visitor: IndexVisitor;
  readonly #segments: { mark: ThreadMark; slots: number; seen: Uint8Array }[] = [];
  #isWhole = false;

  /** @param markSlots events between two marks. */
  constructor(
    trace: Trace,
    { origin }: TimelinePlan,
    plan: ThreadPlan,
    markSlots: number = markSlotsDefault,
  ) {
    this.#plan = plan;
    this.#markSlots = markSlots;
    this.#visitor = new IndexVisitor(plan, trace.functions.siteEnd);
    this.#reader = openThread(trace, origin, plan.index, this.#visitor);
    this.#isWhole = this.#reader.next() === Infinity;
    this.#mark();
  }

  /** Reads a piece of some 100,000 events; false when there is nothing left. */
  step(): boolean {
    if (this.#isWhole) return false;
    this.#isWhole = this.#reader.run(Infinity) === Infinity;
    this.#mark();
    return !this.#isWhole;
  }

  /** What is known so far. */
  get index(): ThreadIndex {
    const { painter, long, missing, counts, orphans } = this.#visitor;
    painter.flush();
    const last = this.#segments.at(-1);
    if (last !== undefined) last.seen = this.#visitor.seen;
    return {
      plan: this.#plan,
      slots: this.#reader.totals.slots,
      isWhole: this.#isWhole,
      rows: painter.rows,
      segments: this.#isWhole ? this.#segments : [],
      long: this.#isWhole ? long : [],
      missing,
      counts,
      hidden: painter.hidden,
      orphans,
    };
  }

  close(): void {
    this.#reader.close();
  }

  #mark(): void {
    const { slots } = this.#reader.totals;
    const before = this.#segments.at(-1);
    const depth = before?.mark.stack.sites.length ?? 0;
    const spacing = Math.max(
      this.#markSlots,
      this.#plan.slots / marksMax,
      depth * markSlotsPerCall,
    );
    if (before !== undefined && slots - before.slots < spacing) return;
    const mark = this.#reader.mark();
    if (mark === undefined) return;
    if (before !== undefined) before.seen = this.#visitor.seen;
    this.#segments.push({ mark, slots, seen: this.#visitor.beginSegment() });
  }
}

/** A reader of a thread's events; whoever asked for it reads it to the end or closes it. */
export function openThread(
  trace: Trace,
  origin: bigint,
  index: number,
  visitor: CallVisitor,
): ThreadReader {
  const thread = traceThreads(trace)[index];
  if (thread === undefined) throw new RangeError(`thread ${index}`);
  return new ThreadReader(trace, thread.stream, visitor, origin);
}
