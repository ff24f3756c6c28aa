/**
 * Candidate executions: one trace of every thread, where every read and fetch got its value from
 * (reads-from), and in which order the stores to each place reach memory (coherence).
 *
 * Memory is cut into cells, so that accesses of different sizes need no special care: an access is
 * one node per cell that it covers, and every store covers a cell wholly or not at all.
 */

import type { Pairs } from "./reach.ts";
import type { Trace, TraceEvent } from "./trace.ts";

/** An event's part in one cell; cache operations have one node and no cell (-1). */
export type Node = {
  readonly thread: number;
  /** Number of the event in its trace. */
  readonly index: number;
  readonly event: TraceEvent;
  readonly cell: number;
  /** What was read, fetched or stored there. */
  readonly value: bigint;
};

/** Some bytes that are always stored to together. */
export type Cell = { readonly address: bigint; readonly bytes: number };

/** A trace with its nodes, and the pairs of them that are ordered whatever others do. */
export type TraceGraph = {
  readonly trace: Trace;
  readonly nodes: readonly Node[];
  readonly local: Pairs;
};

export type Execution = {
  readonly graphs: readonly TraceGraph[];
  /** All threads' nodes, thread after thread. */
  readonly nodes: readonly Node[];
  /** For a read or fetch: the node of the write that it read from; -1: the initial value. */
  readonly source: readonly number[];
  /** For a write: its place in its cell's coherence order, from 1; the initial value has 0. */
  readonly position: readonly number[];
  /** Writes of every cell in coherence order. */
  readonly writes: ReadonlyMap<number, readonly number[]>;
};

/** One way to decide: `from` before `to`, and what follows from that. */
export type Alternative = {
  readonly from: number;
  readonly to: number;
  /** More pairs. `taken`: the alternatives of choices of earlier stages, by their numbers. */
  readonly more?: (taken: readonly (number | undefined)[]) => Pairs;
};

/** A decision that the axioms leave open: one of the alternatives has to hold. */
export type Choice = {
  /** Choices of a stage are made when all of earlier stages are. */
  readonly stage: number;
  readonly alternatives: readonly Alternative[];
};

/** A memory model. Pairs that it demands must not form a cycle. */
export type Axioms = {
  /** Pairs of a trace's nodes (by their numbers in the trace) that are ordered in any execution. */
  readonly local: (trace: Trace, nodes: readonly Node[]) => Pairs;
  /** Pairs from who read what and from coherence. */
  readonly observed: (execution: Execution) => Pairs;
  readonly choices: (execution: Execution) => readonly Choice[];
  /** Whether a fetch may return what its own thread stores only later in program order. */
  readonly fetchesAhead: boolean;
  /** Whether a fetch sees at least its own thread's earlier stores. */
  readonly fetchesOwnStores: boolean;
};

const isAccess = (event: TraceEvent): boolean =>
  event.kind === "read" || event.kind === "write" || event.kind === "fetch";

/** Cells for the accesses of these traces, by address. */
export function cutCells(traces: readonly Trace[]): readonly Cell[] {
  const accesses = new Map<string, { from: bigint; to: bigint }>();
  for (const { events } of traces) {
    for (const { address, bytes, kind } of events) {
      if (kind === "clean" || kind === "invalidate") continue;
      accesses.set(`${address} ${bytes}`, { from: address, to: address + BigInt(bytes) });
    }
  }
  const ranges = [...accesses.values()];
  const cuts = [...new Set(ranges.flatMap(({ from, to }) => [from, to]))].toSorted((a, b) =>
    a < b ? -1 : 1,
  );
  const cells: Cell[] = [];
  for (const [index, address] of cuts.slice(0, -1).entries()) {
    const end = cuts[index + 1] ?? address;
    if (ranges.some(({ from, to }) => from <= address && end <= to)) {
      cells.push({ address, bytes: Number(end - address) });
    }
  }
  return cells;
}

/** A trace's nodes, in its order. */
export function nodesOf(trace: Trace, cells: readonly Cell[]): readonly Node[] {
  const nodes: Node[] = [];
  for (const [index, event] of trace.events.entries()) {
    const base = { thread: trace.thread, index, event };
    if (!isAccess(event)) {
      nodes.push({ ...base, cell: -1, value: 0n });
      continue;
    }
    const end = event.address + BigInt(event.bytes);
    for (const [cell, { address, bytes }] of cells.entries()) {
      if (address < event.address || address >= end) continue;
      const shifted = event.value >> (8n * (address - event.address));
      nodes.push({ ...base, cell, value: BigInt.asUintN(8 * bytes, shifted) });
    }
  }
  return nodes;
}

/** Whether two accesses, or an access and a cache operation, touch a byte in common. */
export function overlaps(a: TraceEvent, b: TraceEvent): boolean {
  return a.address < b.address + BigInt(b.bytes) && b.address < a.address + BigInt(a.bytes);
}

/** Which accesses are seen whole or not at all. */
export type IsWhole = (event: TraceEvent) => boolean;

/** Naturally aligned accesses of up to 8 bytes; fetches, which are cut into blocks already. */
export const isNatural: IsWhole = (event) =>
  event.kind === "fetch" || (event.bytes <= 8 && event.address % BigInt(event.bytes) === 0n);

/** Every node of the same whole access as `node` (itself too), found among its neighbours. */
export function siblings(
  nodes: readonly Node[],
  node: number,
  isWhole: IsWhole,
): readonly number[] {
  const own = nodes[node];
  if (own === undefined || own.cell < 0 || !isWhole(own.event)) return [node];
  const found = [node];
  for (let at = node - 1; nodes[at]?.event === own.event; at--) found.push(at);
  for (let at = node + 1; nodes[at]?.event === own.event; at++) found.push(at);
  return found;
}

/** For every node, the nodes of the operation that it is a part of, itself too. */
export type Groups = readonly (readonly number[])[];

/** The parts of whole accesses belong together. */
export const wholes = (nodes: readonly Node[], isWhole: IsWhole): Groups =>
  nodes.map((_, node) => siblings(nodes, node, isWhole));

/** Pairs, where what is said of a part of an operation holds for all of its parts. */
export function joinParts(pairs: Pairs, groups: Groups): Pairs {
  if (groups.every((group) => group.length === 1)) return pairs;
  const joined: number[] = [];
  for (let i = 0; i < pairs.length; i += 2) {
    const [from = 0, to = 0] = [pairs[i], pairs[i + 1]];
    if (groups[from]?.includes(to) === true) joined.push(from, to);
    else for (const a of groups[from] ?? []) for (const b of groups[to] ?? []) joined.push(a, b);
  }
  return joined;
}

/** Writes that come after what `node` read in coherence order. */
export function laterWrites(execution: Execution, node: number): readonly number[] {
  const cell = execution.nodes[node]?.cell ?? -1;
  const source = execution.source[node] ?? -1;
  const from = source < 0 ? 0 : (execution.position[source] ?? 0);
  return (execution.writes.get(cell) ?? []).slice(from);
}
