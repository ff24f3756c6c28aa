/** Traces in memory, put together from events, for tests of what reads them. */
import { encodeEvent } from "../../src/ring/event.ts";
import type { EventKind } from "../../src/ring/layout.ts";
import { functionTable, type TracedFunction } from "../../src/trace/functions.ts";
import {
  encodePacketHeader,
  type LossPlace,
  lossPlace,
  type PacketFields,
} from "../../src/trace/packet.ts";
import type { Session } from "../../src/trace/session.ts";
import { memorySource, type Trace } from "../../src/trace/trace.ts";

export const testUuid: Uint8Array = Uint8Array.from({ length: 16 }, (_, i) => 0xa0 + i);

/** 1 GHz: a tick is a nanosecond. */
export const testSession: Session = {
  uuid: testUuid,
  tool: "patchbay test",
  command: ["./program", "--with", "arguments"],
  pid: 100,
  architecture: "x86-64",
  clock: { frequencyHz: 1_000_000_000, ticks: 0n, wallNs: 1_700_000_000_000_000_000n },
  modules: [],
  options: {},
  end: undefined,
};

export const functionNamed = (
  site: number,
  name: string,
  more: Partial<TracedFunction> = {},
): TracedFunction => ({ site, name, module: "/bin/program", address: BigInt(site), ...more });

export type TestEvent = { readonly kind: EventKind; readonly time: number; readonly site: number };

export type TestPacket = {
  readonly slots: readonly bigint[];
  /** Times in ticks; without them those of `slots`, which then are plain events. */
  readonly begin?: bigint;
  readonly end?: bigint;
  /** Cumulative, as on disk. */
  readonly lost?: { readonly entries: number; readonly exits: number; readonly all: number };
  readonly place?: LossPlace;
};

export type TestThread = {
  readonly tid: number;
  readonly name?: string;
  /** 100 and 0 without them. */
  readonly pid?: number;
  readonly image?: number;
  readonly packets: readonly TestPacket[];
};

export const slotOf = (event: TestEvent): bigint =>
  encodeEvent(event.kind, BigInt(event.time), event.site);

/** A packet of plain events. */
export const packetOf = (
  events: readonly TestEvent[],
  more: Partial<TestPacket> = {},
): TestPacket => ({
  slots: events.map(slotOf),
  begin: BigInt(events[0]?.time ?? 0),
  end: BigInt(events.at(-1)?.time ?? 0),
  ...more,
});

/** `events` in packets of these sizes; what is left over makes a last one. */
export function packetsOf(events: readonly TestEvent[], sizes: readonly number[]): TestPacket[] {
  const packets: TestPacket[] = [];
  let at = 0;
  for (const size of [...sizes, events.length]) {
    const part = events.slice(at, at + size);
    at += part.length;
    if (part.length > 0) packets.push(packetOf(part));
  }
  return packets;
}

/** The bytes of a thread's stream file. */
export function encodeStream(thread: TestThread, uuid: Uint8Array = testUuid): Uint8Array {
  const parts = thread.packets.map((packet, sequence) => {
    const fields: PacketFields = {
      begin: packet.begin ?? 0n,
      end: packet.end ?? packet.begin ?? 0n,
      payloadBytes: packet.slots.length * 8,
      sequence,
      lost: packet.lost?.all ?? 0,
      lostEntries: packet.lost?.entries ?? 0,
      lostExits: packet.lost?.exits ?? 0,
      lossPlace: packet.place ?? lossPlace.none,
      tid: thread.tid,
      pid: thread.pid ?? 100,
      image: thread.image ?? 0,
      threadName: thread.name ?? `thread ${thread.tid}`,
    };
    const payload = new Uint8Array(new BigUint64Array(packet.slots).buffer);
    return [encodePacketHeader(uuid, fields), payload];
  });
  return concat(parts.flat());
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** A trace of stream files' bytes. */
export const traceOfBytes = (
  streams: readonly Uint8Array[],
  functions: readonly TracedFunction[] = [],
): Trace => ({
  session: testSession,
  functions: functionTable(functions),
  streams: streams.map((bytes, i) => ({ name: `thread-${i}`, open: () => memorySource(bytes) })),
  forks: [],
  nameStack: (addresses) =>
    addresses.map((address) => ({ address, name: undefined, module: undefined })),
});

export const traceOf = (
  threads: readonly TestThread[],
  functions: readonly TracedFunction[] = [],
): Trace =>
  traceOfBytes(
    threads.map((thread) => encodeStream(thread)),
    functions,
  );
