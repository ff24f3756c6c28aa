/**
 * x86-64 as axioms: TSO for data, and what the manuals promise about instruction fetch.
 *
 * Sources: Intel SDM Vol. 3A, "Memory Ordering" (8.2, now 9.2), "Handling Self- and Cross-Modifying
 * Code" (8.1.3, now 9.1.3) and "Serializing Instructions"; AMD APM Vol. 2, "Memory ordering" and
 * "Cache Coherency and Self-Modifying Code"; Sewell et al., "x86-TSO" (CACM 2010).
 *
 * - A processor's own stores are seen by its own later fetches (self-modifying code).
 * - Instructions are executed in order: a fetch is before everything that comes after it, except
 *   other fetches, whose bytes may have been prefetched at any earlier time.
 * - A serialising instruction has everything in front of it done and visible before anything behind
 *   it is fetched.
 */

import {
  type Axioms,
  type Execution,
  joinParts,
  laterWrites,
  type Node,
  wholes,
} from "./execution.ts";
import type { Pairs } from "./reach.ts";
import type { Fence, Trace, TraceEvent } from "./trace.ts";

export type X86Rules = {
  /** How far fetches of one thread are in order: at one place only, or all of them. */
  readonly fetchOrder: "location" | "program";
  /** A store inside of such an aligned block is seen whole, however it is aligned. */
  readonly storeBytes: 8 | 64;
};

const isRead = ({ event }: Node): boolean => event.kind === "read";
const isWrite = ({ event }: Node): boolean => event.kind === "write";
const isFetch = ({ event }: Node): boolean => event.kind === "fetch";

const before = (a: Node, b: Node): boolean => a.event.step < b.event.step;

/** Accesses inside of an aligned quadword are atomic (SDM Vol. 3A, 9.1.1; APM Vol. 2, 7.3.2). */
const isWhole =
  ({ storeBytes }: X86Rules) =>
  (event: TraceEvent): boolean => {
    const block = event.kind === "write" ? storeBytes : 8;
    return event.kind === "fetch" || Number(event.address % BigInt(block)) + event.bytes <= block;
  };

const isSerialising = ({ barrier }: Fence): boolean => barrier.name === "serialize";

function isOrdered(trace: Trace, a: Node, b: Node, rules: X86Rules): boolean {
  const between = (is: (fence: Fence) => boolean): boolean =>
    trace.fences.some((f) => f.step > a.event.step && f.step < b.event.step && is(f));
  if (!isFetch(b) && isFetch(a) && a.event.step === b.event.step) return true;
  if (!before(a, b)) return a.event.step === b.event.step && b.event.rmw === a.index;
  if (between(isSerialising)) return true;
  if (isFetch(b)) {
    return isFetch(a) && (rules.fetchOrder === "program" || a.cell === b.cell);
  }
  if (isFetch(a) || isRead(a) || isWrite(b)) return true;
  // A store before a load: MFENCE, or a locked instruction, drains the store buffer.
  if (a.event.atomic || b.event.atomic || between(({ barrier }) => barrier.name === "mfence")) {
    return true;
  }
  return trace.events.some((e) => e.atomic && e.step > a.event.step && e.step < b.event.step);
}

function localPairs(trace: Trace, nodes: readonly Node[], rules: X86Rules): Pairs {
  const pairs: number[] = [];
  for (const [i, a] of nodes.entries()) {
    for (const [j, b] of nodes.entries()) {
      if (i === j || a.cell < 0 || b.cell < 0) continue;
      if (isOrdered(trace, a, b, rules)) pairs.push(i, j);
    }
  }
  return pairs;
}

function observedPairs(execution: Execution, rules: X86Rules): Pairs {
  const { nodes, source, position, writes } = execution;
  const pairs: number[] = [];
  for (const [b, node] of nodes.entries()) {
    if (isWrite(node)) {
      const at = position[b] ?? 0;
      for (const w of (writes.get(node.cell) ?? []).slice(at)) pairs.push(b, w);
      continue;
    }
    const from = source[b] ?? -1;
    // Own stores are seen before they leave the store buffer.
    if (from >= 0 && nodes[from]?.thread !== node.thread) pairs.push(from, b);
    for (const w of laterWrites(execution, b)) pairs.push(b, w);
  }
  return joinParts(pairs, wholes(nodes, isWhole(rules)));
}

/** The axioms of an x86-64 machine. */
export function x86Axioms(rules: X86Rules): Axioms {
  return {
    local: (trace, nodes) => localPairs(trace, nodes, rules),
    observed: (execution) => observedPairs(execution, rules),
    choices: () => [],
    fetchesAhead: false,
    fetchesOwnStores: true,
  };
}
