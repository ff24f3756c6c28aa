/**
 * The explorer: breadth-first search over every state a model can reach, so that the first
 * violation it meets is one of the shortest.
 *
 * A model is small pure functions over states that are a fixed number of 32-bit words. Those words
 * are the state's one canonical encoding: two states are equal when their words are, and the hash
 * is only an index. Each state keeps its parent and the action that led to it, never a path.
 * Everything is deterministic: the same model gives the same numbering of states.
 */
import { assert } from "../base/assert.ts";

/** What `step` found: 0 for a fine successor, else why the action is a violation. */
export type StepResult = number;

/** A transition system. Buffers passed in are borrowed for the call. */
export interface Model {
  /** 32-bit words in a state. */
  readonly width: number;
  initial(): readonly Int32Array[];
  /**
   * Writes the codes of the actions that are possible in `state` to `out`; returns their number.
   */
  actions(state: Int32Array, out: Int32Array): number;
  /**
   * Carries out `action`, writing the successor to `next`. A result that is not 0 is a violation
   * (its low 8 bits, the kind) or marks for the non-vacuity record (the bits above, see `marks`).
   */
  step(state: Int32Array, action: number, next: Int32Array): StepResult;
  /** A state from which nothing more has to happen; every state must be able to reach one. */
  isGoal(state: Int32Array): boolean;
  /** States beyond the bounds are counted and not expanded. */
  withinBounds(state: Int32Array): boolean;
}

/** `step`'s result from its parts: violation kind 0 to 255, marks of up to 23 bits. */
export const stepResult = (violation: number, marks: number): StepResult =>
  violation | (marks << 8);

/** Violation kind that the explorer itself reports: no goal can be reached any more. */
export const STUCK = 255;

/** Number of actions that one state can have. */
const ACTIONS_MAX = 1024;

export type ExploreOptions = {
  /** Give up beyond this many states (and say so in the result). */
  readonly statesMax: number;
  /** Look for states from which no goal can be reached: costs memory for every transition. */
  readonly progress: boolean;
  /** Go on behind violations (nobody goes past one) and report none: for questions about states. */
  readonly keepGoing?: boolean;
};

export type Exploration = {
  readonly states: number;
  readonly transitions: number;
  /** Steps on the longest of the shortest paths: depth of the last new state. */
  readonly depth: number;
  /** Marks that some transition carried. */
  readonly marks: number;
  /** True when every reachable state was expanded (or a violation ended the search). */
  readonly exhaustive: boolean;
  readonly violation:
    | { readonly kind: number; readonly path: readonly number[]; readonly initial: number }
    | undefined;
  /** The reached states, for questions asked afterwards; valid until the next exploration. */
  readonly visited: StateStore;
};

/** All reached states: their words, and an open-addressing index over them. */
export class StateStore {
  readonly #width: number;
  #words: Int32Array;
  #table: Int32Array;
  #mask: number;
  #count = 0;

  constructor(width: number) {
    this.#width = width;
    this.#words = new Int32Array(width * 1024);
    this.#table = new Int32Array(4096).fill(-1);
    this.#mask = this.#table.length - 1;
  }

  get count(): number {
    return this.#count;
  }

  /** Copies state `index` to `into`. */
  read(index: number, into: Int32Array): void {
    const from = index * this.#width;
    const words = this.#words;
    for (let i = 0; i < this.#width; i++) into[i] = words[from + i] ?? 0;
  }

  #hash(words: Int32Array, from: number): number {
    let hash = 0x811c9dc5;
    for (let i = from; i < from + this.#width; i++) {
      hash = Math.imul(hash ^ (words[i] ?? 0), 0x01000193);
      hash ^= hash >>> 15;
    }
    hash = Math.imul(hash ^ (hash >>> 13), 0x5bd1e995);
    return (hash ^ (hash >>> 16)) & this.#mask;
  }

  #isAt(index: number, state: Int32Array): boolean {
    const from = index * this.#width;
    const words = this.#words;
    for (let i = 0; i < this.#width; i++) if (words[from + i] !== state[i]) return false;
    return true;
  }

  /** Index of `state`, which is added if it is new; new states have the index `count - 1`. */
  add(state: Int32Array): number {
    const table = this.#table;
    let slot = this.#hash(state, 0);
    for (;;) {
      const index = table[slot] ?? -1;
      if (index < 0) break;
      if (this.#isAt(index, state)) return index;
      slot = (slot + 1) & this.#mask;
    }
    const index = this.#count++;
    table[slot] = index;
    const from = index * this.#width;
    if (from + this.#width > this.#words.length) this.#growWords();
    for (let i = 0; i < this.#width; i++) this.#words[from + i] = state[i] ?? 0;
    if (this.#count * 2 > table.length) this.#growTable();
    return index;
  }

  #growWords(): void {
    const grown = new Int32Array(this.#words.length * 2);
    grown.set(this.#words);
    this.#words = grown;
  }

  #growTable(): void {
    this.#table = new Int32Array(this.#table.length * 2).fill(-1);
    this.#mask = this.#table.length - 1;
    for (let index = 0; index < this.#count; index++) {
      let slot = this.#hash(this.#words, index * this.#width);
      while ((this.#table[slot] ?? -1) >= 0) slot = (slot + 1) & this.#mask;
      this.#table[slot] = index;
    }
  }
}

/** A growing list of 32-bit integers. */
class IntList {
  #items = new Int32Array(4096);
  length = 0;

  push(value: number): void {
    if (this.length === this.#items.length) {
      const grown = new Int32Array(this.#items.length * 2);
      grown.set(this.#items);
      this.#items = grown;
    }
    this.#items[this.length++] = value;
  }

  at(index: number): number {
    return this.#items[index] ?? 0;
  }
}

/** One search in progress: states in the order they were found, with how they were found. */
type Search = {
  readonly model: Model;
  readonly store: StateStore;
  readonly parents: IntList;
  readonly actions: IntList;
  readonly depths: IntList;
  /** Targets of all transitions, grouped by source; `edgeStarts[i]` is where source i begins. */
  readonly edges: IntList;
  readonly edgeStarts: IntList;
  transitions: number;
  marks: number;
};

/** Searches every reachable state of `model`. */
export function explore(model: Model, options: ExploreOptions): Exploration {
  const search: Search = {
    model,
    store: new StateStore(model.width),
    parents: new IntList(),
    actions: new IntList(),
    depths: new IntList(),
    edges: new IntList(),
    edgeStarts: new IntList(),
    transitions: 0,
    marks: 0,
  };
  for (const state of model.initial()) visit(search, state, -1, 0, 0);
  const ended = expandAll(search, options);
  if (typeof ended === "object") {
    const { kind, from, action } = ended;
    return report(search, true, { kind, ...pathTo(search, from, action) });
  }
  const stuck = ended && options.progress ? findStuck(search) : undefined;
  return report(
    search,
    ended,
    stuck === undefined ? undefined : { kind: STUCK, ...pathTo(search, stuck, undefined) },
  );
}

function report(
  search: Search,
  exhaustive: boolean,
  violation: Exploration["violation"],
): Exploration {
  const { store, transitions, marks, depths } = search;
  const depth = violation?.path.length ?? depths.at(store.count - 1);
  return {
    states: store.count,
    transitions,
    depth,
    marks,
    exhaustive,
    violation,
    visited: store,
  };
}

function visit(
  search: Search,
  state: Int32Array,
  parent: number,
  action: number,
  depth: number,
): number {
  const before = search.store.count;
  const index = search.store.add(state);
  if (index === before) {
    search.parents.push(parent);
    search.actions.push(action);
    search.depths.push(depth);
  }
  return index;
}

type Violation = { readonly kind: number; readonly from: number; readonly action: number };

/** Expands states in the order they were found: true when all were, or the violation met first. */
function expandAll(search: Search, options: ExploreOptions): boolean | Violation {
  const { model, store, edges, edgeStarts } = search;
  const state = new Int32Array(model.width);
  const next = new Int32Array(model.width);
  const actions = new Int32Array(ACTIONS_MAX);
  let bounded = false;
  for (let index = 0; index < store.count; index++) {
    if (store.count > options.statesMax) return false;
    if (options.progress) edgeStarts.push(edges.length);
    store.read(index, state);
    if (!model.withinBounds(state)) {
      bounded = true;
      continue;
    }
    const depth = search.depths.at(index) + 1;
    const count = model.actions(state, actions);
    assert(count <= ACTIONS_MAX, "too many actions in one state");
    for (let i = 0; i < count; i++) {
      const action = actions[i] ?? 0;
      const result = model.step(state, action, next);
      search.transitions++;
      search.marks |= result >>> 8;
      if ((result & 0xff) !== 0) {
        if (options.keepGoing === true) continue;
        return { kind: result & 0xff, from: index, action };
      }
      const reached = visit(search, next, index, action, depth);
      if (options.progress) edges.push(reached);
    }
  }
  if (options.progress) edgeStarts.push(edges.length);
  return !bounded;
}

/** Actions from an initial state to state `index`, and `last` behind them if there is one. */
function pathTo(
  search: Search,
  index: number,
  last: number | undefined,
): { path: readonly number[]; initial: number } {
  const path: number[] = last === undefined ? [] : [last];
  let at = index;
  while (search.parents.at(at) >= 0) {
    path.push(search.actions.at(at));
    at = search.parents.at(at);
  }
  return { path: path.toReversed(), initial: at };
}

/**
 * The first state (by depth) from which no goal can be reached; by a search backwards from goals.
 */
function findStuck(search: Search): number | undefined {
  const { model, store, edges, edgeStarts } = search;
  const count = store.count;
  const starts = new Int32Array(count + 1);
  for (let i = 0; i < edges.length; i++) {
    const target = edges.at(i);
    starts[target + 1] = (starts[target + 1] ?? 0) + 1;
  }
  for (let i = 0; i < count; i++) starts[i + 1] = (starts[i + 1] ?? 0) + (starts[i] ?? 0);
  const sources = new Int32Array(edges.length);
  const fill = starts.slice();
  for (let source = 0; source < count; source++) {
    for (let e = edgeStarts.at(source); e < edgeStarts.at(source + 1); e++) {
      const target = edges.at(e);
      const slot = fill[target] ?? 0;
      sources[slot] = source;
      fill[target] = slot + 1;
    }
  }
  const canEnd = new Uint8Array(count);
  const queue = new Int32Array(count);
  let queued = 0;
  const state = new Int32Array(model.width);
  for (let index = 0; index < count; index++) {
    store.read(index, state);
    if (!model.isGoal(state)) continue;
    canEnd[index] = 1;
    queue[queued++] = index;
  }
  for (let head = 0; head < queued; head++) {
    const index = queue[head] ?? 0;
    for (let s = starts[index] ?? 0; s < (starts[index + 1] ?? 0); s++) {
      const source = sources[s] ?? 0;
      if (canEnd[source] === 1) continue;
      canEnd[source] = 1;
      queue[queued++] = source;
    }
  }
  const stuck = canEnd.indexOf(0);
  return stuck < 0 ? undefined : stuck;
}
