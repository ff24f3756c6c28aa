/**
 * Calls many at a time, for a visitor that only adds them up. Nearly all events are plain ones: an
 * entry, or the exit of the innermost call, a little later than the event before. `take` goes
 * through a run of such events and leaves all others to `trace/thread-reader.ts`, whose loop says
 * what is right; this one says the same faster.
 *
 * It is fast because it does not branch on whether an event is an entry or an exit, which no
 * processor can foresee. Both do the same stores, to the frame that the event pushes or pops:
 *
 *     an entry  sets the frame up, and writes a call behind the batch's end, where nobody looks
 *     an exit   sets up a frame that is popped, and writes a call at the batch's end, which moves
 *
 * A call's start and the ticks of its inner calls are read before the frame is set up.
 */
import { eventKind, kindBits } from "../ring/layout.ts";
import type { CallStack } from "./call-stack.ts";

/** Calls in a batch at the most; its arrays, 12 KiB, stay in the nearest cache. */
export const batchCalls = 512;

/** What the loop needs of another module, as this one's: see CONTRIBUTING.md, "What bites". */
const exitKind = eventKind.exit;
const ticksShift = kindBits;
/** Ticks in the low half of a slot, and what is below the site in the high half. */
const lowTicks = 2 ** (32 - kindBits);
const turnMask = 0xff;
const siteShiftHigh = 8;

/** The visitor owns it; the reader of the one thread that the visitor is being told of fills it. */
export class CallBatch {
  /** How many calls are in the four arrays: complete ones, in the order of their ends. */
  count = 0;
  readonly sites: Int32Array = new Int32Array(batchCalls);
  /** Ticks from entry to exit, and those of them that are not in inner calls. */
  readonly durations: Float64Array = new Float64Array(batchCalls);
  readonly selfs: Float64Array = new Float64Array(batchCalls);
  /** How many calls of the same function the call was in. */
  readonly around: Int32Array = new Int32Array(batchCalls);
  /** How many calls of each site are open. */
  #open: Int32Array;
  readonly #sink: (batch: CallBatch) => void;

  /**
   * @param siteEnd one more than the highest site to expect; others may come.
   * @param sink takes what is in the arrays, as often as they are filled.
   */
  constructor(siteEnd: number, sink: (batch: CallBatch) => void) {
    this.#open = new Int32Array(Math.max(16, siteEnd));
    this.#sink = sink;
  }

  /** Hands over the calls that are in it. */
  flush(): void {
    this.#sink(this);
    this.count = 0;
  }

  /** A call begins that `take` has not seen. */
  enter(site: number): void {
    if (site >= this.#open.length) this.#grow(site);
    this.#open[site] = (this.#open[site] ?? 0) + 1;
  }

  /** A call ends, however it does; gives how many calls of the same function it was in. */
  leave(site: number): number {
    const around = (this.#open[site] ?? 0) - 1;
    this.#open[site] = around;
    return around;
  }

  /** Adds a complete call. */
  add(site: number, duration: number, self: number, around: number): void {
    if (this.count === batchCalls) this.flush();
    this.sites[this.count] = site;
    this.durations[this.count] = duration;
    this.selfs[this.count] = self;
    this.around[this.count] = around;
    this.count++;
  }

  /**
   * Reads plain events, as many as there is room for. Gives the index of the first word that it did
   * not use; if that is `from`, the event there is not a plain one.
   * @param words two for each slot; borrowed.
   * @param stamp the 38 bits of the event before, and ...
   * @param base ... the ticks since the origin at which they were 0.
   */
  take(
    words: Uint32Array,
    from: number,
    to: number,
    stamp: number,
    base: number,
    stack: CallStack,
  ): number {
    if (this.count > batchCalls / 2) this.flush();
    const { sites: calls, durations, selfs, around } = this;
    const open = this.#open;
    const { sites, starts, inner } = stack;
    const frames = sites.length;
    const siteEnd = open.length;
    // Within a turn, times are compared by their low 30 bits.
    const turn = Math.floor(stamp / lowTicks) | 0;
    const turnStart = base + turn * lowTicks;
    let before = (stamp % lowTicks) | 0;
    let depth = stack.depth;
    let count = this.count;
    let at = from;
    const end = Math.min(to, from + 2 * (batchCalls - count));
    while (at < end) {
      const low = words[at] ?? 0;
      const high = words[at + 1] ?? 0;
      const kind = low & 3;
      const ticks = low >>> ticksShift;
      const site = high >>> siteShiftHigh;
      if (kind > exitKind || ticks < before || (high & turnMask) !== turn) break;
      // 0 for an entry, 1 for an exit: the frame is the one above the stack, or its last one.
      const frame = depth - kind;
      if (site >= siteEnd || frame >>> 0 >= frames) break;
      if ((((sites[frame] ?? 0) ^ site) & -kind) !== 0) break;
      const time = turnStart + ticks;
      const duration = time - (starts[frame] ?? 0);
      const self = duration - (inner[frame + 1] ?? 0);
      const others = (open[site] ?? 0) - kind;
      calls[count] = site;
      durations[count] = duration;
      selfs[count] = self;
      around[count] = others;
      count += kind;
      sites[frame] = site;
      starts[frame] = time;
      open[site] = others + 1 - kind;
      depth = frame + 1 - kind;
      // Nothing is in the new call yet; and the one that goes on has the other in it.
      inner[depth] = ((inner[depth] ?? 0) + duration) * kind;
      before = ticks;
      at += 2;
    }
    stack.depth = depth;
    this.count = count;
    return at;
  }

  /** Makes room for `site`, which the trace's functions do not name. */
  #grow(site: number): void {
    const open = new Int32Array(Math.max(site + 1, this.#open.length * 2));
    open.set(this.#open);
    this.#open = open;
  }
}
