/**
 * Who calls whom: calls added up by caller and callee, from a call tree, and as Graphviz and
 * Mermaid draw them.
 */
import type { Trace } from "../trace/trace.ts";
import { utf8 } from "./byte-writer.ts";
import { readCallTree, type TraceTree, type TreeOptions } from "./read-call-tree.ts";
import { tickNs } from "./summary.ts";
import { formatCount, formatDuration, plural } from "./units.ts";

/** More than that no layout makes readable; the edges with the most time are kept. */
const edgesMax = 200;

type FunctionNode = { readonly name: string; calls: number; self: number };
type Edge = { readonly from: number; readonly to: number; calls: number; total: number };

type CallGraph = {
  readonly nodes: readonly FunctionNode[];
  /** By falling total time; `from` and `to` index `nodes`. */
  readonly edges: readonly Edge[];
  /** Edges that were left out. */
  readonly hidden: number;
};

/** Graphviz' language (https://graphviz.org/doc/info/lang.html). */
export function* exportDot(trace: Trace, options: TreeOptions): Generator<Uint8Array> {
  const graph = callGraph(readCallTree(trace, options));
  const ns = tickNs(trace);
  const lines = ["digraph calls {", "  node [shape=box, fontname=monospace];"];
  if (graph.hidden > 0) lines.push(`  // ${hiddenText(graph.hidden)}`);
  graph.nodes.forEach((node, i) => {
    const label = [node.name, ...facts(node, ns)].map(escapeDot).join("\\n");
    lines.push(`  n${i} [label="${label}"];`);
  });
  for (const { from, to, calls, total } of graph.edges) {
    const label = `${formatCount(calls)}\\n${formatDuration(total * ns)}`;
    lines.push(`  n${from} -> n${to} [label="${label}"];`);
  }
  lines.push("}", "");
  yield utf8(lines.join("\n"));
}

/** Mermaid's flow charts (https://mermaid.js.org/syntax/flowchart.html). */
export function* exportMermaid(trace: Trace, options: TreeOptions): Generator<Uint8Array> {
  const graph = callGraph(readCallTree(trace, options));
  const ns = tickNs(trace);
  const lines = ["flowchart TD"];
  if (graph.hidden > 0) lines.push(`  %% ${hiddenText(graph.hidden)}`);
  graph.nodes.forEach((node, i) => {
    const label = [node.name, ...facts(node, ns)].map(escapeMermaid).join("<br>");
    lines.push(`  n${i}["${label}"]`);
  });
  for (const { from, to, calls, total } of graph.edges) {
    lines.push(`  n${from} -->|"${formatCount(calls)}, ${formatDuration(total * ns)}"| n${to}`);
  }
  lines.push("");
  yield utf8(lines.join("\n"));
}

function callGraph({ tree, name }: TraceTree): CallGraph {
  const bySite = new Map<number, number>();
  const nodes: FunctionNode[] = [];
  const edges = new Map<string, Edge>();
  const indexOf = (node: number): number => {
    const site = tree.site(node);
    const known = bySite.get(site);
    if (known !== undefined) return known;
    bySite.set(site, nodes.length);
    return nodes.push({ name: name(node), calls: 0, self: 0 }) - 1;
  };
  for (let node = 1; node < tree.count; node++) {
    const to = indexOf(node);
    const own = nodes[to];
    if (own !== undefined) {
      own.calls += tree.calls(node);
      own.self += tree.self(node);
    }
    const parent = tree.parent(node);
    if (parent === 0) continue;
    const from = indexOf(parent);
    const edge = edges.get(`${from} ${to}`) ?? { from, to, calls: 0, total: 0 };
    edge.calls += tree.calls(node);
    edge.total += tree.total(node);
    edges.set(`${from} ${to}`, edge);
  }
  return lightened(nodes, [...edges.values()]);
}

/** The graph with its heaviest edges, and the functions that these join or that stand alone. */
function lightened(nodes: readonly FunctionNode[], edges: readonly Edge[]): CallGraph {
  const kept = edges.toSorted((a, b) => b.total - a.total).slice(0, edgesMax);
  const joined = new Set(kept.flatMap(({ from, to }) => [from, to]));
  if (edges.length <= edgesMax) for (const i of nodes.keys()) joined.add(i);
  const numbers = [...joined].sort((a, b) => a - b);
  const place = new Map(numbers.map((old, i) => [old, i]));
  return {
    nodes: numbers.map((old) => nodes[old]).filter((node) => node !== undefined),
    edges: kept.map((edge) => ({
      ...edge,
      from: place.get(edge.from) ?? 0,
      to: place.get(edge.to) ?? 0,
    })),
    hidden: edges.length - kept.length,
  };
}

const facts = (node: FunctionNode, ns: number): readonly string[] =>
  node.calls === 0 ? [] : [plural(node.calls, "call"), `self ${formatDuration(node.self * ns)}`];

const hiddenText = (count: number): string =>
  `${plural(count, "edge")} with less time left out: there are ${edgesMax} at the most`;

const escapeDot = (text: string): string => text.replaceAll(/["\\]/g, "\\$&").replaceAll("\n", " ");

/** Mermaid takes entities for what would end a label. */
const escapeMermaid = (text: string): string =>
  text
    .replaceAll("#", "#35;")
    .replaceAll('"', "#quot;")
    .replaceAll("<", "#lt;")
    .replaceAll(">", "#gt;")
    .replaceAll("\n", " ");
