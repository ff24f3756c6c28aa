/**
 * What a trace's packets say before their events are read: when each thread was active, how much
 * there is of it, and from that how finely it will be drawn. It reads heads alone.
 */
import { eventBytes } from "../../ring/layout.ts";
import { packetHeaderBytes } from "../../trace/packet.ts";
import { PacketReader } from "../../trace/packet-reader.ts";
import type { Trace } from "../../trace/trace.ts";
import { type TraceThread, traceOrigin, traceThreads } from "../../trace/trace-reader.ts";
import type { Grid } from "./cells.ts";

/** A thread before its events have been read; times in ticks since the trace's origin. */
export type ThreadPlan = {
  readonly index: number;
  readonly tid: number;
  readonly pid: number;
  readonly name: string;
  readonly begin: number;
  readonly end: number;
  readonly slots: number;
  readonly lost: number;
  /** How its calls are to be drawn. */
  readonly grid: Grid;
  /** Slots of events in each of `densityParts` equal parts of the trace. */
  readonly density: Float64Array;
};

export type TimelinePlan = {
  /** Ticks that times are counted from. */
  readonly origin: bigint;
  readonly end: number;
  readonly threads: readonly ThreadPlan[];
};

export const densityParts = 1024;

/** Of all threads together: 64 rows of so many columns are 64 MB. */
const columnsTotal = 1 << 18;
const columnsMax = 1 << 16;
const columnsMin = 1 << 8;

type Extent = Omit<ThreadPlan, "grid" | "density" | "begin" | "end"> & {
  /** Begin, end, slots of each packet. */
  readonly packets: readonly number[];
};

/** Reads all heads; a million packets take about a second. */
export function planTimeline(trace: Trace): TimelinePlan {
  const threads = traceThreads(trace);
  const origin = traceOrigin(threads);
  const extents = threads.map((thread) => readExtent(trace, thread, origin));
  const end = Math.max(0, ...extents.map(({ packets }) => packets.at(-2) ?? 0));
  const slots = extents.reduce((sum, extent) => sum + extent.slots, 0);
  return { origin, end, threads: extents.map((extent) => planThread(extent, slots, end)) };
}

function readExtent(trace: Trace, thread: TraceThread, origin: bigint): Extent {
  const source = thread.stream.open();
  const packets: number[] = [];
  let lost = 0;
  let slots = 0;
  let last = thread.first;
  try {
    const reader = new PacketReader(source, trace.session.uuid, packetHeaderBytes);
    for (let found = reader.nextBlock(0); found; found = reader.nextPacket()) {
      const { packet } = reader;
      if (packet === undefined) break;
      const count = packet.payloadBytes / eventBytes;
      packets.push(Number(packet.begin - origin), Number(packet.end - origin), count);
      slots += count;
      lost = packet.lost;
      last = packet;
    }
  } finally {
    source.close();
  }
  const { tid, pid, threadName: name } = last;
  return { index: thread.index, tid, pid, name, slots, lost, packets };
}

function planThread({ packets, ...rest }: Extent, slotsTotal: number, end: number): ThreadPlan {
  const [begin = 0] = packets;
  const last = Math.max(begin, packets.at(-2) ?? 0);
  const share = (columnsTotal * rest.slots) / Math.max(1, slotsTotal);
  const columns = Math.max(columnsMin, Math.min(columnsMax, share));
  return {
    ...rest,
    begin,
    end: last,
    grid: gridOver(begin, last, columns),
    density: densityOf(packets, end),
  };
}

/** At most `columns` columns, or one more. */
function gridOver(begin: number, end: number, columns: number): Grid {
  const level = Math.max(0, Math.ceil(Math.log2((end - begin + 1) / columns)));
  const first = Math.floor(begin / 2 ** level);
  return { level, firstColumn: first, columns: Math.floor(end / 2 ** level) - first + 1 };
}

/** Spreads each packet's events evenly over its time. */
function densityOf(packets: readonly number[], end: number): Float64Array {
  const density = new Float64Array(densityParts);
  const scale = densityParts / (end + 1);
  for (let at = 0; at < packets.length; at += 3) {
    const [begin = 0, last = 0, slots = 0] = packets.slice(at, at + 3);
    const from = Math.floor(begin * scale);
    const to = Math.min(densityParts - 1, Math.floor(last * scale));
    for (let part = from; part <= to; part++) {
      density[part] = (density[part] ?? 0) + slots / (to - from + 1);
    }
  }
  return density;
}
