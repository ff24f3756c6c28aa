/**
 * An independent reader of protocol buffers with Perfetto's schema: the fields below are those of
 * protos/perfetto/trace/*.proto with the same names and numbers.
 */
import protobuf from "protobufjs";
import { expect } from "vitest";

const schema = `
syntax = "proto2";
package perfetto.protos;
message Trace { repeated TracePacket packet = 1; }
message TracePacket {
  optional uint64 timestamp = 8;
  optional uint32 trusted_packet_sequence_id = 10;
  optional uint32 sequence_flags = 13;
  optional uint32 timestamp_clock_id = 58;
  optional ClockSnapshot clock_snapshot = 6;
  optional TrackEvent track_event = 11;
  optional InternedData interned_data = 12;
  optional TracePacketDefaults trace_packet_defaults = 59;
  optional TrackDescriptor track_descriptor = 60;
}
message ClockSnapshot {
  message Clock { optional uint32 clock_id = 1; optional uint64 timestamp = 2; }
  repeated Clock clocks = 1;
}
message TracePacketDefaults { optional TrackEventDefaults track_event_defaults = 11; }
message TrackEventDefaults { optional uint64 track_uuid = 11; }
message InternedData {
  repeated EventName event_names = 2;
  repeated SourceLocation source_locations = 4;
}
message EventName { optional uint64 iid = 1; optional string name = 2; }
message SourceLocation {
  optional uint64 iid = 1;
  optional string file_name = 2;
  optional string function_name = 3;
  optional uint32 line_number = 4;
}
message TrackEvent {
  enum Type {
    TYPE_UNSPECIFIED = 0;
    TYPE_SLICE_BEGIN = 1;
    TYPE_SLICE_END = 2;
    TYPE_INSTANT = 3;
    TYPE_COUNTER = 4;
  }
  repeated DebugAnnotation debug_annotations = 4;
  optional Type type = 9;
  optional uint64 name_iid = 10;
  optional uint64 track_uuid = 11;
  optional string name = 23;
  optional int64 counter_value = 30;
  optional uint64 source_location_iid = 34;
  repeated fixed64 flow_ids = 47;
  repeated fixed64 terminating_flow_ids = 48;
}
message DebugAnnotation { optional string string_value = 6; optional string name = 10; }
message TrackDescriptor {
  optional uint64 uuid = 1;
  optional string name = 2;
  optional ProcessDescriptor process = 3;
  optional ThreadDescriptor thread = 4;
  optional uint64 parent_uuid = 5;
  optional CounterDescriptor counter = 8;
}
message ProcessDescriptor {
  optional int32 pid = 1;
  repeated string cmdline = 2;
  optional string process_name = 6;
}
message ThreadDescriptor {
  optional int32 pid = 1;
  optional int32 tid = 2;
  optional string thread_name = 5;
}
message CounterDescriptor { optional int64 unit_multiplier = 4; }
`;

const traceType: protobuf.Type = protobuf
  .parse(schema, { keepCase: true })
  .root.lookupType("perfetto.protos.Trace");

/** What a packet says. */
export type Packet = {
  readonly timestamp?: string;
  readonly trusted_packet_sequence_id: number;
  readonly sequence_flags?: number;
  readonly clock_snapshot?: { readonly clocks: readonly { clock_id: number; timestamp: string }[] };
  readonly track_event?: {
    readonly type: string;
    readonly name_iid?: string;
    readonly track_uuid?: string;
    readonly counter_value?: string;
    readonly name?: string;
    readonly flow_ids?: readonly string[];
    readonly terminating_flow_ids?: readonly string[];
    readonly debug_annotations?: readonly {
      readonly name: string;
      readonly string_value: string;
    }[];
  };
  readonly interned_data?: { readonly event_names: readonly { iid: string; name: string }[] };
  readonly trace_packet_defaults?: { readonly track_event_defaults: { track_uuid: string } };
  readonly track_descriptor?: {
    readonly uuid: string;
    readonly name?: string;
    readonly parent_uuid?: string;
    readonly process?: { readonly pid: number; readonly cmdline: readonly string[] };
    readonly thread?: { readonly tid: number; readonly thread_name: string };
  };
};

/** The packets of a file; nothing but known fields may be in it. */
export function readPackets(bytes: Uint8Array): readonly Packet[] {
  const decoded = traceType.toObject(traceType.decode(bytes), { longs: String, enums: String });
  // Written again, it is as long as it was.
  expect(traceType.encode(traceType.fromObject(decoded)).finish().length).toBe(bytes.length);
  const { packet }: { readonly packet?: readonly Packet[] } = decoded;
  return packet ?? [];
}
