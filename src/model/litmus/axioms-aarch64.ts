/**
 * Armv8-A with instruction fetch, as axioms.
 *
 * Source: Arm Architecture Reference Manual (DDI 0487), B2.3 "Definition of the Arm memory model",
 * by the names of its relations, and the same model as Arm publishes it for herd (herdtools7,
 * `aarch64.cat` and the files it includes; restated here, not copied). The fetch part began as
 * Simner et al., "ARMv8-A system semantics: instruction fetch in relaxed architectures", ESOP 2020;
 * where the two differ, Arm's is followed.
 *
 * Reads, writes, fetches (Implicit Instruction Reads), DC CVAU and IC are nodes; barriers are not:
 * what they order is said pair by pair. All observers are in one inner-shareable domain.
 */

import type { Barrier } from "../../isa/effects.ts";
import {
  type Axioms,
  type Choice,
  type Execution,
  isNatural,
  laterWrites,
  type Node,
  overlaps,
  siblings,
} from "./execution.ts";
import type { Pairs } from "./reach.ts";
import { type Fence, type Mask, maskOf, type Trace } from "./trace.ts";

/** CTR_EL0.DIC and IDC: whether instruction, and data, caches need no maintenance. */
export type CacheType = { readonly dic: boolean; readonly idc: boolean };

const isRead = ({ event }: Node): boolean => event.kind === "read";
const isWrite = ({ event }: Node): boolean => event.kind === "write";
const isFetch = ({ event }: Node): boolean => event.kind === "fetch";
const isClean = ({ event }: Node): boolean => event.kind === "clean";
const isInvalidate = ({ event }: Node): boolean => event.kind === "invalidate";
/** Explicit Memory Effects. */
const isMemory = (node: Node): boolean => isRead(node) || isWrite(node);

/** A read whose value goes nowhere is not ordered by DMB LD and DSB LD (Arm ARM: NoRet). */
const isReturningRead = (node: Node): boolean => isRead(node) && !node.event.noReturn;

const before = (a: Node, b: Node): boolean => a.event.step < b.event.step;

const has = (mask: Mask, node: Node): boolean => (mask & maskOf(node.index)) !== 0n;

const isDsb = ({ barrier }: Fence): boolean => barrier.name === "dsb";
const isDataBarrier = ({ barrier }: Fence): boolean =>
  barrier.name === "dsb" || barrier.name === "dmb";
const accessOf = (barrier: Fence["barrier"]): "ld" | "st" | "full" | undefined =>
  "access" in barrier ? barrier.access : undefined;

/** ISB, exception entry and exception return (FEAT_ExS is not modelled). */
const synchronises = ({ barrier }: Fence): boolean =>
  barrier.name === "isb" || barrier.name === "exception";

/** The local part: what one thread's program orders by itself (Locally-ordered-before). */
class Local {
  readonly #trace: Trace;
  readonly #nodes: readonly Node[];

  constructor(trace: Trace, nodes: readonly Node[]) {
    this.#trace = trace;
    this.#nodes = nodes;
  }

  #fenceBetween(from: number, to: number, is: (fence: Fence) => boolean): boolean {
    return this.#trace.fences.some((f) => f.step > from && f.step < to && is(f));
  }

  /** Whether a DSB after `a` and before step `to` waits for `a` (DSB-ordered-before). */
  dsbBetween(a: Node, to: number): boolean {
    return this.#fenceBetween(a.event.step, to, (fence) => {
      if (!isDsb(fence)) return false;
      const access = accessOf(fence.barrier);
      if (access === "full") return true;
      return access === "ld" ? isReturningRead(a) : isWrite(a);
    });
  }

  /** Instruction-fetch-barrier-ordered-before: `a` is done before `b` is even fetched. */
  isFetchBarrierOrdered(a: Node, b: Node): boolean {
    return this.#trace.fences.some((fence) => {
      if (!synchronises(fence)) return false;
      if (fence.step <= a.event.step || fence.step >= b.event.step) return false;
      if (this.dsbBetween(a, fence.step)) return true;
      if (!isRead(a)) return false;
      return has(fence.control, a) || this.#addressedBefore(a, fence.step);
    });
  }

  /** Whether the address of an access before `step` depends on `a`. */
  #addressedBefore(a: Node, step: number): boolean {
    return this.#nodes.some(
      (m) => isMemory(m) && m.event.step < step && has(m.event.addressPick, a),
    );
  }

  /** Dependency- and Pick-ordered-before. */
  #isDependent(a: Node, b: Node): boolean {
    if (!isRead(a)) return false;
    const { event } = b;
    const committed = isWrite(b) || isClean(b) || isInvalidate(b);
    if (has(event.addressOn, a) && !isFetch(b)) return true;
    if (committed && (has(event.addressPick, a) || has(event.control, a))) return true;
    if (!isWrite(b)) return this.#readsOwnDependent(a, b);
    return has(event.dataPick, a) || this.#addressedBefore(a, event.step);
  }

  /** `addr` or `data` to a store, which `b` is the next read of. */
  #readsOwnDependent(a: Node, b: Node): boolean {
    if (!isRead(b)) return false;
    const store = this.#lastStoreBefore(b);
    return store !== undefined && has(store.event.addressOn | store.event.dataOn, a);
  }

  /** Local memory read successor, inverted: the store to the same place that `b` follows. */
  #lastStoreBefore(b: Node): Node | undefined {
    return this.#nodes.findLast((w) => isWrite(w) && w.cell === b.cell && before(w, b));
  }

  /** Barrier-ordered-before. */
  #isBarrierOrdered(a: Node, b: Node): boolean {
    const ordered = this.#fenceBetween(a.event.step, b.event.step, (fence) => {
      if (!isDataBarrier(fence)) return false;
      const access = accessOf(fence.barrier);
      if (access === "ld") return isReturningRead(a) && isMemory(b);
      if (access === "st") return isWrite(a) && isWrite(b);
      return (isMemory(a) || isClean(a)) && (isMemory(b) || isClean(b));
    });
    if (ordered) return true;
    if (!isMemory(a) || !isMemory(b)) return false;
    if (a.event.acquire || a.event.acquirePc) return isRead(a);
    if (isWrite(b) && b.event.release) return true;
    if (!isWrite(a) || !a.event.release) return false;
    return (isRead(b) && b.event.acquire) || this.#isAcquireReleaseAtomic(a);
  }

  /** The write of an atomic that acquires and releases: a full barrier for what follows. */
  #isAcquireReleaseAtomic({ event }: Node): boolean {
    const read = event.rmw === undefined ? undefined : this.#trace.events[event.rmw];
    return event.atomic && event.release && read?.acquire === true;
  }

  /** Atomic-ordered-before; the two halves are of one instruction or of an exclusive pair. */
  #isAtomicOrdered(a: Node, b: Node): boolean {
    if (!isRead(a)) return false;
    if (b.event.rmw === a.index) return true;
    if (!isRead(b) || !(b.event.acquire || b.event.acquirePc)) return false;
    return this.#lastStoreBefore(b)?.event.rmw === a.index;
  }

  /** Local memory write successor; program order with DC CVAU on the same cache line. */
  #isSamePlaceOrdered(a: Node, b: Node): boolean {
    const maintained = (isMemory(a) || isClean(a)) && (isMemory(b) || isClean(b));
    if (!maintained || !overlaps(a.event, b.event)) return false;
    return isWrite(b) || isClean(a) || isClean(b);
  }

  isOrdered(a: Node, b: Node): boolean {
    if (this.#isAtomicOrdered(a, b)) return true;
    // Fetch-intrinsically-before: a fetch is before everything that it makes happen.
    if (isFetch(a) && !isFetch(b) && a.event.step === b.event.step) return true;
    if (!before(a, b)) return false;
    if (this.isFetchBarrierOrdered(a, b)) return true;
    // Other fetches may be done early; everything else is after all fetches in front of it.
    if (isFetch(b)) return false;
    if (isFetch(a)) return true;
    return (
      this.dsbBetween(a, b.event.step) ||
      this.#isSamePlaceOrdered(a, b) ||
      this.#isDependent(a, b) ||
      this.#isBarrierOrdered(a, b)
    );
  }
}

function localPairs(trace: Trace, nodes: readonly Node[]): Pairs {
  const local = new Local(trace, nodes);
  const pairs: number[] = [];
  for (const [i, a] of nodes.entries()) {
    for (const [j, b] of nodes.entries()) {
      if (i !== j && local.isOrdered(a, b)) pairs.push(i, j);
    }
  }
  return pairs;
}

/** Observed-by, for data: what other threads' stores and reads show. */
function observedPairs(execution: Execution, { dic, idc }: CacheType): Pairs {
  const { nodes, source } = execution;
  const pairs: number[] = [];
  const observe = (a: number, b: number): void => {
    for (const end of siblings(nodes, b, isNatural)) pairs.push(a, end);
  };
  for (const [b, node] of nodes.entries()) {
    const from = source[b] ?? -1;
    const external = (other: number): boolean => nodes[other]?.thread !== node.thread;
    if (isWrite(node)) {
      const { cell } = node;
      const at = execution.position[b] ?? 0;
      const later = (execution.writes.get(cell) ?? []).slice(at);
      for (const w of later) if (external(w)) observe(b, w);
    } else if (isRead(node)) {
      if (from >= 0 && external(from)) observe(from, b);
      for (const w of laterWrites(execution, b)) if (external(w)) observe(b, w);
      hazardPairs(execution, b, pairs);
    } else if (isFetch(node)) {
      // Instruction-observed-by: also what the thread stored itself.
      if (from >= 0) pairs.push(from, b);
      if (dic) coherentFetchPairs(execution, b, idc, pairs);
    }
  }
  return pairs;
}

/** Explicitly-hazard-ordered-before: reads of one place in order, where the later one is stale. */
function hazardPairs(execution: Execution, second: number, pairs: number[]): void {
  const { nodes } = execution;
  const own = nodes[second];
  if (own === undefined) return;
  for (const [first, node] of nodes.entries()) {
    if (node.thread !== own.thread || !isRead(node) || !before(node, own)) continue;
    if (!overlaps(node.event, own.event)) continue;
    for (const w of laterWrites(execution, second)) {
      if (nodes[w]?.thread === own.thread) continue;
      for (const end of siblings(nodes, w, isNatural)) pairs.push(first, end);
    }
  }
}

/**
 * DIC: an instruction cache needs no invalidation, so a fetch that returns an old value was done
 * before the store (IC-coherence-after), and so was every fetch in front of it (IC-ordered-before).
 * With IDC clear the store has to be cleaned first to be seen by fetches: then only fetches of the
 * same place are in order here, and `Maintenance` does the rest.
 */
function coherentFetchPairs(
  execution: Execution,
  fetch: number,
  idc: boolean,
  pairs: number[],
): void {
  const { nodes } = execution;
  const own = nodes[fetch];
  if (own === undefined) return;
  for (const w of laterWrites(execution, fetch)) {
    if (idc) pairs.push(fetch, w);
    for (const [earlier, node] of nodes.entries()) {
      if (node.thread !== own.thread || !isFetch(node) || !before(node, own)) continue;
      if (idc || node.cell === own.cell) pairs.push(earlier, w);
    }
  }
}

/** `IC` of everything concerns the PE that executes it, unless it is the IS form. */
const invalidates = (operation: Node, fetch: Node): boolean => {
  const { event } = operation;
  if (event.bytes > 0) return overlaps(event, fetch.event);
  return event.value === 0n || operation.thread === fetch.thread;
};

/** Whether a full DSB of the same thread completes the operation. */
const isCompleted = (execution: Execution, operation: Node): boolean =>
  execution.graphs[operation.thread]?.trace.fences.some(
    (f) => isDsb(f) && accessOf(f.barrier) === "full" && f.step > operation.event.step,
  ) === true;

/** Builds the choices of one execution: DC against stores, then IC against fetches. */
class Maintenance {
  readonly #execution: Execution;
  readonly #cacheType: CacheType;
  /** Per DC node: the store nodes it is ordered with, and the number of that choice. */
  readonly #cleans = new Map<number, { readonly write: number; readonly choice: number }[]>();
  readonly choices: Choice[] = [];

  constructor(execution: Execution, cacheType: CacheType) {
    this.#execution = execution;
    this.#cacheType = cacheType;
    const { nodes } = execution;
    for (const [clean, node] of nodes.entries()) if (isClean(node)) this.#addClean(clean);
    for (const [fetch, node] of nodes.entries()) {
      if (!isFetch(node)) continue;
      if (cacheType.dic && !cacheType.idc) this.#addUncleanFetch(fetch);
      for (const [ic, operation] of nodes.entries()) {
        if (!isInvalidate(operation) || !invalidates(operation, node)) continue;
        if (isCompleted(execution, operation)) this.#addInvalidate(ic, fetch);
      }
    }
  }

  /** DC-after: a store is before or after the cleaning of its line. */
  #addClean(clean: number): void {
    const { nodes } = this.#execution;
    const own = nodes[clean];
    const ordered: { write: number; choice: number }[] = [];
    this.#cleans.set(clean, ordered);
    for (const [write, node] of nodes.entries()) {
      if (own === undefined || !isWrite(node) || !overlaps(node.event, own.event)) continue;
      ordered.push({ write, choice: this.choices.length });
      this.choices.push({ alternatives: [() => [write, clean], () => [clean, write]] });
    }
  }

  /** Cleanings that come after a store that `fetch` did not see. */
  #cleansOfLaterStores(fetch: number, taken: readonly number[]): readonly number[] {
    const later = new Set(laterWrites(this.#execution, fetch));
    return [...this.#cleans]
      .filter(([, ordered]) =>
        ordered.some(({ write, choice }) => later.has(write) && taken[choice] === 0),
      )
      .map(([clean]) => clean);
  }

  /** DIC without IDC: a fetch that did not see a store was done before that store was cleaned. */
  #addUncleanFetch(fetch: number): void {
    const { nodes } = this.#execution;
    const own = nodes[fetch];
    this.choices.push({
      alternatives: [
        (taken) =>
          this.#cleansOfLaterStores(fetch, taken).flatMap((clean) =>
            nodes.flatMap((node, earlier) =>
              node === own || (own !== undefined && this.#isEarlierFetch(node, own))
                ? [earlier, clean]
                : [],
            ),
          ),
      ],
    });
  }

  #isEarlierFetch(node: Node, own: Node): boolean {
    return node.thread === own.thread && isFetch(node) && before(node, own);
  }

  /** IC-after: a fetch is before or after an invalidation of its line. */
  #addInvalidate(ic: number, fetch: number): void {
    this.choices.push({
      alternatives: [
        () => [fetch, ic, ...this.#earlierFetches(ic, fetch)],
        (taken) => [ic, fetch, ...this.#staleAfter(ic, fetch, taken)],
      ],
    });
  }

  /**
   * IC-ordered-before: what waits for the invalidation (by DSB, or by DSB and a context
   * synchronisation) waits for every fetch that is in front of an invalidated one, too.
   */
  #earlierFetches(ic: number, fetch: number): Pairs {
    const { nodes, graphs } = this.#execution;
    const operation = nodes[ic];
    const own = nodes[fetch];
    if (operation === undefined || own === undefined) return [];
    const graph = graphs[operation.thread];
    if (graph === undefined) return [];
    const local = new Local(graph.trace, graph.nodes);
    const pairs: number[] = [];
    for (const [earlier, node] of nodes.entries()) {
      if (!this.#isEarlierFetch(node, own)) continue;
      for (const [end, after] of nodes.entries()) {
        if (after.thread !== operation.thread || !before(operation, after)) continue;
        const waits = !isFetch(after) && local.dsbBetween(operation, after.event.step);
        if (waits || local.isFetchBarrierOrdered(operation, after)) pairs.push(earlier, end);
      }
    }
    return pairs;
  }

  /**
   * IC-coherence-after: a fetch after an invalidation that still misses a store is older than the
   * store's arrival at the point of unification: its cleaning, or with IDC the store itself.
   */
  #staleAfter(ic: number, fetch: number, taken: readonly number[]): Pairs {
    const { dic, idc } = this.#cacheType;
    if (dic) return [];
    if (idc) return laterWrites(this.#execution, fetch).flatMap((w) => [ic, w]);
    return this.#cleansOfLaterStores(fetch, taken).flatMap((clean) => [ic, clean]);
  }
}

/** The axioms of a machine with these caches. */
export function aarch64Axioms(cacheType: CacheType): Axioms {
  return {
    local: localPairs,
    observed: (execution) => observedPairs(execution, cacheType),
    choices: (execution) => new Maintenance(execution, cacheType).choices,
    fetchesAhead: false,
    fetchesOwnStores: false,
  };
}

/** Barriers that this model knows; others are refused. */
export const isAarch64Barrier = (barrier: Barrier): boolean =>
  barrier.name === "dmb" || barrier.name === "dsb" || barrier.name === "isb";
