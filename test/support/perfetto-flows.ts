/** The flows of a Perfetto file, as a reader of the format puts them together. */
import type { Packet } from "./perfetto-schema.ts";

/** One end of a flow. */
export type FlowEnd = {
  readonly tid: number | undefined;
  /** The mark or slice that it is at, and the slices around that, outermost first. */
  readonly name: string | undefined;
  readonly around: readonly (string | undefined)[];
  readonly ns: bigint;
  readonly notes: Readonly<Record<string, string>>;
};

export type Flow = { readonly from: FlowEnd | undefined; readonly to: FlowEnd | undefined };

/** All flows, by their ids. Events of a track are taken in the order of their times. */
export function flowsOf(packets: readonly Packet[]): readonly Flow[] {
  const tids = new Map<string, number>();
  const tracks = new Map<number, string>();
  const names = new Map<string, string>();
  const events = new Map<number, Packet[]>();
  for (const packet of packets) {
    const id = packet.trusted_packet_sequence_id;
    const { track_descriptor: track, trace_packet_defaults: defaults } = packet;
    if (track?.thread !== undefined) tids.set(track.uuid, track.thread.tid);
    if (defaults !== undefined) tracks.set(id, defaults.track_event_defaults.track_uuid);
    for (const { iid, name } of packet.interned_data?.event_names ?? []) {
      names.set(`${id} ${iid}`, name);
    }
    if (packet.track_event === undefined) continue;
    events.set(id, [...(events.get(id) ?? []), packet]);
  }
  const froms = new Map<string, FlowEnd>();
  const tos = new Map<string, FlowEnd>();
  for (const [id, list] of events) {
    const open: (string | undefined)[] = [];
    const ns = (packet: Packet): bigint => BigInt(packet.timestamp ?? 0);
    for (const packet of list.toSorted((a, b) => Number(ns(a) - ns(b)))) {
      const { track_event: event } = packet;
      if (event?.type === "TYPE_SLICE_END") open.pop();
      const name = event?.name ?? names.get(`${id} ${event?.name_iid}`);
      const notes = Object.fromEntries(
        (event?.debug_annotations ?? []).map((one) => [one.name, one.string_value]),
      );
      const tid = tids.get(tracks.get(id) ?? "");
      const end = { tid, name, around: [...open], ns: ns(packet), notes };
      for (const flow of event?.flow_ids ?? []) froms.set(flow, end);
      for (const flow of event?.terminating_flow_ids ?? []) tos.set(flow, end);
      if (event?.type === "TYPE_SLICE_BEGIN") open.push(name);
    }
  }
  const ids = new Set([...froms.keys(), ...tos.keys()]);
  return [...ids].map((id) => ({ from: froms.get(id), to: tos.get(id) }));
}
