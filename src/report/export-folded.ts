/**
 * Folded stacks, the input of flame graph tools (flamegraph.pl, inferno, speedscope): a line for
 * each path of calls, functions separated by semicolons, and the nanoseconds spent on it and no
 * further path. Time is the sum of all threads' unless they are told apart.
 */
import type { Trace } from "../trace/trace.ts";
import { ByteWriter } from "./byte-writer.ts";
import { readCallTree, type TreeOptions, walkTree } from "./read-call-tree.ts";
import { tickNs } from "./summary.ts";

const pieceBytes = 1 << 18;

/** Pieces of the file. */
export function* exportFolded(trace: Trace, options: TreeOptions): Generator<Uint8Array> {
  const { tree, name } = readCallTree(trace, options);
  const ns = tickNs(trace);
  const out = new ByteWriter();
  const path: string[] = [];
  const children = tree.children(
    () => true,
    (a, b) => a - b,
  );
  for (const { node, depth } of walkTree(children)) {
    path.length = depth;
    // The separators of the format: names don't have them otherwise.
    path.push(name(node).replaceAll(";", ":").replaceAll("\n", " "));
    const self = Math.round(tree.self(node) * ns);
    if (self <= 0) continue;
    out.text(`${path.join(";")} `);
    out.decimal(self);
    out.byte(0x0a);
    if (out.length >= pieceBytes) yield out.take();
  }
  yield out.take();
}
