/**
 * Chrome's trace format (JSON array of trace events, "Trace Event Format", for about://tracing and
 * Perfetto): one complete event ("X") a call, with microseconds since the trace's beginning, and
 * metadata events ("M") with the names of processes and threads.
 */
import { type CallEnd, callEnd } from "../trace/call-stack.ts";
import type { Trace } from "../trace/trace.ts";
import type { TraceThread } from "../trace/trace-reader.ts";
import { ByteWriter, utf8 } from "./byte-writer.ts";
import { type ExportOptions, type ExportVisitor, exportThreads, shownSites } from "./export.ts";
import { tickNs } from "./summary.ts";

/** Pieces of the file; 10 million events a second. */
export function* exportChrome(trace: Trace, options: ExportOptions): Generator<Uint8Array> {
  const out = new ByteWriter();
  const program = trace.session.command[0] ?? "";
  out.text('{"displayTimeUnit":"ns","traceEvents":[\n');
  const { pid } = trace.session;
  out.text(JSON.stringify({ ph: "M", name: "process_name", pid, args: { name: program } }));
  const reader = yield* exportThreads(trace, options, out, (thread) =>
    chromeVisitor(trace, options, out, thread),
  );
  for (const thread of reader.readers) {
    if (thread === undefined) continue;
    const { pid, tid, threadName: name } = thread;
    const metadata = { ph: "M", name: "thread_name", pid, tid, args: { name } };
    out.text(`,\n${JSON.stringify(metadata)}`);
  }
  out.text("\n]}\n");
  yield out.take();
}

/** What is said of ends that are no return. */
const remarks: Readonly<Record<CallEnd, string>> = {
  [callEnd.returned]: "",
  [callEnd.unwound]: ',"args":{"end":"unwound"}',
  [callEnd.left]: ',"args":{"end":"left"}',
  [callEnd.lost]: ',"args":{"end":"lost"}',
  [callEnd.open]: ',"args":{"end":"open"}',
};

function chromeVisitor(
  trace: Trace,
  options: ExportOptions,
  out: ByteWriter,
  { first }: TraceThread,
): ExportVisitor {
  const us = tickNs(trace) / 1000;
  const shows = shownSites(trace, options);
  const names = new Map<number, Uint8Array>();
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
    enter: () => undefined,
    leave: (site, start, end, _self, _index, how) => {
      if (!shows(site)) return;
      out.bytes(head(site));
      out.thousandths(start * us);
      out.bytes(dur);
      out.thousandths((end - start) * us);
      if (how !== callEnd.returned) out.text(remarks[how]);
      out.byte(0x7d);
    },
    point: (site, time) => {
      if (shows(site)) instant(trace.functions.name(site), time, {});
    },
    orphan: () => undefined,
    gap: (lost, from) => instant("events lost", from, { count: lost }),
    finish: () => undefined,
  };
}
