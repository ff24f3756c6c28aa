/** Which functions and threads of a trace somebody wants to see. */
import { PatchbayError } from "../base/error.ts";
import { compileGlobs, nearestNames } from "../symbols/glob.ts";
import type { FunctionTable } from "../trace/functions.ts";
import type { Trace } from "../trace/trace.ts";
import { type TraceThread, traceThreads } from "../trace/trace-reader.ts";

export type Selection = {
  /** Globs for the functions to show; all without it. A name is matched short and in full. */
  readonly include?: readonly string[] | undefined;
  /** Globs for the functions not to show. */
  readonly exclude?: readonly string[] | undefined;
  /** Thread ids; all without it. */
  readonly threads?: readonly number[] | undefined;
};

/** Whether a site's function is one of those named by `globs`. */
export function matchSites(
  functions: FunctionTable,
  globs: readonly string[],
): (site: number) => boolean {
  const test = compileGlobs(globs);
  const known = new Map<number, boolean>();
  return (site) => {
    const before = known.get(site);
    if (before !== undefined) return before;
    const f = functions.find(site);
    const names = [functions.name(site), f?.name, f?.demangled];
    const matches = names.some((name) => name !== undefined && test(name));
    known.set(site, matches);
    return matches;
  };
}

/**
 * Checks that there is something to show: each glob of `include` matches a function of the trace,
 * each thread id is one of its threads'. Otherwise a `no-match` error with what is near.
 */
export function checkSelection(trace: Trace, selection: Selection): void {
  const names = trace.functions.all.map((f) => trace.functions.name(f.site));
  for (const glob of selection.include ?? []) {
    const matches = matchSites(trace.functions, [glob]);
    if (trace.functions.all.some((f) => matches(f.site))) continue;
    const near = nearestNames(glob, new Set(names));
    throw new PatchbayError({
      code: "no-match",
      doing: `select ${glob}`,
      why: "no function of the trace has such a name",
      ...(near.length === 0 ? {} : { hint: `near to it: ${near.join(", ")}` }),
    });
  }
  const { threads } = selection;
  if (threads === undefined) return;
  const tids = traceThreads(trace).map((thread) => thread.first.tid);
  for (const tid of threads) {
    if (tids.includes(tid)) continue;
    const known = tids.slice(0, 8).join(", ") + (tids.length > 8 ? ", ..." : "");
    throw new PatchbayError({
      code: "no-match",
      doing: `select thread ${tid}`,
      why: "the trace has no such thread",
      hint: `it has ${known === "" ? "none" : known}`,
    });
  }
}

/** Whether a thread is wanted. */
export const wantsThread =
  (selection: Selection): ((thread: TraceThread) => boolean) =>
  (thread) =>
    selection.threads?.includes(thread.first.tid) ?? true;
