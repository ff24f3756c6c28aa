/**
 * What a stretch of some threads' time was spent on: a call tree with times cut to the stretch,
 * numbers per function, and who called whom.
 */
import {
  type CallEnd,
  type CallVisitor,
  isComplete,
  unknownFrame,
} from "../../trace/call-stack.ts";
import type { Trace } from "../../trace/trace.ts";
import { CallTree, lostSite } from "../call-tree.ts";
import { Histograms } from "../histograms.ts";
import { openThread, type ThreadIndex } from "./thread-index.ts";
import { segmentAt } from "./window.ts";

/** One function's numbers in the stretch; times in ticks. */
export type ProfileRow = {
  readonly site: number;
  /** Calls that ran in the stretch, if only partly. */
  readonly calls: number;
  /** Time in the stretch in which at least one call was open, of each thread. */
  readonly total: number;
  readonly self: number;
  /** Calls that lie wholly in the stretch; the numbers below are theirs. */
  readonly complete: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
  readonly p50: number;
  readonly p99: number;
};

/** A node of the flame graph; its parent comes before it. */
export type ProfileNode = {
  readonly id: number;
  /** -1 for the outermost calls. */
  readonly parent: number;
  /** -1 for calls that were lost. */
  readonly site: number;
  readonly calls: number;
  readonly total: number;
  readonly self: number;
};

/** Calls of a function by who made them, or of others by whom it called. */
export type Relative = {
  /** -1: nobody that is known. */
  readonly site: number;
  readonly calls: number;
  readonly total: number;
};

type Numbers = {
  calls: number;
  total: number;
  self: number;
  complete: number;
  sum: number;
  min: number;
  max: number;
  open: number;
  readonly row: number;
};

/** Adds stretches of threads up. */
export class SelectionProfile {
  readonly tree: CallTree = new CallTree();
  /** Entries and exits that were lost in the stretches. */
  lost = 0;
  /** Ticks of all stretches in which calls were open. */
  busy = 0;
  /** By site. */
  readonly #functions: (Numbers | undefined)[] = [];
  #functionCount = 0;
  readonly #histograms: Histograms = new Histograms(64);
  #rowsMax = 64;
  #isSummed = false;

  /** Adds a thread's time from `from` to `to`; its index has to be whole. */
  add(trace: Trace, origin: bigint, index: ThreadIndex, from: number, to: number): void {
    const segment = index.segments[segmentAt(index.segments, from)];
    if (segment === undefined) return;
    const visitor = new StretchVisitor(this, from, to);
    const reader = openThread(trace, origin, index.plan.index, visitor);
    try {
      let next = reader.resume(segment.mark);
      while (next <= to) next = reader.run(to);
      visitor.finish();
    } finally {
      reader.close();
    }
    for (const numbers of this.#functions) if (numbers !== undefined) numbers.open = 0;
  }

  /** Functions by falling self time. */
  rows(): readonly ProfileRow[] {
    this.#sum();
    return this.#functions
      .flatMap((numbers, site) =>
        numbers === undefined || numbers.calls === 0 ? [] : this.#profileRow(site, numbers),
      )
      .sort((a, b) => b.self - a.self || a.site - b.site);
  }

  #profileRow(site: number, numbers: Numbers): ProfileRow {
    const { calls, total, self, complete, sum, min, max, row } = numbers;
    const quantile = (share: number): number =>
      complete === 0 ? 0 : Math.min(max, Math.max(min, this.#histograms.quantile(row, share)));
    const [p50, p99] = [quantile(0.5), quantile(0.99)];
    return { site, calls, total, self, complete, sum, min, max, p50, p99 };
  }

  /** The tree's nodes with at least `min` ticks, no more than `limit`: the heaviest. */
  nodes(min: number, limit: number): readonly ProfileNode[] {
    this.#sum();
    const { tree } = this;
    const wanted: number[] = [];
    for (let id = 1; id < tree.count; id++) if (tree.total(id) >= min) wanted.push(id);
    // A parent is no lighter than its children: cutting the lightest leaves a tree.
    const kept = wanted.sort((a, b) => tree.total(b) - tree.total(a) || a - b).slice(0, limit);
    return kept
      .sort((a, b) => a - b)
      .map((id) => ({
        id,
        parent: tree.parent(id) === 0 ? -1 : tree.parent(id),
        site: tree.site(id),
        calls: tree.calls(id),
        total: tree.total(id),
        self: tree.self(id),
      }));
  }

  /** Who calls `site`, and whom it calls; the heaviest first. */
  relatives(site: number): {
    readonly callers: readonly Relative[];
    readonly callees: readonly Relative[];
  } {
    this.#sum();
    const { tree } = this;
    const callers = new Map<number, { calls: number; total: number }>();
    const callees = new Map<number, { calls: number; total: number }>();
    const note = (to: typeof callers, other: number, id: number): void => {
      const known = to.get(other) ?? { calls: 0, total: 0 };
      known.calls += tree.calls(id);
      known.total += tree.total(id);
      to.set(other, known);
    };
    for (let id = 1; id < tree.count; id++) {
      const parent = tree.parent(id);
      if (tree.site(id) === site) note(callers, parent === 0 ? -1 : tree.site(parent), id);
      if (parent !== 0 && tree.site(parent) === site) note(callees, tree.site(id), id);
    }
    const sorted = (from: typeof callers): readonly Relative[] =>
      [...from]
        .map(([other, numbers]) => ({ site: other, ...numbers }))
        .sort((a, b) => b.total - a.total || a.site - b.site);
    return { callers: sorted(callers), callees: sorted(callees) };
  }

  /** @internal a function's numbers. */
  numbers(site: number): Numbers {
    const known = this.#functions[site];
    if (known !== undefined) return known;
    const row = this.#functionCount++;
    if (row >= this.#rowsMax) this.#histograms.grow((this.#rowsMax *= 2));
    const zero = { calls: 0, total: 0, self: 0, complete: 0, sum: 0, min: 0, max: 0, open: 0 };
    const numbers: Numbers = { ...zero, row };
    this.#functions[site] = numbers;
    return numbers;
  }

  /** @internal a whole call's duration. */
  duration(numbers: Numbers, ticks: number): void {
    numbers.min = numbers.complete === 0 ? ticks : Math.min(numbers.min, ticks);
    numbers.max = Math.max(numbers.max, ticks);
    numbers.complete++;
    numbers.sum += ticks;
    this.#histograms.add(numbers.row, ticks);
  }

  /** Own times are what inner calls leave; lost calls take as long as what lies in them. */
  #sum(): void {
    if (this.#isSummed) return;
    this.#isSummed = true;
    const { tree } = this;
    const inner = new Float64Array(tree.count);
    for (let id = tree.count - 1; id > 0; id--) {
      if (tree.site(id) === lostSite) tree.add(id, 1, inner[id] ?? 0);
      else {
        const self = Math.max(0, tree.total(id) - (inner[id] ?? 0));
        tree.add(id, 2, self);
        this.numbers(tree.site(id)).self += self;
      }
      const parent = tree.parent(id);
      inner[parent] = (inner[parent] ?? 0) + tree.total(id);
      if (parent === 0) this.busy += tree.total(id);
    }
  }
}

/** Adds one thread's calls to a profile. */
class StretchVisitor implements CallVisitor {
  readonly #profile: SelectionProfile;
  readonly #from: number;
  readonly #to: number;
  readonly #sites: number[] = [];
  readonly #starts: number[] = [];
  /** Their nodes, -1 before the stretch: a call that ends before it has none. */
  readonly #nodes: number[] = [];
  #depth = 0;

  constructor(profile: SelectionProfile, from: number, to: number) {
    this.#profile = profile;
    this.#from = from;
    this.#to = to;
  }

  enter(site: number, time: number, index: number): void {
    for (let at = this.#depth; at < index; at++) this.#put(at, unknownFrame, time);
    this.#put(index, site, time);
    this.#profile.numbers(site).open++;
  }

  leave(site: number, start: number, end: number, _: number, index: number, how: CallEnd): void {
    const numbers = this.#profile.numbers(site);
    numbers.open--;
    if (end >= this.#from && start < this.#to) {
      this.#close(index, Math.min(end, this.#to));
      if (start >= this.#from && end <= this.#to && isComplete(how)) {
        this.#profile.duration(numbers, end - start);
      }
    }
    this.#depth = index;
  }

  point(site: number, time: number, index: number): void {
    if (time < this.#from || time >= this.#to) return;
    const { tree } = this.#profile;
    tree.add(tree.child(this.#node(index - 1), site), 0, 1);
    this.#profile.numbers(site).calls++;
  }

  orphan(): void {
    // Where it began is not in the trace.
  }

  gap(lost: number, from: number, to: number): void {
    if (to >= this.#from && from < this.#to) this.#profile.lost += lost;
  }

  /** The stretch ends. */
  finish(): void {
    for (let at = this.#depth - 1; at >= 0; at--) {
      const site = this.#sites[at] ?? unknownFrame;
      if (site === unknownFrame || (this.#starts[at] ?? 0) >= this.#to) continue;
      this.#profile.numbers(site).open--;
      this.#close(at, this.#to);
    }
  }

  #put(at: number, site: number, time: number): void {
    this.#sites[at] = site;
    this.#starts[at] = time;
    this.#nodes[at] = -1;
    this.#depth = at + 1;
  }

  #close(index: number, end: number): void {
    const { tree } = this.#profile;
    const site = this.#sites[index] ?? unknownFrame;
    const ticks = end - Math.max(this.#starts[index] ?? 0, this.#from);
    const node = this.#node(index);
    const numbers = this.#profile.numbers(site);
    tree.add(node, 0, 1);
    tree.add(node, 1, ticks);
    numbers.calls++;
    if (numbers.open === 0) numbers.total += ticks;
  }

  /** The node of the call at a place of the stack, made with those around it. */
  #node(index: number): number {
    let at = index;
    while (at >= 0 && (this.#nodes[at] ?? -1) < 0) at--;
    let node = at < 0 ? 0 : (this.#nodes[at] ?? 0);
    while (at < index) {
      const site = this.#sites[++at] ?? unknownFrame;
      node = this.#profile.tree.child(node, site === unknownFrame ? lostSite : site);
      this.#nodes[at] = node;
    }
    return node;
  }
}
