/**
 * Finds the executions that a model allows, and their final states. Every combination of traces,
 * sources and coherence orders is tried; what is known already, or can't be, is passed over early.
 */

import { ensure } from "../../base/assert.ts";
import {
  type Axioms,
  type Cell,
  type Choice,
  type Execution,
  type Node,
  nodesOf,
  type TraceGraph,
} from "./execution.ts";
import { Reach } from "./reach.ts";
import type { Trace } from "./trace.ts";

/** What a search looks for. */
export type Goal = {
  /** Initial value of a cell. */
  readonly initialOf: (cell: Cell) => bigint;
  /** Cells whose last value belongs to the final state. */
  readonly observedCells: ReadonlySet<number>;
  /** What the final state shows of a trace: equal where traces end alike for the condition. */
  readonly endOf: (trace: Trace) => string;
  /** Gives up: the test is too large. */
  readonly refuse: (why: string) => never;
};

/** Limits beyond which a test is refused: combinations of traces, and executions to judge. */
const combinationsMax = 2_000_000;
const candidatesMax = 500_000;

/** An allowed execution: its events in an order that the model agrees with. */
export type Witness = {
  readonly execution: Execution;
  readonly order: readonly number[];
  /** What the model orders, of these events. */
  readonly reach: Reach;
};

export type Found = {
  /** One of every final state. */
  readonly witnesses: readonly Witness[];
  /** Executions that were put before the axioms. */
  readonly candidates: number;
};

/** What a read needs and a write offers: a value of a cell. */
const keyOf = ({ cell, value }: Node): string => `${cell} ${value}`;

const isReader = ({ event }: Node): boolean => event.kind === "read" || event.kind === "fetch";

/** A trace with what has to be said about it before combining. */
type Prepared = {
  readonly graph: TraceGraph;
  readonly end: string;
  /** Values that other threads have to store. */
  readonly needs: ReadonlySet<string>;
  readonly offers: ReadonlySet<string>;
};

/** All threads' traces, and what those from each thread on may store. */
type Threads = {
  readonly prepared: readonly (readonly Prepared[])[];
  readonly offered: readonly ReadonlySet<string>[];
};

export class Search {
  readonly #axioms: Axioms;
  readonly #cells: readonly Cell[];
  readonly #goal: Goal;
  readonly #initial: readonly bigint[];
  readonly #witnesses = new Map<string, Witness>();
  #candidates = 0;

  constructor(axioms: Axioms, cells: readonly Cell[], goal: Goal) {
    this.#axioms = axioms;
    this.#cells = cells;
    this.#goal = goal;
    this.#initial = cells.map((cell) => goal.initialOf(cell));
  }

  /** @param traces of every thread. */
  run(traces: readonly (readonly Trace[])[]): Found {
    const combinations = traces.reduce((product, own) => product * own.length, 1);
    if (combinations > combinationsMax) {
      this.#goal.refuse(`its threads can run in ${combinations} combinations: too many to search`);
    }
    const prepared = traces.map((own) => own.map((trace) => this.#prepare(trace)));
    const offered = prepared.map((_, at) =>
      prepared.slice(at).flatMap((own) => own.flatMap(({ offers }) => [...offers])),
    );
    this.#combine({ prepared, offered: offered.map((keys) => new Set(keys)) }, []);
    return { witnesses: [...this.#witnesses.values()], candidates: this.#candidates };
  }

  #prepare(trace: Trace): Prepared {
    const nodes = nodesOf(trace, this.#cells);
    const offers = new Set<string>();
    const needs = new Set<string>();
    for (const node of nodes) if (node.event.kind === "write") offers.add(keyOf(node));
    for (const node of nodes) {
      const reads = node.event.kind === "read" || node.event.kind === "fetch";
      if (!reads || this.#initial[node.cell] === node.value) continue;
      if (!offers.has(keyOf(node))) needs.add(keyOf(node));
    }
    const graph = { trace, nodes, local: this.#axioms.local(trace, nodes) };
    return { graph, end: this.#goal.endOf(trace), needs, offers };
  }

  /** Chooses a trace for every thread; a value that nobody can have stored ends the attempt. */
  #combine(threads: Threads, chosen: readonly Prepared[]): void {
    const { prepared, offered } = threads;
    const possible = offered[chosen.length];
    const satisfied = chosen.every(({ needs }) =>
      [...needs].every(
        (key) => possible?.has(key) === true || chosen.some(({ offers }) => offers.has(key)),
      ),
    );
    if (!satisfied) return;
    const next = prepared[chosen.length];
    if (next === undefined) this.#assign(chosen);
    else for (const candidate of next) this.#combine(threads, [...chosen, candidate]);
  }

  /** Tries every coherence order and every source of these traces. */
  #assign(chosen: readonly Prepared[]): void {
    const ends = chosen.map(({ end }) => end).join("\n");
    if (this.#goal.observedCells.size === 0 && this.#witnesses.has(ends)) return;
    const graphs = chosen.map(({ graph }) => graph);
    const nodes = graphs.flatMap((graph) => graph.nodes);
    const base = new Reach(nodes.length);
    let offset = 0;
    for (const { nodes: own, local } of graphs) {
      if (!base.addAll(local.map((node) => node + offset))) return;
      offset += own.length;
    }
    for (const writes of this.#coherenceOrders(nodes)) {
      const key = this.#stateKey(ends, lastValues(nodes, writes));
      if (this.#witnesses.has(key)) continue;
      const position = nodes.map((_, node) => {
        const order = writes.get(nodes[node]?.cell ?? -1) ?? [];
        return order.indexOf(node) + 1;
      });
      const found = this.#trySources({ graphs, nodes, position, writes, source: [] }, base);
      if (found !== undefined) this.#witnesses.set(key, found);
    }
  }

  #stateKey(ends: string, last: ReadonlyMap<number, bigint>): string {
    if (this.#goal.observedCells.size === 0) return ends;
    const cells = [...this.#goal.observedCells].map((cell) => last.get(cell) ?? "");
    return `${ends}\n${cells.join()}`;
  }

  /** Every order of every cell's writes that the reads of that cell can live with. */
  *#coherenceOrders(nodes: readonly Node[]): Generator<ReadonlyMap<number, readonly number[]>> {
    const byCell = new Map<number, number[]>();
    for (const [index, { event, cell }] of nodes.entries()) {
      if (event.kind !== "write") continue;
      const own = byCell.get(cell);
      if (own === undefined) byCell.set(cell, [index]);
      else own.push(index);
    }
    const orders: (readonly (readonly number[])[])[] = [];
    for (const [cell, writes] of byCell) {
      const possible = [...linearise(nodes, writes, [])].filter((order) =>
        this.#canBeRead(nodes, cell, order),
      );
      if (possible.length === 0) return;
      orders.push(possible);
    }
    yield* product([...byCell.keys()], orders);
  }

  /** Whether every read of a cell can have a source, as far as the cell alone can tell. */
  #canBeRead(nodes: readonly Node[], cell: number, order: readonly number[]): boolean {
    const readers = nodes.flatMap((node, index) =>
      node.cell === cell && isReader(node) ? [index] : [],
    );
    const source = nodes.map(() => -1);
    const position = nodes.map((_, node) => order.indexOf(node) + 1);
    const execution = { graphs: [], nodes, position, writes: new Map([[cell, order]]), source };
    return this.#assignSources(execution, source, readers, () => true) === true;
  }

  /** An allowed execution with some choice of sources. */
  #trySources(partial: Execution, base: Reach): Witness | undefined {
    const { nodes } = partial;
    const source: number[] = nodes.map(() => -1);
    const readers = nodes.flatMap((node, index) => (isReader(node) ? [index] : []));
    const execution: Execution = { ...partial, source };
    return this.#assignSources(execution, source, readers, () => this.#judge(execution, base));
  }

  /**
   * Tries all sources of these readers until `accept` finds something.
   * @param source the execution's own, which is written to.
   */
  #assignSources<T>(
    execution: Execution,
    source: number[],
    readers: readonly number[],
    accept: () => T | undefined,
  ): T | undefined {
    const assignFrom = (at: number): T | undefined => {
      const reader = readers[at];
      if (reader === undefined) return accept();
      for (const candidate of this.#sourcesOf(execution, reader)) {
        source[reader] = candidate;
        const found = assignFrom(at + 1);
        if (found !== undefined) return found;
      }
      return undefined;
    };
    return assignFrom(0);
  }

  /** Sources of a read that agree with coherence at its own place. */
  #sourcesOf(execution: Execution, reader: number): readonly number[] {
    const { nodes, position, writes } = execution;
    const node = ensure(nodes[reader], "a reader");
    const found: number[] = [];
    const order = writes.get(node.cell) ?? [];
    if (this.#initial[node.cell] === node.value && this.#isCoherent(execution, reader, 0)) {
      found.push(-1);
    }
    for (const write of order) {
      if (nodes[write]?.value !== node.value) continue;
      if (this.#isCoherent(execution, reader, position[write] ?? 0)) found.push(write);
    }
    return found;
  }

  /**
   * Coherence per location ("internal visibility", Arm ARM B2.3; SC per location): a thread's own
   * accesses to a place agree with the order of its writes. Fetches are not part of it, except that
   * a machine may say so.
   */
  #isCoherent({ nodes, position, source }: Execution, reader: number, at: number): boolean {
    const node = ensure(nodes[reader], "a reader");
    const fetch = node.event.kind === "fetch";
    for (const [other, { thread, event, cell }] of nodes.entries()) {
      if (thread !== node.thread || cell !== node.cell) continue;
      const earlier = event.step < node.event.step;
      if (event.kind === "write") {
        const own = position[other] ?? 0;
        if (earlier && own > at && (!fetch || this.#axioms.fetchesOwnStores)) return false;
        if (!earlier && own <= at && (fetch ? !this.#axioms.fetchesAhead && own === at : true)) {
          return false;
        }
      }
      if (fetch || event.kind !== "read" || !earlier) continue;
      const from = source[other] ?? -1;
      if ((from < 0 ? 0 : (position[from] ?? 0)) > at) return false;
    }
    return true;
  }

  /** Puts an execution before the axioms; `undefined`: it is not allowed. */
  #judge(execution: Execution, base: Reach): Witness | undefined {
    if (++this.#candidates > candidatesMax) {
      this.#goal.refuse(`it has more than ${candidatesMax} executions to judge`);
    }
    if (!isAtomic(execution)) return undefined;
    const reach = base.copy();
    if (!reach.addAll(this.#axioms.observed(execution))) return undefined;
    const choices = this.#axioms.choices(execution);
    const solved = solve(
      reach,
      choices,
      choices.map(() => undefined),
    );
    if (solved === undefined) return undefined;
    const kept = { ...execution, source: [...execution.source] };
    return { execution: kept, order: solved.order(), reach: solved };
  }
}

/** Last value of every cell that is stored to. */
export function lastValues(
  nodes: readonly Node[],
  writes: ReadonlyMap<number, readonly number[]>,
): ReadonlyMap<number, bigint> {
  const last = new Map<number, bigint>();
  for (const [cell, order] of writes) {
    const node = nodes[order.at(-1) ?? -1];
    if (node !== undefined) last.set(cell, node.value);
  }
  return last;
}

/** Every order of `rest` after `done` that keeps each thread's program order. */
function* linearise(
  nodes: readonly Node[],
  rest: readonly number[],
  done: readonly number[],
): Generator<readonly number[]> {
  if (rest.length === 0) yield done;
  for (const next of rest) {
    const node = ensure(nodes[next], "a write");
    const waits = rest.some((other) => {
      const earlier = ensure(nodes[other], "a write");
      return earlier.thread === node.thread && earlier.event.step < node.event.step;
    });
    if (waits) continue;
    yield* linearise(
      nodes,
      rest.filter((other) => other !== next),
      [...done, next],
    );
  }
}

/** One order for every cell, in all combinations. */
function* product(
  cells: readonly number[],
  orders: readonly (readonly (readonly number[])[])[],
): Generator<ReadonlyMap<number, readonly number[]>> {
  const chosen = new Map<number, readonly number[]>();
  function* choose(at: number): Generator<ReadonlyMap<number, readonly number[]>> {
    const cell = cells[at];
    if (cell === undefined) {
      yield new Map(chosen);
      return;
    }
    for (const order of orders[at] ?? []) {
      chosen.set(cell, order);
      yield* choose(at + 1);
    }
  }
  yield* choose(0);
}

/**
 * No store of another thread comes between the two halves of a read-modify-write (Arm ARM B2.3,
 * "Atomicity"; RVWMO, atomicity axiom); of an indivisible instruction, no store at all.
 */
function isAtomic({ nodes, position, source, writes }: Execution): boolean {
  return nodes.every((node, write) => {
    const { event, cell, thread } = node;
    if (event.kind !== "write" || event.rmw === undefined) return true;
    const read = nodes.findIndex(
      (other) => other.thread === thread && other.cell === cell && other.index === event.rmw,
    );
    if (read < 0) return true;
    const from = source[read] ?? -1;
    const between = (writes.get(cell) ?? []).slice(
      from < 0 ? 0 : (position[from] ?? 0),
      (position[write] ?? 1) - 1,
    );
    return between.every((w) => !event.atomic && nodes[w]?.thread === thread);
  });
}

/** Alternatives of a choice that do not contradict what is ordered already. */
const openAlternatives = (reach: Reach, { alternatives }: Choice): readonly number[] =>
  alternatives.flatMap(({ from, to }, index) => (reach.has(to, from) ? [] : [index]));

/** The next choice to make: of the earliest stage, and a forced one if there is one. */
function nextChoice(
  reach: Reach,
  choices: readonly Choice[],
  taken: readonly (number | undefined)[],
): number | undefined {
  const open = choices.flatMap((_, index) => (taken[index] === undefined ? [index] : []));
  const stage = Math.min(...open.map((index) => choices[index]?.stage ?? 0));
  const current = open.filter((index) => choices[index]?.stage === stage);
  const forced = current.find((index) => {
    const choice = choices[index];
    return choice !== undefined && openAlternatives(reach, choice).length < 2;
  });
  return forced ?? current[0];
}

/** Takes an alternative of every choice so that nothing is cyclic; `undefined` if none fits. */
function solve(
  reach: Reach,
  choices: readonly Choice[],
  taken: readonly (number | undefined)[],
): Reach | undefined {
  const at = nextChoice(reach, choices, taken);
  const choice = at === undefined ? undefined : choices[at];
  if (at === undefined || choice === undefined) return reach;
  for (const index of openAlternatives(reach, choice)) {
    const alternative = ensure(choice.alternatives[index], "an alternative");
    const next = reach.copy();
    if (!next.add(alternative.from, alternative.to)) continue;
    if (!next.addAll(alternative.more?.(taken) ?? [])) continue;
    const solved = solve(next, choices, taken.with(at, index));
    if (solved !== undefined) return solved;
  }
  return undefined;
}
