/**
 * Folded stacks, the input of flame graph tools (flamegraph.pl, inferno, speedscope): a line for
 * each path of calls, functions separated by semicolons, and the nanoseconds spent on it and no
 * further path. Time is the sum of all threads' unless they are told apart. Of stacks that were
 * recorded (`record --stack`), the number is that of the calls.
 */
import { PatchbayError } from "../base/error.ts";
import type { CallVisitor, LongPayload } from "../trace/call-stack.ts";
import { frameName } from "../trace/stack-frames.ts";
import type { Trace } from "../trace/trace.ts";
import { TraceReader } from "../trace/trace-reader.ts";
import { stackOf } from "../trace/values.ts";
import { ByteWriter, utf8 } from "./byte-writer.ts";
import { shownSites } from "./export.ts";
import { readCallTree, type TreeOptions, walkTree } from "./read-call-tree.ts";
import { checkSelection, wantsThread } from "./selection.ts";
import { tickNs } from "./summary.ts";

const pieceBytes = 1 << 18;

/** The separators of the format: names don't have them otherwise. */
const pathName = (name: string): string => name.replaceAll(";", ":").replaceAll("\n", " ");

/** Pieces of the file. */
export function* exportFolded(trace: Trace, options: TreeOptions): Generator<Uint8Array> {
  if (options.stacks === true) {
    yield* exportStacks(trace, options);
    return;
  }
  const { tree, name } = readCallTree(trace, options);
  const ns = tickNs(trace);
  const out = new ByteWriter();
  const names = new Map<string, Uint8Array>();
  const nameBytes = (name: string): Uint8Array => {
    const known = names.get(name);
    if (known !== undefined) return known;
    const made = utf8(pathName(name));
    names.set(name, made);
    return made;
  };
  // The path to the present node, and how long it is at each depth.
  const path = new ByteWriter();
  const ends: number[] = [0];
  const children = tree.children(
    () => true,
    (a, b) => a - b,
  );
  for (const { node, depth } of walkTree(children)) {
    path.truncate(ends[depth] ?? 0);
    if (depth > 0) path.byte(0x3b);
    path.bytes(nameBytes(name(node)));
    ends[depth + 1] = path.length;
    const self = Math.round(tree.self(node) * ns);
    if (self <= 0) continue;
    out.append(path);
    out.byte(0x20);
    out.decimal(self);
    out.byte(0x0a);
    if (out.length >= pieceBytes) yield out.take();
  }
  yield out.take();
}

/** The same of recorded stacks: how often each function was called with each of them. */
function* exportStacks(trace: Trace, options: TreeOptions): Generator<Uint8Array> {
  const counts = countStacks(trace, options);
  if (counts.size === 0) {
    throw new PatchbayError({
      code: "bad-trace",
      doing: "export recorded stacks",
      why: "there are none of these functions",
      hint: "record --stack takes them",
    });
  }
  const out = new ByteWriter();
  for (const [path, count] of [...counts].sort(([a], [b]) => (a < b ? -1 : 1))) {
    out.text(`${path} `);
    out.decimal(count);
    out.byte(0x0a);
    if (out.length >= pieceBytes) yield out.take();
  }
  yield out.take();
}

function countStacks(trace: Trace, options: TreeOptions): ReadonlyMap<string, number> {
  checkSelection(trace, options);
  const shows = shownSites(trace, options);
  const counts = new Map<string, number>();
  const add = (site: number, stack: readonly bigint[]): void => {
    if (!shows(site)) return;
    const around = trace.nameStack(stack).map(frameName).reverse();
    const path = [...around, trace.functions.name(site)].map(pathName).join(";");
    counts.set(path, (counts.get(path) ?? 0) + 1);
  };
  new TraceReader(trace, () => new StackVisitor(add), { wants: wantsThread(options) }).readAll();
  return counts;
}

/** Tells of calls that came with a stack. */
class StackVisitor implements CallVisitor {
  readonly #add: (site: number, stack: readonly bigint[]) => void;
  #stack: readonly bigint[] | undefined;

  constructor(add: (site: number, stack: readonly bigint[]) => void) {
    this.#add = add;
  }

  values(payload: LongPayload): void {
    this.#stack = stackOf(payload);
  }

  enter(site: number): void {
    if (this.#stack !== undefined) this.#add(site, this.#stack);
    this.#stack = undefined;
  }

  point(site: number): void {
    this.enter(site);
  }

  leave(): void {
    // What counts is that it was called.
  }

  orphan(): void {
    // The same.
  }

  gap(): void {
    // The same.
  }
}
