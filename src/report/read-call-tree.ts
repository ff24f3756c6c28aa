/** Reading a trace into a call tree, and walking over one without recursion. */
import type { Trace } from "../trace/trace.ts";
import { TraceReader } from "../trace/trace-reader.ts";
import { CallTree, CallTreeVisitor, lostSite, type TreeChildren, threadSite } from "./call-tree.ts";
import { shownSites } from "./export.ts";
import { checkSelection, type Selection, wantsThread } from "./selection.ts";
import { summarize, type TraceSummary } from "./summary.ts";

export type TreeOptions = Selection & {
  /** A tree for each thread below the root, instead of one of all threads together. */
  readonly perThread?: boolean | undefined;
  /** Stacks that were recorded, in place of calls as they lie in each other; folded alone. */
  readonly stacks?: boolean | undefined;
};

export type TraceTree = {
  readonly tree: CallTree;
  readonly summary: TraceSummary;
  /** A node's name: its function's, or what else it stands for. */
  readonly name: (node: number) => string;
};

/** Reads the whole trace; memory grows with the number of different paths of calls. */
export function readCallTree(trace: Trace, options: TreeOptions = {}): TraceTree {
  checkSelection(trace, options);
  const tree = new CallTree();
  const shows = shownSites(trace, options);
  const threadOf = new Map<number, number>();
  const reader = new TraceReader(
    trace,
    ({ index }) => {
      // Below the root a thread's node has a number in place of a site, below all others'.
      const root = options.perThread === true ? tree.child(0, threadSite - index) : 0;
      if (root !== 0) threadOf.set(root, index);
      return new CallTreeVisitor(tree, root, shows);
    },
    { wants: wantsThread(options) },
  ).readAll();
  sumThreads(tree, threadOf);
  const name = (node: number): string => {
    const site = tree.site(node);
    if (site === lostSite) return "[lost]";
    if (site >= 0) return trace.functions.name(site);
    const thread = reader.readers[threadOf.get(node) ?? -1];
    return thread === undefined ? "[all]" : `${thread.threadName} (${thread.tid})`;
  };
  return { tree, summary: summarize(trace, reader), name };
}

/** Threads, lost calls and the root take as long as what lies in them. */
function sumThreads(tree: CallTree, threads: ReadonlyMap<number, number>): void {
  for (let node = tree.count - 1; node > 0; node--) {
    const parent = tree.parent(node);
    const isSum = parent === 0 || threads.has(parent) || tree.site(parent) === lostSite;
    if (isSum) tree.add(parent, 1, tree.total(node));
  }
}

/** A node on a walk. */
export type TreeStep = {
  readonly node: number;
  /** Nodes between it and the root. */
  readonly depth: number;
  /** It is the last one of its parent's children. */
  readonly isLast: boolean;
};

/** Walks depth first, parents before their children; the root itself is left out. */
export function* walkTree({ starts, nodes }: TreeChildren): Generator<TreeStep> {
  const range = (node: number): { next: number; end: number } => ({
    next: starts[node] ?? 0,
    end: starts[node + 1] ?? 0,
  });
  const stack = [range(0)];
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const node = nodes[top.next];
    if (top.next >= top.end || node === undefined) {
      stack.pop();
      continue;
    }
    top.next++;
    yield { node, depth: stack.length - 1, isLast: top.next === top.end };
    stack.push(range(node));
  }
}
