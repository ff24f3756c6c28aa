/**
 * Packets of Perfetto's protobuf format (protos/perfetto/trace/trace_packet.proto and
 * track_event/*.proto of its sources), and the tracks of processes and threads that are made of
 * them.
 */
import { type CallEnd, callEnd } from "../trace/call-stack.ts";
import type { Trace } from "../trace/trace.ts";
import type { TraceThread } from "../trace/trace-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import { formatResults, namedArguments } from "./call-values.ts";
import { endNames } from "./graph-json.ts";
import { commandOf } from "./processes.ts";
import { Message } from "./protobuf.ts";
import { tickNs } from "./summary.ts";

/** Field numbers, of the messages that are written here. */
const tracePacket = {
  clockSnapshot: 6,
  timestamp: 8,
  sequenceId: 10,
  trackEvent: 11,
  internedData: 12,
  sequenceFlags: 13,
  defaults: 59,
  trackDescriptor: 60,
} as const;
const trackDescriptor = { uuid: 1, name: 2, process: 3, thread: 4, parent: 5, counter: 8 } as const;
const processDescriptor = { pid: 1, commandLine: 2, name: 6 } as const;
const threadDescriptor = { pid: 1, tid: 2, name: 5 } as const;
const trackEvent = {
  debugAnnotations: 4,
  type: 9,
  nameId: 10,
  trackUuid: 11,
  name: 23,
  counterValue: 30,
  sourceLocationId: 34,
  flowIds: 47,
  terminatingFlowIds: 48,
} as const;
const internedData = { eventNames: 2, sourceLocations: 4 } as const;
const internedName = { id: 1, name: 2 } as const;
const sourceLocation = { id: 1, file: 2, functionName: 3, line: 4 } as const;
const debugAnnotation = { stringValue: 6, name: 10 } as const;
const packetDefaults = { trackEvent: 11 } as const;
const eventDefaults = { trackUuid: 11 } as const;
const clockSnapshot = { clocks: 1 } as const;
const clock = { id: 1, timestamp: 2 } as const;

const eventType = { begin: 1, end: 2, instant: 3, counter: 4 } as const;
const sequenceFlag = { cleared: 1, needsState: 2 } as const;
/** Built-in clocks of clock_snapshot.proto; packets that name none are on the second one. */
const realtime = 1;
const boottime = 6;
/** Field 1 of the file's message `Trace`, length-delimited. */
const packetTag = 0x0a;

/** Frames packets with their lengths. */
export class PacketWriter {
  readonly packet: Message = new Message();
  readonly event: Message = new Message();
  readonly #out: ByteWriter;

  constructor(out: ByteWriter) {
    this.#out = out;
  }

  /** Ends the packet that was put together in `packet`. */
  end(): void {
    this.#out.byte(packetTag);
    this.#out.varint(this.packet.length);
    this.packet.writeTo(this.#out);
    this.packet.clear();
  }
}

/** Nanoseconds since 1970 exceed 2^53: high * 2^28 + low. */
export type SplitNs = { readonly high: number; readonly low: number };
export const splitNs = (ns: bigint): SplitNs => {
  const word = BigInt.asUintN(64, ns);
  return { high: Number(word >> 28n), low: Number(word & 0xfff_ffffn) };
};

/** States that the trace's clock is the wall clock. */
export function writeClocks(writer: PacketWriter, origin: SplitNs): void {
  const { packet } = writer;
  packet.number(tracePacket.sequenceId, 1);
  packet.message(tracePacket.clockSnapshot, (snapshot) => {
    for (const id of [realtime, boottime]) {
      snapshot.message(clockSnapshot.clocks, (entry) => {
        entry.number(clock.id, id);
        entry.long(clock.timestamp, origin.high, origin.low);
      });
    }
  });
  writer.end();
}

/** The tracks of processes: each is described before the first of its threads. */
export class ProcessTracks {
  readonly #trace: Trace;
  readonly #writer: PacketWriter;
  /** By process id; threads have even uuids and the odd ones behind them. */
  readonly #uuids = new Map<number, number>();
  readonly #first: number;

  constructor(trace: Trace, writer: PacketWriter) {
    this.#trace = trace;
    this.#writer = writer;
    this.#first = 2 * trace.streams.length + 2;
  }

  /** The uuid of the track of the process that `thread` is of. */
  of(thread: TraceThread): number {
    const { pid } = thread.first;
    const known = this.#uuids.get(pid);
    if (known !== undefined) return known;
    const uuid = this.#first + this.#uuids.size;
    this.#uuids.set(pid, uuid);
    const command = commandOf(this.#trace.session, thread);
    const { packet } = this.#writer;
    packet.number(tracePacket.sequenceId, 1);
    packet.message(tracePacket.trackDescriptor, (track) => {
      track.number(trackDescriptor.uuid, uuid);
      track.message(trackDescriptor.process, (described) => {
        described.number(processDescriptor.pid, pid);
        for (const word of command) described.text(processDescriptor.commandLine, word);
        described.text(processDescriptor.name, command[0] ?? "");
      });
    });
    this.#writer.end();
    return uuid;
  }
}

/** One thread's packets form a sequence: its track and its clock are stated once. */
/** A mark on a thread's track where a flow begins or ends. */
export type FlowMark = {
  readonly id: number;
  readonly name: string;
  readonly kind: "begin" | "end";
  /** In ticks since the trace's origin, or at the thread's first or last event. */
  readonly at: number | "begin" | "end";
  /** What is noted beside it, by its name. */
  readonly note?: readonly [string, string];
};

export class ThreadTrack {
  readonly #trace: Trace;
  readonly #writer: PacketWriter;
  readonly #origin: SplitNs;
  readonly #ns: number;
  readonly #sequence: number;
  readonly #uuid: number;
  readonly #ids = new Map<number, number>();
  /** The thread's place among the trace's. */
  readonly index: number;
  #lost = 0;
  /** Of the first and the latest event. */
  #begin: number | undefined;
  #end = 0;
  /** Flows that begin at the next slice, and that end there. */
  #beginning: readonly number[] = [];
  #ending: number[] = [];

  constructor(
    trace: Trace,
    writer: PacketWriter,
    origin: SplitNs,
    thread: TraceThread,
    processUuid: number,
  ) {
    this.index = thread.index;
    this.#trace = trace;
    this.#writer = writer;
    this.#origin = origin;
    this.#ns = tickNs(trace);
    this.#sequence = thread.index + 2;
    this.#uuid = 2 * thread.index + 2;
    this.#describe(thread, processUuid);
  }

  get #counterUuid(): number {
    return this.#uuid + 1;
  }

  enter(site: number, time: number, values: readonly string[]): void {
    this.#slice(eventType.begin, site, time, values);
  }

  instant(site: number, time: number, values: readonly string[]): void {
    this.#slice(eventType.instant, site, time, values);
  }

  leave(site: number, time: number, how: CallEnd, values: readonly string[]): void {
    const { event } = this.#writer;
    event.number(trackEvent.type, eventType.end);
    if (how !== callEnd.returned) this.#annotate("end", endNames[how]);
    if (values.length > 0) {
      this.#annotate("result", formatResults(this.#trace.functions, site, values));
    }
    this.#finishEvent(time);
  }

  #annotate(name: string, value: string): void {
    this.#writer.event.message(trackEvent.debugAnnotations, (annotation) => {
      annotation.text(debugAnnotation.name, name);
      annotation.text(debugAnnotation.stringValue, value);
    });
  }

  /** The counter of lost events goes up; by one where nobody knows how many they were. */
  lost(count: number, time: number): void {
    this.#lost += count === Infinity ? 1 : count;
    const { event } = this.#writer;
    event.number(trackEvent.type, eventType.counter);
    event.number(trackEvent.trackUuid, this.#counterUuid);
    event.number(trackEvent.counterValue, this.#lost);
    this.#finishEvent(time);
  }

  /** The flow of that id ends at the slice that begins next. */
  endFlow(id: number): void {
    this.#ending.push(id);
  }

  /** These flows begin at the slice that begins next. */
  beginFlows(ids: readonly number[] = []): void {
    this.#beginning = ids;
  }

  /** Adds the mark of a flow; those of the thread's own beginning and end come first. */
  flow({ id, name, kind, at, note }: FlowMark): void {
    const { event } = this.#writer;
    if (note !== undefined) this.#annotate(...note);
    event.number(trackEvent.type, eventType.instant);
    event.text(trackEvent.name, name);
    event.fixed64(kind === "begin" ? trackEvent.flowIds : trackEvent.terminatingFlowIds, id);
    this.#finishEvent(at === "begin" ? (this.#begin ?? 0) : at === "end" ? this.#end : at);
  }

  #slice(type: number, site: number, time: number, values: readonly string[]): void {
    const known = this.#ids.get(site);
    const id = known ?? this.#ids.size + 1;
    if (known === undefined) {
      this.#ids.set(site, id);
      this.#intern(site, id);
    }
    const { event } = this.#writer;
    event.number(trackEvent.type, type);
    for (const [i, [name, value]] of this.#named(site, values).entries()) {
      this.#annotate(name ?? `argument ${i + 1}`, value);
    }
    event.number(trackEvent.nameId, id);
    if (this.#trace.functions.find(site)?.file !== undefined) {
      event.number(trackEvent.sourceLocationId, id);
    }
    for (const id of this.#ending) event.fixed64(trackEvent.terminatingFlowIds, id);
    for (const id of this.#beginning) event.fixed64(trackEvent.flowIds, id);
    this.#ending = [];
    this.#beginning = [];
    this.#finishEvent(time);
  }

  #named(site: number, values: readonly string[]): ReturnType<typeof namedArguments> {
    return values.length === 0 ? [] : namedArguments(this.#trace.functions, site, values);
  }

  /** The name goes into the packet that mentions it first. */
  #intern(site: number, id: number): void {
    const f = this.#trace.functions.find(site);
    const name = this.#trace.functions.name(site);
    this.#writer.packet.message(tracePacket.internedData, (interned) => {
      interned.message(internedData.eventNames, (entry) => {
        entry.number(internedName.id, id);
        entry.text(internedName.name, name);
      });
      if (f?.file === undefined) return;
      interned.message(internedData.sourceLocations, (entry) => {
        entry.number(sourceLocation.id, id);
        entry.text(sourceLocation.file, f.file ?? "");
        entry.text(sourceLocation.functionName, name);
        if (f.line !== undefined) entry.number(sourceLocation.line, f.line);
      });
    });
  }

  #finishEvent(time: number): void {
    this.#begin ??= time;
    this.#end = time;
    const { packet, event } = this.#writer;
    const { high, low } = this.#origin;
    packet.long(tracePacket.timestamp, high, low + Math.round(time * this.#ns));
    packet.number(tracePacket.sequenceId, this.#sequence);
    packet.number(tracePacket.sequenceFlags, sequenceFlag.needsState);
    packet.nested(tracePacket.trackEvent, event);
    event.clear();
    this.#writer.end();
  }

  #describe({ first }: TraceThread, processUuid: number): void {
    const { packet } = this.#writer;
    packet.number(tracePacket.sequenceId, this.#sequence);
    packet.number(tracePacket.sequenceFlags, sequenceFlag.cleared);
    packet.message(tracePacket.defaults, (defaults) => {
      defaults.message(packetDefaults.trackEvent, (event) => {
        event.number(eventDefaults.trackUuid, this.#uuid);
      });
    });
    packet.message(tracePacket.trackDescriptor, (track) => {
      track.number(trackDescriptor.uuid, this.#uuid);
      track.number(trackDescriptor.parent, processUuid);
      track.message(trackDescriptor.thread, (descriptor) => {
        descriptor.number(threadDescriptor.pid, first.pid);
        descriptor.number(threadDescriptor.tid, first.tid);
        descriptor.text(threadDescriptor.name, first.threadName);
      });
    });
    this.#writer.end();
    packet.number(tracePacket.sequenceId, this.#sequence);
    packet.message(tracePacket.trackDescriptor, (track) => {
      track.number(trackDescriptor.uuid, this.#counterUuid);
      track.number(trackDescriptor.parent, this.#uuid);
      track.text(trackDescriptor.name, "lost events");
      track.message(trackDescriptor.counter, () => undefined);
    });
    this.#writer.end();
  }
}
