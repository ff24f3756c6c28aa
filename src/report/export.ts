/**
 * What the exports have in common: each reads the trace once, as a stream, and gives pieces of the
 * file as it goes. Calls whose end is not known end where they were last known to run, because the
 * formats have no other way to show them; they say so where the format lets them.
 */
import type { CallVisitor } from "../trace/call-stack.ts";
import type { Trace } from "../trace/trace.ts";
import { TraceReader, type TraceThread } from "../trace/trace-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import { checkSelection, matchSites, type Selection, wantsThread } from "./selection.ts";

/** Pieces are about so long. */
const pieceBytes = 1 << 18;

/** Bytes for the file of that name, in the order in which they are to be appended to it. */
export type FilePiece = { readonly file: string; readonly bytes: readonly Uint8Array[] };

/** Functions and threads to export; `include` and `exclude` take calls out of their callers. */
export type ExportOptions = Selection;

/** A visitor and what it wants to write when its thread has been read. */
export type ExportVisitor = CallVisitor & { finish(): void };

/**
 * Reads the trace thread by thread into `out`, giving what is there whenever it is enough.
 * @param visitorFor whom to tell of a thread's calls; it writes into `out`.
 */
export function* exportThreads(
  trace: Trace,
  options: ExportOptions,
  out: ByteWriter,
  visitorFor: (thread: TraceThread) => ExportVisitor,
): Generator<Uint8Array, TraceReader> {
  checkSelection(trace, options);
  let current: ExportVisitor | undefined;
  using reader: TraceReader = new TraceReader(
    trace,
    (thread) => {
      current?.finish();
      current = visitorFor(thread);
      return current;
    },
    { wants: wantsThread(options) },
  );
  while (reader.step()) {
    if (out.length >= pieceBytes) yield out.take();
  }
  current?.finish();
  yield out.take();
  return reader;
}

/** Which functions an export shows; calls of others are left out, what they call is not. */
export function shownSites(trace: Trace, options: ExportOptions): (site: number) => boolean {
  const { include, exclude } = options;
  if (include === undefined && exclude === undefined) return () => true;
  const wanted = matchSites(trace.functions, include ?? ["*"]);
  const unwanted = matchSites(trace.functions, exclude ?? []);
  return (site) => wanted(site) && !unwanted(site);
}
