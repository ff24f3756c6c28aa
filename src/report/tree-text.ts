/** `graph --tree`: calls by the path that leads to them, as text and as JSON. */
import type { Trace } from "../trace/trace.ts";
import type { CallTree, TreeChildren } from "./call-tree.ts";
import { readCallTree, type TraceTree, type TreeOptions, walkTree } from "./read-call-tree.ts";
import { formatCaveats, formatExtent, tickNs } from "./summary.ts";
import type { Paint } from "./table.ts";
import { formatCount, formatDuration, plural } from "./units.ts";

export type TreeTextOptions = TreeOptions & {
  readonly depth?: number | undefined;
  /** Only paths that took so long altogether. */
  readonly minNs?: number | undefined;
};

/** A node in `--json` output; its parent comes before it. */
export type TreeNode = {
  readonly id: number;
  /** Undefined for the outermost calls. */
  readonly parent: number | undefined;
  readonly name: string;
  readonly calls: number;
  readonly totalNs: number;
  readonly selfNs: number;
};

const widths: readonly number[] = [10, 10, 11];

/** The tree for a person, in lines: of each call's inner ones the longest first. */
export function* formatTree(
  trace: Trace,
  options: TreeTextOptions,
  paint: Paint,
): Generator<string> {
  const read = readCallTree(trace, options);
  const ns = tickNs(trace);
  const row = (...cells: readonly string[]): string =>
    `${cells.map((cell, i) => cell.padStart(widths[i] ?? 0)).join(" ")}  `;
  yield `${paint("heading", `${row("total", "self", "calls")}function`)}\n`;
  const lines = new LineBuffer();
  const branches: string[] = [];
  for (const { node, depth, isLast } of walkTree(shownChildren(read, options, ns))) {
    const { tree } = read;
    branches.length = depth;
    const branch = depth === 0 ? "" : `${branches.join("")}${isLast ? "└─ " : "├─ "}`;
    branches.push(depth === 0 ? "" : isLast ? "   " : "│  ");
    const calls = tree.calls(node);
    const numbers = row(
      formatDuration(tree.total(node) * ns),
      formatDuration(tree.self(node) * ns),
      calls === 0 ? "-" : formatCount(calls),
    );
    yield* lines.add(`${numbers}${paint("dim", branch)}${paint("name", read.name(node))}`);
  }
  yield* lines.rest();
  yield `\n${[formatExtent(read.summary), ...treeCaveats(read)].join("\n")}\n`;
}

/** Lines, given in pieces of some length. */
class LineBuffer {
  #text = "";

  *add(line: string): Generator<string> {
    this.#text += `${line}\n`;
    if (this.#text.length > 1 << 16) yield* this.rest();
  }

  *rest(): Generator<string> {
    yield this.#text;
    this.#text = "";
  }
}

/** One JSON object a line for each node, parents first. */
export function* formatTreeJson(trace: Trace, options: TreeTextOptions): Generator<string> {
  const read = readCallTree(trace, options);
  const ns = tickNs(trace);
  const lines = new LineBuffer();
  for (const { node } of walkTree(shownChildren(read, options, ns))) {
    const parent = read.tree.parent(node);
    const line: TreeNode = {
      id: node,
      parent: parent === 0 ? undefined : parent,
      name: read.name(node),
      calls: read.tree.calls(node),
      totalNs: read.tree.total(node) * ns,
      selfNs: read.tree.self(node) * ns,
    };
    yield* lines.add(JSON.stringify(line));
  }
  yield* lines.rest();
}

function shownChildren({ tree }: TraceTree, options: TreeTextOptions, ns: number): TreeChildren {
  const minTicks = (options.minNs ?? 0) / ns;
  const depths = depthsOf(tree);
  const depthMax = options.depth ?? Infinity;
  return tree.children(
    (node) => (depths[node] ?? 0) <= depthMax && tree.total(node) >= minTicks,
    (a, b) => tree.total(b) - tree.total(a) || a - b,
  );
}

function depthsOf(tree: CallTree): Int32Array {
  const depths = new Int32Array(tree.count);
  for (let node = 1; node < tree.count; node++) {
    depths[node] = (depths[tree.parent(node)] ?? 0) + 1;
  }
  return depths;
}

/** What the tree does not show. */
export function treeCaveats({ tree, summary }: TraceTree): readonly string[] {
  const merged =
    tree.merged === 0
      ? []
      : [
          `there are more paths of calls than can be held: ${plural(tree.merged, "call")} ` +
            "count as their callers' own time",
        ];
  return [...merged, ...formatCaveats(summary)];
}
