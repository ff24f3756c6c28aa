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
 * what they order is said pair by pair. All observers are in one inner-shareable domain: ISH, OSH
 * and SY are the same.
 */

import {
  before,
  isClean,
  isFetch,
  isFullDsb,
  isInvalidate,
  isRead,
  isWrite,
  Local,
  localPairs,
} from "./axioms-aarch64-local.ts";
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

/** CTR_EL0.DIC and IDC: whether instruction, and data, caches need no maintenance. */
export type CacheType = { readonly dic: boolean; readonly idc: boolean };

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
    (f) => isFullDsb(f) && f.step > operation.event.step,
  ) === true;

type Taken = readonly (number | undefined)[];

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
      const alternatives = [
        { from: write, to: clean, more: () => this.#fetchesThatMissed(write, clean) },
        { from: clean, to: write },
      ];
      this.choices.push({ stage: 0, alternatives });
    }
  }

  /** Cleanings that come after a store that `fetch` did not see. */
  #cleansOfLaterStores(fetch: number, taken: Taken): readonly number[] {
    const later = new Set(laterWrites(this.#execution, fetch));
    return [...this.#cleans]
      .filter(([, ordered]) =>
        ordered.some(({ write, choice }) => later.has(write) && taken[choice] === 0),
      )
      .map(([clean]) => clean);
  }

  /**
   * DIC without IDC: a fetch that did not see a store was done before the store was cleaned, and
   * so were all fetches in front of it.
   */
  #fetchesThatMissed(write: number, clean: number): Pairs {
    const { dic, idc } = this.#cacheType;
    if (!dic || idc) return [];
    const { nodes } = this.#execution;
    return nodes.flatMap((own, fetch) => {
      if (!isFetch(own) || !laterWrites(this.#execution, fetch).includes(write)) return [];
      return nodes.flatMap((node, earlier) =>
        earlier === fetch || this.#isEarlierFetch(node, own) ? [earlier, clean] : [],
      );
    });
  }

  #isEarlierFetch(node: Node, own: Node): boolean {
    return node.thread === own.thread && isFetch(node) && before(node, own);
  }

  /** IC-after: a fetch is before or after an invalidation of its line. */
  #addInvalidate(ic: number, fetch: number): void {
    this.choices.push({
      stage: 1,
      alternatives: [
        { from: fetch, to: ic, more: () => this.#earlierFetches(ic, fetch) },
        { from: ic, to: fetch, more: (taken) => this.#staleAfter(ic, fetch, taken) },
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
  #staleAfter(ic: number, fetch: number, taken: Taken): Pairs {
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
