/**
 * Armv8-A: what the program order of one thread keeps. Sources as in `axioms-aarch64.ts`; every
 * function names the relation of the Arm ARM (B2.3) that it states.
 */

import { type Node, overlaps } from "./execution.ts";
import type { Pairs } from "./reach.ts";
import { type Fence, type Mask, maskOf, type Trace } from "./trace.ts";

export const isRead = ({ event }: Node): boolean => event.kind === "read";
export const isWrite = ({ event }: Node): boolean => event.kind === "write";
export const isFetch = ({ event }: Node): boolean => event.kind === "fetch";
export const isClean = ({ event }: Node): boolean => event.kind === "clean";
export const isInvalidate = ({ event }: Node): boolean => event.kind === "invalidate";
/** Explicit Memory Effects. */
const isMemory = (node: Node): boolean => isRead(node) || isWrite(node);

/** A read whose value goes nowhere is not ordered by DMB LD and DSB LD (Arm ARM: NoRet). */
const isReturningRead = (node: Node): boolean => isRead(node) && !node.event.noReturn;

export const before = (a: Node, b: Node): boolean => a.event.step < b.event.step;

const has = (mask: Mask, node: Node): boolean => (mask & maskOf(node.index)) !== 0n;

/** A barrier of the non-shareable domain orders nothing that others could see. */
const isShared = (barrier: Fence["barrier"]): boolean =>
  "domain" in barrier && barrier.domain !== "nsh";
const isDsb = ({ barrier }: Fence): boolean => barrier.name === "dsb" && isShared(barrier);
const isDataBarrier = ({ barrier }: Fence): boolean =>
  (barrier.name === "dsb" || barrier.name === "dmb") && isShared(barrier);
const accessOf = (barrier: Fence["barrier"]): "ld" | "st" | "full" | undefined =>
  "access" in barrier ? barrier.access : undefined;

/** A DSB for all accesses, which completes cache operations. */
export const isFullDsb = (fence: Fence): boolean =>
  isDsb(fence) && accessOf(fence.barrier) === "full";

/** ISB, exception entry and exception return (FEAT_ExS is not modelled). */
const synchronises = ({ barrier }: Fence): boolean =>
  barrier.name === "isb" || barrier.name === "exception";

/** What one thread's program orders by itself (Locally-ordered-before). */
export class Local {
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

export function localPairs(trace: Trace, nodes: readonly Node[]): Pairs {
  const local = new Local(trace, nodes);
  const pairs: number[] = [];
  for (const [i, a] of nodes.entries()) {
    for (const [j, b] of nodes.entries()) {
      if (i !== j && local.isOrdered(a, b)) pairs.push(i, j);
    }
  }
  return pairs;
}
