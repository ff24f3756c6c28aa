/**
 * Perfetto's protobuf format (protos/perfetto/trace/trace_packet.proto and track_event/*.proto of
 * its sources): a track for each process and one for each thread, slices that begin and end, names
 * interned once for each thread, a counter of lost events, and flows: from one program to the next
 * where a process became another one (exec), from a fork to the child's first call, and from where
 * a signal came in to its handler's call. Times are nanoseconds of the wall clock; a snapshot says
 * that the trace's clock is the same.
 */
import { wallNsAt } from "../trace/clock.ts";
import { sessionClock } from "../trace/session.ts";
import type { Trace } from "../trace/trace.ts";
import { type TraceThread, traceOrigin, traceThreads } from "../trace/trace-reader.ts";
import { formatValues, type SignalFacts, signalOf } from "../trace/values.ts";
import { ByteWriter } from "./byte-writer.ts";
import { type ExportOptions, type ExportVisitor, exportThreads, shownSites } from "./export.ts";
import {
  type FlowMark,
  PacketWriter,
  ProcessTracks,
  splitNs,
  ThreadTrack,
  writeClocks,
} from "./perfetto-tracks.ts";
import { execsOf, forksOf } from "./processes.ts";
import { type CallKey, callKey, findSentSignals } from "./sent-signals.ts";
import { signalName } from "./signal-text.ts";

/** Pieces of the file. */
export function* exportPerfetto(trace: Trace, options: ExportOptions): Generator<Uint8Array> {
  const out = new ByteWriter();
  const writer = new PacketWriter(out);
  const threads = traceThreads(trace);
  const begin = traceOrigin(threads);
  const origin = splitNs(wallNsAt(sessionClock(trace.session), begin));
  writeClocks(writer, origin);
  const processes = new ProcessTracks(trace, writer);
  const flows = flowsOf(trace, threads);
  yield* exportThreads(trace, options, out, (thread) => {
    const track = new ThreadTrack(trace, writer, origin, thread, processes.of(thread));
    return threadVisitor(trace, options, track, flows);
  });
}

/** Arrows between threads, by the index of the thread that they begin or end at. */
type Flows = {
  readonly marks: ReadonlyMap<number, readonly FlowMark[]>;
  /** Those that end at a thread's first slice. */
  readonly ends: ReadonlyMap<number, number>;
  /** One that no other flow has. */
  readonly newId: () => number;
  /** Flows from calls that send signals, and to those of handlers: ids by the calls. */
  readonly sent: ReadonlyMap<CallKey, readonly number[]>;
  readonly received: ReadonlyMap<CallKey, readonly number[]>;
  /** Functions that send. */
  readonly senders: ReadonlySet<number>;
};

function flowsOf(trace: Trace, threads: readonly TraceThread[]): Flows {
  const marks = new Map<number, FlowMark[]>();
  const ends = new Map<number, number>();
  const mark = (thread: number, flow: FlowMark): void => {
    const known = marks.get(thread);
    if (known === undefined) marks.set(thread, [flow]);
    else known.push(flow);
  };
  let id = 0;
  for (const { from, to } of execsOf(trace, threads)) {
    mark(from, { id: ++id, name: "exec", kind: "begin", at: "end" });
    mark(to, { id, name: "began by exec", kind: "end", at: "begin" });
  }
  for (const { from, to, time, pid } of forksOf(trace, threads)) {
    if (from === undefined || time === undefined) continue;
    mark(from, { id: ++id, name: "fork", kind: "begin", at: time, note: ["child", String(pid)] });
    ends.set(to, id);
  }
  const newId = (): number => ++id;
  return { marks, ends, newId, ...signalFlows(trace, newId) };
}

function signalFlows(
  trace: Trace,
  newId: () => number,
): Pick<Flows, "sent" | "received" | "senders"> {
  const { senders, pairs } = findSentSignals(trace);
  const sent = new Map<CallKey, number[]>();
  const received = new Map<CallKey, number[]>();
  for (const { from, to } of pairs) {
    const id = newId();
    sent.set(from, [...(sent.get(from) ?? []), id]);
    received.set(to, [...(received.get(to) ?? []), id]);
  }
  return { sent, received, senders };
}

/** One thread's packets form a sequence: its track and its clock are stated once. */
function threadVisitor(
  trace: Trace,
  options: ExportOptions,
  track: ThreadTrack,
  { marks, ends, newId, sent, received, senders }: Flows,
): ExportVisitor {
  const end = ends.get(track.index);
  if (end !== undefined) track.endFlow(end);
  const shows = shownSites(trace, options);
  let values: readonly string[] = [];
  let signal: SignalFacts | undefined;
  const takenSignal = (): SignalFacts | undefined => {
    const found = signal;
    signal = undefined;
    return found;
  };
  const taken = (): readonly string[] => {
    const found = values;
    values = none;
    return found;
  };
  /** Whether the call is shown; its flows come with it. */
  const begins = (site: number, time: number): boolean => {
    const cause = takenSignal();
    if (!shows(site)) return false;
    if (senders.has(site)) track.beginFlows(sent.get(callKey(track.index, site, time)));
    if (cause === undefined) return true;
    markSignal(track, cause, time, newId);
    for (const id of received.get(callKey(track.index, site, time)) ?? []) track.endFlow(id);
    return true;
  };
  return {
    values: (payload) => {
      values = formatValues(payload);
      signal = signalOf(payload);
    },
    enter: (site, time) => {
      const args = taken();
      if (begins(site, time)) track.enter(site, time, args);
    },
    leave: (site, _start, end, _self, _index, how) => {
      const results = taken();
      if (shows(site)) track.leave(site, end, how, results);
    },
    point: (site, time) => {
      const args = taken();
      if (begins(site, time)) track.instant(site, time, args);
    },
    orphan: () => undefined,
    gap: (lost, _from, to) => track.lost(lost, to),
    finish: () => {
      for (const mark of marks.get(track.index) ?? []) track.flow(mark);
    },
  };
}

/** A mark in the call that a signal interrupts, with a flow to the handler's, which is next. */
function markSignal(
  track: ThreadTrack,
  signal: SignalFacts,
  time: number,
  newId: () => number,
): void {
  const { sender } = signal;
  const note = sender === undefined ? {} : { note: ["sender", String(sender)] as const };
  const id = newId();
  track.flow({ id, name: signalName(signal), kind: "begin", at: time, ...note });
  track.endFlow(id);
}

const none: readonly string[] = [];
