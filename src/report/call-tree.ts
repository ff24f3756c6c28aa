/**
 * All calls of a trace, added up by the path of calls that they lie in. Nodes are numbers: their
 * data lies in arrays, a parent has a lower number than its children, and node 0 is the root of
 * all. The number of nodes is bounded: where a trace has more paths than that (deep recursion on
 * many branches), calls on further ones count as their callers' own time.
 */
import { type CallVisitor, unknownFrame } from "../trace/call-stack.ts";

const nodesFirst = 1 << 10;
/** 4 Mi nodes are some 200 MB. */
const nodesMaxDefault = 1 << 22;

/** Stands for calls that were lost, and that others lie in. */
export const lostSite: number = unknownFrame;
/** Stands for the beginning of a thread. */
export const threadSite = -2;

/** Node `n`'s children are `nodes[starts[n]]` up to, not including, `nodes[starts[n + 1]]`. */
export type TreeChildren = { readonly starts: Int32Array; readonly nodes: Int32Array };

export class CallTree {
  #count = 1;
  #sites: Int32Array = new Int32Array(nodesFirst);
  #parents: Int32Array = new Int32Array(nodesFirst);
  #numbers: Float64Array = new Float64Array(nodesFirst * 3);
  /** Open addressing on parent and site; a slot is a node, 0 for none. */
  #table: Int32Array = new Int32Array(nodesFirst * 4);
  readonly #nodesMax: number;
  /** Calls that found no room for a path of their own. */
  merged = 0;

  constructor(nodesMax: number = nodesMaxDefault) {
    this.#nodesMax = nodesMax;
    this.#sites[0] = threadSite;
    this.#parents[0] = -1;
  }

  get count(): number {
    return this.#count;
  }

  site(node: number): number {
    return this.#sites[node] ?? 0;
  }

  /** -1 for the root. */
  parent(node: number): number {
    return this.#parents[node] ?? -1;
  }

  calls(node: number): number {
    return this.#numbers[node * 3] ?? 0;
  }

  /** Ticks in calls on this path; of calls whose end is not known, what is known of them. */
  total(node: number): number {
    return this.#numbers[node * 3 + 1] ?? 0;
  }

  /** Ticks on this path and no further one. */
  self(node: number): number {
    return this.#numbers[node * 3 + 2] ?? 0;
  }

  add(node: number, column: 0 | 1 | 2, value: number): void {
    const at = node * 3 + column;
    this.#numbers[at] = (this.#numbers[at] ?? 0) + value;
  }

  /** The node of calls of `site` in `parent`; `parent` itself where there is no room for one. */
  child(parent: number, site: number): number {
    const mask = this.#table.length - 1;
    let slot = hash(parent, site) & mask;
    for (;;) {
      const node = this.#table[slot] ?? 0;
      if (node === 0) break;
      if (this.#parents[node] === parent && this.#sites[node] === site) return node;
      slot = (slot + 1) & mask;
    }
    if (this.#count >= this.#nodesMax) {
      this.merged++;
      return parent;
    }
    const node = this.#count++;
    if (node === this.#sites.length) this.#grow();
    this.#sites[node] = site;
    this.#parents[node] = parent;
    this.#insert(node);
    return node;
  }

  /** The children of each node that `wanted` takes, in the order of `compare`. */
  children(
    wanted: (node: number) => boolean,
    compare: (a: number, b: number) => number,
  ): TreeChildren {
    const starts = new Int32Array(this.#count + 1);
    for (let node = 1; node < this.#count; node++) {
      const next = this.parent(node) + 1;
      if (wanted(node)) starts[next] = (starts[next] ?? 0) + 1;
    }
    for (let i = 1; i < starts.length; i++) starts[i] = (starts[i] ?? 0) + (starts[i - 1] ?? 0);
    const nodes = new Int32Array(starts.at(-1) ?? 0);
    const filled = starts.slice();
    for (let node = 1; node < this.#count; node++) {
      const parent = this.parent(node);
      const at = filled[parent] ?? 0;
      if (!wanted(node)) continue;
      nodes[at] = node;
      filled[parent] = at + 1;
    }
    for (let node = 0; node < this.#count; node++) {
      const [start, end] = [starts[node] ?? 0, starts[node + 1] ?? 0];
      if (end - start > 1) nodes.subarray(start, end).sort(compare);
    }
    return { starts, nodes };
  }

  #insert(node: number): void {
    const mask = this.#table.length - 1;
    let slot = hash(this.#parents[node] ?? 0, this.#sites[node] ?? 0) & mask;
    while (this.#table[slot] !== 0) slot = (slot + 1) & mask;
    this.#table[slot] = node;
  }

  #grow(): void {
    const length = this.#sites.length * 2;
    const sites = new Int32Array(length);
    const parents = new Int32Array(length);
    const numbers = new Float64Array(length * 3);
    sites.set(this.#sites);
    parents.set(this.#parents);
    numbers.set(this.#numbers);
    this.#sites = sites;
    this.#parents = parents;
    this.#numbers = numbers;
    this.#table = new Int32Array(length * 4);
    for (let node = 1; node < this.#count - 1; node++) this.#insert(node);
  }
}

function hash(parent: number, site: number): number {
  const mixed = Math.imul(parent, 0x9e37_79b1) ^ Math.imul(site + 1, 0x85eb_ca6b);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}

/** Adds one thread's calls to a tree, below `root`. */
export class CallTreeVisitor implements CallVisitor {
  readonly #tree: CallTree;
  readonly #shows: (site: number) => boolean;
  readonly #root: number;
  /** Nodes of the open calls, and the calls' places in the thread's stack. */
  readonly #nodes: number[] = [];
  readonly #indices: number[] = [];

  constructor(tree: CallTree, root: number, shows: (site: number) => boolean) {
    this.#tree = tree;
    this.#root = root;
    this.#shows = shows;
  }

  enter(site: number, _time: number, index: number): void {
    this.#nodes.push(this.#shows(site) ? this.#enter(site, index) : this.#around(index));
    this.#indices.push(index);
  }

  leave(site: number, start: number, end: number, self: number): void {
    const node = this.#nodes.pop() ?? this.#root;
    this.#indices.pop();
    // Time of calls that are left out, or that found no node, is their callers'.
    if (node !== this.#root) this.#tree.add(node, 2, self);
    const isOwn = this.#tree.site(node) === site && node !== this.#nodes.at(-1);
    if (isOwn) this.#tree.add(node, 1, end - start);
  }

  point(site: number, _time: number, index: number): void {
    if (this.#shows(site)) this.#enter(site, index);
  }

  orphan(): void {
    // Where it began is not in the trace.
  }

  gap(): void {
    // What was lost has no path.
  }

  #enter(site: number, index: number): number {
    const around = this.#around(index);
    const node = this.#tree.child(around, site);
    if (node !== around) this.#tree.add(node, 0, 1);
    return node;
  }

  /** The node of the call around the place `index`; lost calls in between have one of their own. */
  #around(index: number): number {
    const node = this.#nodes.at(-1) ?? this.#root;
    const isDirect = index - 1 === (this.#indices.at(-1) ?? -1);
    return isDirect ? node : this.#tree.child(node, lostSite);
  }
}
