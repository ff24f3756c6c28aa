/** The Perfetto export, held to an independent reader and to Perfetto's schema. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { exporters } from "../../src/report/exporters.ts";
import { eventKind } from "../../src/ring/layout.ts";
import type { Trace } from "../../src/trace/trace.ts";
import { flowsOf } from "../support/perfetto-flows.ts";
import { type Packet, readPackets } from "../support/perfetto-schema.ts";
import { historyOf, moves } from "../support/random-calls.ts";
import { concat, functionNamed, packetOf, packetsOf, traceOf } from "../support/trace-builder.ts";

function packets(trace: Trace): readonly Packet[] {
  const exporter = exporters.get("perfetto");
  return readPackets(concat([...(exporter?.(trace, {}) ?? [])]));
}

/** Calls of each thread id, as a reader of the format puts them together. */
function callsOf(list: readonly Packet[]): unknown[][] {
  const tids = new Map<string, number>();
  const sequences = new Map<
    number,
    { track: string; names: Map<string, string>; open: unknown[][] }
  >();
  const calls: unknown[][] = [];
  for (const packet of list) {
    const id = packet.trusted_packet_sequence_id;
    expect(id).toBeGreaterThan(0);
    const { track_descriptor: track, trace_packet_defaults: defaults, track_event: event } = packet;
    if (track?.thread !== undefined) tids.set(track.uuid, track.thread.tid);
    if (defaults !== undefined) {
      expect(packet.sequence_flags).toBe(1);
      const own = defaults.track_event_defaults.track_uuid;
      sequences.set(id, { track: own, names: new Map(), open: [] });
    }
    const sequence = sequences.get(id);
    for (const { iid, name } of packet.interned_data?.event_names ?? []) {
      expect(sequence?.names.has(iid)).toBe(false);
      sequence?.names.set(iid, name);
    }
    if (event === undefined || sequence === undefined) continue;
    expect(packet.sequence_flags).toBe(2);
    const { timestamp = "" } = packet;
    if (event.type === "TYPE_SLICE_BEGIN") {
      const name = sequence.names.get(event.name_iid ?? "");
      sequence.open.push([tids.get(sequence.track), name, timestamp]);
    } else if (event.type === "TYPE_SLICE_END") {
      const how = event.debug_annotations?.[0]?.string_value;
      calls.push([...(sequence.open.pop() ?? []), timestamp, how]);
    }
  }
  for (const { open } of sequences.values()) expect(open).toEqual([]);
  return calls;
}

const names = ["main", "work", "gr\u00fcn", "log"];
const functions = names.map((name, site) => functionNamed(site, name, { file: "a.c", line: 3 }));
/** The wall clock of the builder's traces when their ticks are 0. */
const wall = 1_700_000_000_000_000_000n;

describe("the Perfetto export", () => {
  it("has every call as a slice on its thread's track, with its name and wall-clock times", () => {
    const threads = fc.array(moves(60), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(threads, (lists) => {
        const histories = lists.map((list, i) => historyOf(list, 1000 + i));
        const trace = traceOf(
          histories.map(({ events }, i) => ({ tid: 5 + i, packets: packetsOf(events, [9]) })),
          functions,
        );
        const expected = histories.flatMap(({ events, calls }, i) =>
          calls.map((call) => [
            5 + i,
            names[call.site],
            String(wall + BigInt(call.start)),
            String(wall + BigInt(call.end ?? events.at(-1)?.time ?? 0)),
            call.end === undefined ? "open" : call.isUnwound ? "unwound" : undefined,
          ]),
        );
        const sorted = (rows: unknown[][]): string[] =>
          rows.map((row) => JSON.stringify(row)).sort();
        expect(sorted(callsOf(packets(trace)))).toEqual(sorted(expected));
      }),
    );
  });

  it("names the process and its threads, says the clock, and counts what was lost", () => {
    const entry = { kind: eventKind.entry, time: 5, site: 0 };
    const lost = { lost: { entries: 1, exits: 3, all: 4 }, place: 1 } as const;
    const trace = traceOf(
      [
        { tid: 5, name: "worker", packets: [packetOf([entry]), packetOf([entry], lost)] },
        { tid: 6, name: "", packets: [packetOf([{ ...entry, site: 1 }])] },
      ],
      [functionNamed(0, "f"), functionNamed(1, "g", { entriesOnly: true })],
    );
    const list = packets(trace);
    const tracks = list.flatMap((packet) => packet.track_descriptor ?? []);
    expect(tracks).toMatchObject([
      { process: { pid: 100, cmdline: ["./program", "--with", "arguments"] } },
      { thread: { tid: 5, thread_name: "worker" } },
      { name: "lost events" },
      { thread: { tid: 6 } },
      { name: "lost events" },
    ]);
    expect(new Set(tracks.map((track) => track.uuid)).size).toBe(5);
    expect(tracks[2]?.parent_uuid).toBe(tracks[1]?.uuid);
    expect(list[0]?.clock_snapshot?.clocks).toEqual([
      { clock_id: 1, timestamp: String(wall + 5n) },
      { clock_id: 6, timestamp: String(wall + 5n) },
    ]);
    const events = list.flatMap((packet) => packet.track_event ?? []);
    expect(events.filter((event) => event.type === "TYPE_COUNTER")).toMatchObject([
      { track_uuid: tracks[2]?.uuid, counter_value: "4" },
    ]);
    expect(events.filter((event) => event.type === "TYPE_INSTANT")).toHaveLength(1);
  });

  it("has a track for each process, and a flow from a program to the one that it became", () => {
    const call = (time: number, site: number) =>
      packetOf([
        { kind: eventKind.entry, time, site },
        { kind: eventKind.exit, time: time + 3, site },
      ]);
    const { session, ...rest } = traceOf(
      [
        { tid: 100, packets: [call(5, 0)] },
        { tid: 7, pid: 7, packets: [call(20, 0)] },
        { tid: 100, image: 1, packets: [call(30, 0)] },
      ],
      [functionNamed(0, "f"), functionNamed(0, "g", { image: 1 })],
    );
    const images = [{ pid: 100, command: ["./other"], modules: [] }];
    const list = packets({ ...rest, session: { ...session, images } });
    const tracks = list.flatMap((packet) => packet.track_descriptor ?? []);
    const [own, child] = tracks.filter((track) => track.process !== undefined);
    expect([own?.process, child?.process]).toMatchObject([
      { pid: 100, cmdline: ["./other"] },
      { pid: 7, cmdline: ["./program", "--with", "arguments"] },
    ]);
    const threads = tracks.filter((track) => track.thread !== undefined);
    expect(threads.map((track) => track.parent_uuid)).toEqual([own?.uuid, child?.uuid, own?.uuid]);
    expect(new Set(tracks.map((track) => track.uuid)).size).toBe(tracks.length);
    const marks = list.filter(({ track_event: event }) => event?.type === "TYPE_INSTANT");
    expect(marks).toMatchObject([
      { timestamp: String(wall + 8n), track_event: { flow_ids: ["1"] } },
      { timestamp: String(wall + 30n), track_event: { terminating_flow_ids: ["1"] } },
    ]);
    expect(marks.map((mark) => mark.trusted_packet_sequence_id)).toEqual([2, 4]);
    const names = list.flatMap((packet) => packet.interned_data?.event_names ?? []);
    expect(names.map(({ name }) => name)).toEqual(["f", "f", "g"]);
  });

  it("has a flow from a fork, within the call that forks, to the child's first slice", () => {
    const call = (from: number, to: number, site: number) => [
      { kind: eventKind.entry, time: from, site },
      { kind: eventKind.exit, time: to, site },
    ];
    const trace = traceOf(
      [
        { tid: 100, packets: [packetOf(call(5, 50, 0))] },
        { tid: 7, pid: 7, packets: [packetOf([...call(20, 25, 1), ...call(30, 35, 0)])] },
        { tid: 8, pid: 8, packets: [packetOf(call(40, 45, 0))] },
      ],
      [functionNamed(0, "f"), functionNamed(1, "g")],
    );
    const forks = [{ pid: 7, parent: 100, thread: 100, ticks: 15n }, { pid: 8 }];
    expect(flowsOf(packets({ ...trace, forks }))).toEqual([
      {
        from: { tid: 100, name: "fork", around: ["f"], ns: wall + 15n, notes: { child: "7" } },
        to: { tid: 7, name: "g", around: [], ns: wall + 20n, notes: {} },
      },
    ]);
  });
});
