/**
 * RISC-V as axioms: RVWMO for data, and five candidates for instruction fetch.
 *
 * Sources: The RISC-V Instruction Set Manual, Volume I, "RVWMO Memory Consistency Model" (preserved
 * program order rules 1 to 13, load value and atomicity axioms), "Zifencei", "Ziccif", "Ziccid"
 * (1.0 draft); and the formal candidates ir1, ir2, ir3, ir-decode, ir-decode-w, ir3-fetch of the
 * litmus-tests-riscv-ifetch effort (README).
 *
 * Fetches read from the same memory order as loads do: a fetch is after the store it read from and
 * before every later store to the place. What the candidates differ in is which of them program
 * order keeps. Only fetches of code that somebody stores to are nodes; every other instruction has
 * a fetch too, so what a rule says about a later fetch holds for the accesses of that instruction.
 */

import type { FenceSet } from "../../isa/effects.ts";
import {
  type Axioms,
  type Execution,
  type Groups,
  isNatural,
  joinParts,
  laterWrites,
  type Node,
  overlaps,
  wholes,
} from "./execution.ts";
import type { Pairs } from "./reach.ts";
import { eventsOf, type Fence, type Mask, maskOf, type Trace } from "./trace.ts";

/** What a candidate adds to ir1 (fetch, its own instruction) and ir3 (access, fence.i, fetch). */
export type FetchRules = {
  /** ir2: fetches in program order. */
  readonly fetchToFetch: boolean;
  /** ir-decode-w: fetches before later stores. */
  readonly fetchToWrite: boolean;
  /** ir-decode: fetches before later loads and stores. */
  readonly fetchToAccess: boolean;
  /** ir3-fetch: FENCE.I orders earlier fetches, its own too, before later fetches. */
  readonly fenceFetch: boolean;
};

const isRead = ({ event }: Node): boolean => event.kind === "read";
const isWrite = ({ event }: Node): boolean => event.kind === "write";
const isFetch = ({ event }: Node): boolean => event.kind === "fetch";
const isAccess = (node: Node): boolean => isRead(node) || isWrite(node);

const before = (a: Node, b: Node): boolean => a.event.step < b.event.step;
const has = (mask: Mask, node: Node): boolean => (mask & maskOf(node.index)) !== 0n;
const inSet = (set: FenceSet, node: Node): boolean =>
  (set.read && isRead(node)) || (set.write && isWrite(node));

const fenceOrders = ({ barrier }: Fence, a: Node, b: Node): boolean => {
  if (barrier.name === "fence") return inSet(barrier.pred, a) && inSet(barrier.succ, b);
  // FENCE.TSO: all but stores before loads (Volume I, "Memory Ordering Instructions").
  if (barrier.name === "fence.tso") return isRead(a) || isWrite(b);
  return false;
};

/** One hart's program, as far as it orders by itself. */
class Local {
  readonly #trace: Trace;
  readonly #nodes: readonly Node[];
  readonly #rules: FetchRules;

  constructor(trace: Trace, nodes: readonly Node[], rules: FetchRules) {
    this.#trace = trace;
    this.#nodes = nodes;
    this.#rules = rules;
  }

  #fenceBetween(a: Node, b: Node, is: (fence: Fence) => boolean): boolean {
    const { step } = a.event;
    return this.#trace.fences.some((f) => f.step > step && f.step < b.event.step && is(f));
  }

  /** Whether FENCE.I stands between; with `own`, its own fetch counts as in front of it. */
  #fenceIBetween(a: Node, b: Node, own: boolean): boolean {
    return this.#trace.fences.some(
      ({ step, barrier }) =>
        barrier.name === "fence.i" &&
        (own ? step >= a.event.step : step > a.event.step) &&
        step < b.event.step,
    );
  }

  #storeBetween(a: Node, b: Node): boolean {
    return this.#nodes.some((w) => isWrite(w) && w.cell === a.cell && before(a, w) && before(w, b));
  }

  /** Rules 9 to 11 and 13: syntactic dependencies, and what waits for an address. */
  #isDependent(a: Node, b: Node): boolean {
    const { event } = b;
    if (has(event.addressOn, a)) return true;
    if (!isWrite(b)) return false;
    if (has(event.dataOn, a) || has(event.control, a)) return true;
    return this.#nodes.some((m) => isAccess(m) && before(m, b) && has(m.event.addressOn, a));
  }

  /** An AMO is one operation: what its halves are annotated with, both are. */
  #otherHalf(node: Node): Node | undefined {
    if (!node.event.atomic) return undefined;
    return this.#nodes.find((other) => other !== node && other.event.step === node.event.step);
  }

  #acquires(node: Node): boolean {
    return node.event.acquire || this.#otherHalf(node)?.event.acquire === true;
  }

  #releases(node: Node): boolean {
    return node.event.release || this.#otherHalf(node)?.event.release === true;
  }

  /** RCsc annotations: of AMOs and LR/SC, the only instructions that carry aq and rl. */
  #isAnnotated(node: Node): boolean {
    return this.#acquires(node) || this.#releases(node);
  }

  /** Preserved program order between accesses to memory, rules 1 and 4 to 13. */
  #isPreserved(a: Node, b: Node): boolean {
    // 8: paired by LR/SC, or the halves of an AMO.
    if (isRead(a) && b.event.rmw === a.index) return true;
    if (!before(a, b)) return false;
    // 1: overlapping, and b stores.
    if (isWrite(b) && overlaps(a.event, b.event)) return true;
    if (this.#fenceBetween(a, b, (fence) => fenceOrders(fence, a, b))) return true;
    // 5, 6, 7: acquire, release, both RCsc.
    if (this.#acquires(a) || this.#releases(b)) return true;
    if (this.#isAnnotated(a) && this.#isAnnotated(b)) return true;
    return this.#isDependent(a, b);
  }

  isOrdered(a: Node, b: Node): boolean {
    if (isAccess(a) && isAccess(b)) {
      // ir3, then ir1: FENCE.I orders before the fetch of b's instruction.
      return this.#isPreserved(a, b) || this.#fenceIBetween(a, b, false);
    }
    // ir1: a fetch is before what its instruction does; ir3: FENCE.I before later fetches.
    if (isFetch(a) && isAccess(b) && a.event.step === b.event.step) return true;
    if (!before(a, b)) return false;
    if (isAccess(a)) return isFetch(b) && this.#fenceIBetween(a, b, false);
    if (this.#rules.fenceFetch && this.#fenceIBetween(a, b, true)) return true;
    if (this.#rules.fetchToFetch) return true;
    if (isWrite(b)) return this.#rules.fetchToWrite || this.#rules.fetchToAccess;
    return isRead(b) && this.#rules.fetchToAccess;
  }

  /** Rule 2 without its last clause: loads of one place with no store to it between them. */
  isLoadPair(a: Node, b: Node): boolean {
    if (!isRead(a) || !isRead(b) || !before(a, b) || a.cell !== b.cell) return false;
    return !this.#storeBetween(a, b);
  }
}

/**
 * An AMO gives rise to one memory operation that is load and store at once (RVWMO, "Definition of
 * the RVWMO Memory Model"): what is before or after one of its halves is so of both.
 */
const joinAtomics = (nodes: readonly Node[], groups: Groups): Groups =>
  groups.map((group, at) => {
    const own = nodes[at];
    if (own?.event.atomic !== true) return group;
    return nodes.flatMap(({ thread, event }, other) =>
      thread === own.thread && event.step === own.event.step && event.atomic ? [other] : [],
    );
  });

function localPairs(trace: Trace, nodes: readonly Node[], rules: FetchRules): Pairs {
  const local = new Local(trace, nodes, rules);
  const pairs: number[] = [];
  for (const [i, a] of nodes.entries()) {
    for (const [j, b] of nodes.entries()) {
      if (i !== j && a.cell >= 0 && b.cell >= 0 && local.isOrdered(a, b)) pairs.push(i, j);
    }
  }
  const alone = nodes.map((_, node) => [node]);
  return joinParts(pairs, joinAtomics(nodes, alone));
}

/** Rules 2, 3 and 12: they ask which store a load read from. */
function loadPairs(execution: Execution, rules: FetchRules): Pairs {
  const { graphs, source } = execution;
  const pairs: number[] = [];
  let offset = 0;
  for (const graph of graphs) {
    const local = new Local(graph.trace, graph.nodes, rules);
    for (const [i, a] of graph.nodes.entries()) {
      for (const [j, b] of graph.nodes.entries()) {
        const [from, to] = [offset + i, offset + j];
        // 2: loads of one place from different stores.
        if (local.isLoadPair(a, b) && source[from] !== source[to]) pairs.push(from, to);
        if (isRead(b) && source[to] === from) {
          // 3: a load that reads what an AMO or SC of its own hart stored.
          if (a.event.atomic || a.event.exclusive) pairs.push(from, to);
          // 12: a load that reads what its own hart stored, with what that store depends on.
          for (const on of eventsOf(a.event.addressOn | a.event.dataOn)) {
            for (const [k, m] of graph.nodes.entries()) {
              if (m.index === on) pairs.push(offset + k, to);
            }
          }
        }
      }
    }
    offset += graph.nodes.length;
  }
  return pairs;
}

/** The global memory order agrees with reads-from (of others), from-reads and coherence. */
function observedPairs(execution: Execution, rules: FetchRules): Pairs {
  const { nodes, source } = execution;
  const pairs: number[] = [...loadPairs(execution, rules)];
  for (const [b, node] of nodes.entries()) {
    const from = source[b] ?? -1;
    if (isWrite(node)) {
      const at = execution.position[b] ?? 0;
      for (const w of (execution.writes.get(node.cell) ?? []).slice(at)) pairs.push(b, w);
    } else if (isAccess(node) || isFetch(node)) {
      // A fetch does not see its own hart's stores before they are global (Ziccid; ir1 and irf).
      const early = isRead(node) && nodes[from]?.thread === node.thread;
      if (from >= 0 && !early) pairs.push(from, b);
      for (const w of laterWrites(execution, b)) pairs.push(b, w);
    }
  }
  return joinParts(pairs, joinAtomics(nodes, wholes(nodes, isNatural)));
}

/** The axioms of a candidate. */
export function riscvAxioms(rules: FetchRules): Axioms {
  return {
    local: (trace, nodes) => localPairs(trace, nodes, rules),
    observed: (execution) => observedPairs(execution, rules),
    choices: () => [],
    fetchesAhead: true,
    fetchesOwnStores: false,
  };
}
