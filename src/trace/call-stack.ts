/**
 * The calls that a thread is in, put together from its entries and exits, and what can still be
 * said of them when events are missing. A duration is given only for a call whose own entry and
 * exit are both in the trace; what can't be matched is dropped, never guessed.
 *
 * The rule after a loss of `e` entries and `x` exits: at most `x` calls can have been left, so all
 * but the innermost `x` are certainly still open, with the entries that we saw; and above them lie
 * exactly as many unknown calls as `e`, `x` and the dropped ones leave. These are one `unknown`
 * frame with a count, from `unknownMin` to `unknownMax` where the losses are not known exactly.
 * Below the first frame lie any number of calls that began before the trace did.
 */

import type { CallBatch } from "./call-batch.ts";
import type { Losses } from "./losses.ts";

/** How a call ended. */
export const callEnd = {
  /** It returned. */
  returned: 0,
  /** It was left by an exception or a longjmp, and that was recorded. */
  unwound: 1,
  /** Its exit is missing, though nothing was lost: a longjmp went over it. */
  left: 2,
  /** Its exit may have been lost. */
  lost: 3,
  /** The trace ended first. */
  open: 4,
} as const;
export type CallEnd = (typeof callEnd)[keyof typeof callEnd];

/** Whether the end of such a call, and with it its duration, is known. */
export const isComplete = (how: CallEnd): boolean => how <= callEnd.unwound;

/** Values that a long event brings; see `ring/long-event.ts`. */
export type LongPayload = {
  readonly form: number;
  readonly types: number;
  /** The values are `words[from]` to `words[to - 1]`, u32 halves; borrowed during the call. */
  readonly words: Uint32Array;
  readonly from: number;
  readonly to: number;
};

/**
 * What is told of a thread's calls, in the order of its events. Times are ticks since the trace's
 * origin. `index` is the call's place in the stack, 0 for the outermost; an unknown frame takes a
 * place too.
 */
export type CallVisitor = {
  enter(site: number, time: number, index: number): void;
  /**
   * @param end of a call that is not complete, the last moment at which it is known to have run.
   * @param self without what lies in inner calls and in losses.
   */
  leave(site: number, start: number, end: number, self: number, index: number, how: CallEnd): void;
  /** A call whose exits are not recorded. */
  point(site: number, time: number, index: number): void;
  /** The exit of a call whose entry is not in the trace, or can't be told from another one. */
  orphan(site: number, time: number, index: number, how: CallEnd): void;
  /** Events are missing between two moments; how many of them is infinite where nobody knows. */
  gap(lost: number, from: number, to: number): void;
  /** What the next of the calls above came with. */
  values?(payload: LongPayload): void;
  /**
   * Takes plain calls many at a time, of which `enter` and `leave` are not told then. For visitors
   * to whom it makes no difference in which order they learn of a thread's calls.
   */
  readonly batch?: CallBatch;
};

/** Stands in `sites` for calls of which only the number is known. */
export const unknownFrame = -1;

const framesFirst = 256;

/** The calls that a thread is in at some moment; the caller owns it. */
export type StackSnapshot = {
  readonly sites: Int32Array;
  /** Four numbers for each call: start, inner time, least and greatest number of unknown calls. */
  readonly numbers: Float64Array;
};

/**
 * The arrays are public for the loops that can't afford calls, in `trace/thread-reader.ts` and
 * `trace/call-batch.ts`.
 */
export class CallStack {
  sites: Int32Array = new Int32Array(framesFirst);
  /** Ticks of the entry; of an unknown frame, from when on the time is nobody's. */
  starts: Float64Array = new Float64Array(framesFirst);
  /**
   * At `index + 1`, ticks that are not the own ones of the call at `index`: inner calls, unknown
   * ones, losses. At 0, those of all calls that nothing is known to be around.
   */
  inner: Float64Array = new Float64Array(framesFirst + 1);
  depth = 0;
  #unknownMin: Float64Array = new Float64Array(framesFirst);
  #unknownMax: Float64Array = new Float64Array(framesFirst);
  readonly #visitor: CallVisitor;

  constructor(visitor: CallVisitor) {
    this.#visitor = visitor;
  }

  /** Makes room for twice as many frames; `sites`, `starts` and `inner` are new arrays then. */
  grow(): void {
    const length = this.sites.length * 2;
    const longer = (array: Float64Array, extra = 0): Float64Array => {
      const copy = new Float64Array(length + extra);
      copy.set(array);
      return copy;
    };
    const sites = new Int32Array(length);
    sites.set(this.sites);
    this.sites = sites;
    this.starts = longer(this.starts);
    this.inner = longer(this.inner, 1);
    this.#unknownMin = longer(this.#unknownMin);
    this.#unknownMax = longer(this.#unknownMax);
  }

  snapshot(): StackSnapshot {
    const { depth } = this;
    const numbers = new Float64Array(depth * 4);
    for (let at = 0; at < depth; at++) {
      numbers[at * 4] = this.starts[at] ?? 0;
      numbers[at * 4 + 1] = this.inner[at + 1] ?? 0;
      numbers[at * 4 + 2] = this.#unknownMin[at] ?? 0;
      numbers[at * 4 + 3] = this.#unknownMax[at] ?? 0;
    }
    return { sites: this.sites.slice(0, depth), numbers };
  }

  /** Goes back to what it was; the visitor is told of the calls that are known as if they began. */
  restore({ sites, numbers }: StackSnapshot): void {
    this.depth = 0;
    for (const [at, site] of sites.entries()) {
      const start = numbers[at * 4] ?? 0;
      this.push(site, start);
      this.inner[at + 1] = numbers[at * 4 + 1] ?? 0;
      this.#unknownMin[at] = numbers[at * 4 + 2] ?? 0;
      this.#unknownMax[at] = numbers[at * 4 + 3] ?? 0;
      if (site !== unknownFrame) this.#visitor.enter(site, start, at);
    }
  }

  push(site: number, time: number): void {
    if (this.depth === this.sites.length) this.grow();
    this.sites[this.depth] = site;
    this.starts[this.depth] = time;
    this.depth++;
    this.inner[this.depth] = 0;
  }

  /**
   * An exit at `time`, of whichever call it fits.
   * @param last time of the event before.
   */
  exit(site: number, time: number, last: number, how: CallEnd): void {
    let at = this.depth - 1;
    while (at >= 0 && this.sites[at] !== site && this.sites[at] !== unknownFrame) at--;
    if (at < 0 && how === callEnd.unwound) {
      // A jump may find what was left long before, and unseen: no call that is open ends by it.
      this.#visitor.orphan(site, time, this.depth, how);
      return;
    }
    // Calls above the one that is left were left too, without saying so.
    this.#drop(at + 1, last, time, callEnd.left);
    if (at < 0) this.#visitor.orphan(site, time, 0, how);
    else if (this.sites[at] === site) this.#close(time, how);
    else this.#exitUnknown(site, time, last, how);
  }

  /** Events were lost between `last`, the time of the event before, and `time`. */
  lose(losses: Losses, last: number, time: number): void {
    if (losses.entriesMax === 0 && losses.exitsMax === 0) return;
    let min = losses.entriesMin - losses.exitsMax;
    let max = losses.entriesMax - losses.exitsMin;
    let from = last;
    let exits = losses.exitsMax;
    while (this.depth > 0) {
      const top = this.depth - 1;
      const isUnknown = this.sites[top] === unknownFrame;
      if (exits <= 0 && !isUnknown) break;
      const least = isUnknown ? (this.#unknownMin[top] ?? 0) : 1;
      min += least;
      max += isUnknown ? (this.#unknownMax[top] ?? 0) : 1;
      exits -= least;
      from = this.starts[top] ?? 0;
      this.#dropTop(last, callEnd.lost);
    }
    // Below the outermost frame lies the unknown anyway.
    if (this.depth === 0) return;
    // The unknown frame stands for what was dropped, from its beginning on.
    this.#addInner(from - last);
    if (max <= 0) this.#addInner(time - from);
    else this.#pushUnknown(Math.max(0, min), max, from);
  }

  /** Any number of events were lost after `last`. */
  loseAll(last: number): void {
    while (this.depth > 0) this.#dropTop(last, callEnd.lost);
  }

  /** The trace ends at `time`. */
  finish(time: number): void {
    while (this.depth > 0) this.#dropTop(time, callEnd.open);
  }

  /** The innermost call, which is known, ends at `time`. */
  #close(time: number, how: CallEnd): void {
    const top = --this.depth;
    const start = this.starts[top] ?? 0;
    const total = time - start;
    this.#visitor.leave(
      this.sites[top] ?? 0,
      start,
      time,
      total - (this.inner[top + 1] ?? 0),
      top,
      how,
    );
    this.#addInner(total);
  }

  /** Drops the frames from `to` on; what came after `last` up to `time` is nobody's. */
  #drop(to: number, last: number, time: number, how: CallEnd): void {
    if (this.depth <= to) return;
    while (this.depth > to) this.#dropTop(last, how);
    this.#addInner(time - last);
  }

  /** Drops the innermost frame, which is known to have run until `last`. */
  #dropTop(last: number, how: CallEnd): void {
    const top = --this.depth;
    const site = this.sites[top] ?? 0;
    const start = this.starts[top] ?? 0;
    const self = last - start - (this.inner[top + 1] ?? 0);
    if (site !== unknownFrame) this.#visitor.leave(site, start, last, self, top, how);
    this.#addInner(last - start);
  }

  /** Adds to the time of the innermost frame that is not its own. */
  #addInner(ticks: number): void {
    this.inner[this.depth] = (this.inner[this.depth] ?? 0) + ticks;
  }

  /** Puts unknown calls on top, or adds them to those that are there. */
  #pushUnknown(min: number, max: number, from: number): void {
    if (this.sites[this.depth - 1] !== unknownFrame) {
      this.push(unknownFrame, from);
      this.#unknownMin[this.depth - 1] = 0;
      this.#unknownMax[this.depth - 1] = 0;
    }
    const top = this.depth - 1;
    this.#unknownMin[top] = (this.#unknownMin[top] ?? 0) + min;
    this.#unknownMax[top] = (this.#unknownMax[top] ?? 0) + max;
  }

  /** An exit while an unknown frame is innermost: one of its calls ends, or the one below it. */
  #exitUnknown(site: number, time: number, last: number, how: CallEnd): void {
    const top = this.depth - 1;
    const min = this.#unknownMin[top] ?? 0;
    const max = this.#unknownMax[top] ?? 0;
    this.#visitor.orphan(site, time, top, how);
    if (min === 0 && this.sites[top - 1] === site) {
      // Either this was the call below, or it is still open: it is no longer known.
      this.#dropTop(last, callEnd.lost);
      const from = this.starts[this.depth - 1] ?? 0;
      this.#dropTop(last, callEnd.lost);
      this.#addInner(from - last);
      if (this.depth > 0) this.#pushUnknown(0, max, from);
      return;
    }
    this.#unknownMin[top] = Math.max(0, min - 1);
    this.#unknownMax[top] = max - 1;
    if (max <= 1) this.#dropUnknown(time);
  }

  /** The innermost frame, an unknown one, has no calls left. */
  #dropUnknown(time: number): void {
    this.depth--;
    this.#addInner(time - (this.starts[this.depth] ?? 0));
  }
}
