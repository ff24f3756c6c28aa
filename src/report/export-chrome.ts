/**
 * Chrome's trace format (JSON array of trace events, "Trace Event Format", for about://tracing and
 * Perfetto): one complete event ("X") a call, with microseconds since the trace's beginning, flow
 * events ("s", "f") from forks to the first calls of children, and metadata events ("M") with the
 * names of processes and threads.
 */
import { type CallEnd, callEnd } from "../trace/call-stack.ts";
import type { Trace } from "../trace/trace.ts";
import { type TraceThread, traceThreads } from "../trace/trace-reader.ts";
import { ByteWriter, utf8 } from "./byte-writer.ts";
import { type CallTexts, CallValues, noTexts } from "./call-values.ts";
import { type ExportOptions, type ExportVisitor, exportThreads, shownSites } from "./export.ts";
import { endNames } from "./graph-json.ts";
import { commandOf, forksOf } from "./processes.ts";
import { tickNs } from "./summary.ts";

/** Pieces of the file. */
export function* exportChrome(trace: Trace, options: ExportOptions): Generator<Uint8Array> {
  const out = new ByteWriter();
  out.text('{"displayTimeUnit":"ns","traceEvents":[\n');
  const threads = traceThreads(trace);
  const programs = threads.map(
    (thread) => [thread.first.pid, commandOf(trace.session, thread)[0] ?? ""] as const,
  );
  const { pid, command } = trace.session;
  const named = new Map([[pid, command[0] ?? ""], ...programs]);
  const names = [...named].map(([pid, name]) =>
    JSON.stringify({ ph: "M", name: "process_name", pid, args: { name } }),
  );
  out.text(names.join(",\n"));
  const begins = new Map<number, number>();
  const reader = yield* exportThreads(trace, options, out, (thread) =>
    chromeVisitor(trace, options, out, thread, (begin) => begins.set(thread.index, begin)),
  );
  writeForks(trace, threads, begins, out);
  for (const thread of reader.readers) {
    if (thread === undefined) continue;
    const { pid, tid, threadName: name } = thread;
    const metadata = { ph: "M", name: "thread_name", pid, tid, args: { name } };
    out.text(`,\n${JSON.stringify(metadata)}`);
  }
  out.text("\n]}\n");
  yield out.take();
}

/**
 * Arrows from threads that fork to the first calls of their children.
 * @param begins when a thread's first call that is shown began, by its index.
 */
function writeForks(
  trace: Trace,
  threads: readonly TraceThread[],
  begins: ReadonlyMap<number, number>,
  out: ByteWriter,
): void {
  const us = tickNs(trace) / 1000;
  const end = (event: object, index: number, time: number): void => {
    const { pid = 0, tid = 0 } = threads[index]?.first ?? {};
    out.text(
      `,\n${JSON.stringify({ ...event, cat: "fork", name: "fork", pid, tid }).slice(0, -1)}`,
    );
    out.text(',"ts":');
    out.thousandths(time * us);
    out.text("}");
  };
  for (const [id, { from, to, time }] of forksOf(trace, threads).entries()) {
    const begin = begins.get(to);
    if (from === undefined || time === undefined || begin === undefined) continue;
    end({ ph: "s", id }, from, time);
    end({ ph: "f", bp: "e", id }, to, begin);
  }
}

/** What is said of a call beside its name and times: how it ended, if it did not return; values. */
function argsOf(how: CallEnd, texts: CallTexts): string {
  if (texts === noTexts && how === callEnd.returned) return "";
  const end = how === callEnd.returned ? undefined : endNames[how];
  const { arguments: values, result, stack, signal } = texts;
  if ((end ?? values ?? result ?? stack ?? signal) === undefined) return "";
  return `,"args":${JSON.stringify({ end, ...texts })}`;
}

function chromeVisitor(
  trace: Trace,
  options: ExportOptions,
  out: ByteWriter,
  { first }: TraceThread,
  tellBegin: (time: number) => void,
): ExportVisitor {
  const us = tickNs(trace) / 1000;
  const shows = shownSites(trace, options);
  const values = new CallValues(trace);
  const names = new Map<number, Uint8Array>();
  let hasBegun = false;
  const prefix = `,\n{"ph":"X","pid":${first.pid},"tid":${first.tid},"name":`;
  const head = (site: number): Uint8Array => {
    const known = names.get(site);
    if (known !== undefined) return known;
    const made = utf8(`${prefix}${JSON.stringify(trace.functions.name(site))},"ts":`);
    names.set(site, made);
    return made;
  };
  const dur = utf8(',"dur":');
  const instant = (name: string, time: number, args: object): void => {
    out.text(`,\n{"ph":"i","s":"t","pid":${first.pid},"tid":${first.tid},"name":`);
    out.text(`${JSON.stringify(name)},"args":${JSON.stringify(args)},"ts":`);
    out.thousandths(time * us);
    out.text("}");
  };
  return {
    values: (payload) => values.announce(payload),
    enter: (site, time, index) => {
      if (!hasBegun && shows(site)) {
        hasBegun = true;
        tellBegin(time);
      }
      values.enter(site, index);
    },
    leave: (site, start, end, _self, index, how) => {
      const texts = values.leave(site, index);
      if (!shows(site)) return;
      out.bytes(head(site));
      out.thousandths(start * us);
      out.bytes(dur);
      out.thousandths((end - start) * us);
      const args = argsOf(how, texts);
      if (args !== "") out.text(args);
      out.byte(0x7d);
    },
    point: (site, time) => {
      const texts = values.point(site);
      if (shows(site)) instant(trace.functions.name(site), time, texts);
    },
    orphan: (site, _time, index) => void values.leave(site, index),
    gap: (lost, from) => instant("events lost", from, { count: lost }),
    finish: () => undefined,
  };
}
