/**
 * The head of a packet in a stream file: CTF's packet header and packet context, of constant size,
 * followed by events just as they stood in the ring (CTF 1.8.3, sections 5 and 6; the field names
 * that CTF gives a meaning are from section 5.2). `trace/metadata.ts` describes the same to other
 * tools; the two are held together by reading traces with babeltrace2.
 *
 *      0  u32  magic            24  u64  timestamp_begin     72  u64  lost_entries
 *      4  u8   uuid[16]         32  u64  timestamp_end       80  u64  lost_exits
 *     20  u32  stream_id        40  u64  content_size, bits  88  u32  tid
 *                               48  u64  packet_size, bits   92  u32  pid
 *                               56  u64  packet_seq_num      96  u8   loss_place
 *                               64  u64  events_discarded    97  u8   thread_name[15]
 */
import { assert } from "../base/assert.ts";
import { err, ok, type Result } from "../base/result.ts";
import { eventBytes } from "../ring/layout.ts";

/** Bytes before a packet's first event; a multiple of `eventBytes`. */
export const packetHeaderBytes = 112;
export const packetMagic = 0xc1fc1fc1;

/** Bytes of a thread's name that fit; Linux' own limit (TASK_COMM_LEN without the zero). */
export const threadNameBytes = 15;

/** Where the events were lost that a packet counts and the one before it did not. */
export const lossPlace = {
  /** None were. */
  none: 0,
  /** Between the packet before and this one's first event. */
  before: 1,
  /** After this one's last event. */
  after: 2,
  /** Some before, some after, it isn't known how many. */
  either: 3,
  /** Anywhere, but only whole calls, entries with their exits: no other call is affected. */
  whole: 4,
} as const;
export type LossPlace = (typeof lossPlace)[keyof typeof lossPlace];

/** What a packet says of itself. */
export type PacketFields = {
  /** Time of the first event, in ticks; where there is none, when the packet was made. */
  readonly begin: bigint;
  /** Up to here the thread was watched, in ticks: the time of the last event or later. */
  readonly end: bigint;
  /** Bytes of events that follow the head: 8 per slot. */
  readonly payloadBytes: number;
  /** Counts the stream's packets from 0. */
  readonly sequence: number;
  /** Events lost in this stream from its beginning to this packet's end, of all kinds. */
  readonly lost: number;
  /** Those of them that are known to be entries ... */
  readonly lostEntries: number;
  /** ... and those known to be exits. Events that were overwritten are in `lost` only. */
  readonly lostExits: number;
  readonly lossPlace: LossPlace;
  readonly tid: number;
  readonly pid: number;
  /**
   * Which of the programs that were followed its sites are sites of; CTF's stream_id.
   */
  readonly image: number;
  /** Cut to `threadNameBytes` bytes of UTF-8. */
  readonly threadName: string;
};

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * The head of a packet, `packetHeaderBytes` long; the caller owns it.
 * @param uuid the trace's, 16 bytes.
 */
export function encodePacketHeader(uuid: Uint8Array, fields: PacketFields): Uint8Array {
  assert(uuid.length === 16, "a trace's uuid has 16 bytes");
  assert(fields.payloadBytes % eventBytes === 0, "a packet has whole slots");
  const bytes = new Uint8Array(packetHeaderBytes);
  const view = new DataView(bytes.buffer);
  const bits = BigInt((packetHeaderBytes + fields.payloadBytes) * 8);
  view.setUint32(0, packetMagic, true);
  bytes.set(uuid, 4);
  view.setUint32(20, fields.image, true);
  view.setBigUint64(24, fields.begin, true);
  view.setBigUint64(32, fields.end, true);
  view.setBigUint64(40, bits, true);
  view.setBigUint64(48, bits, true);
  view.setBigUint64(56, BigInt(fields.sequence), true);
  view.setBigUint64(64, BigInt(fields.lost), true);
  view.setBigUint64(72, BigInt(fields.lostEntries), true);
  view.setBigUint64(80, BigInt(fields.lostExits), true);
  view.setUint32(88, fields.tid, true);
  view.setUint32(92, fields.pid, true);
  view.setUint8(96, fields.lossPlace);
  encoder.encodeInto(fields.threadName, bytes.subarray(97, 97 + threadNameBytes));
  return bytes;
}

/**
 * Reads the head of a packet at `at` in `bytes` (borrowed), where at least `packetHeaderBytes` are.
 * The error says in a few words why this is no packet of the trace with that `uuid`.
 */
export function decodePacketHeader(
  bytes: Uint8Array,
  at: number,
  uuid: Uint8Array,
): Result<PacketFields, string> {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, packetHeaderBytes);
  if (view.getUint32(0, true) !== packetMagic) return err("no packet begins here");
  if (uuid.some((byte, index) => byte !== bytes[at + 4 + index])) return err("another trace's");
  const content = view.getBigUint64(40, true);
  const whole = view.getBigUint64(48, true);
  const payloadBytes = Number(content) / 8 - packetHeaderBytes;
  const place = lossPlaceOf(view.getUint8(96));
  if (content !== whole || payloadBytes < 0 || payloadBytes % eventBytes !== 0) {
    return err(`a size of ${content} bits of ${whole} is impossible`);
  }
  if (!Number.isSafeInteger(payloadBytes)) return err(`${content} bits are too many`);
  if (place === undefined) return err("its losses are in an unknown place");
  const begin = view.getBigUint64(24, true);
  const end = view.getBigUint64(32, true);
  if (end < begin) return err("it ends before it begins");
  return ok({
    begin,
    end,
    payloadBytes,
    sequence: Number(view.getBigUint64(56, true)),
    lost: Number(view.getBigUint64(64, true)),
    lostEntries: Number(view.getBigUint64(72, true)),
    lostExits: Number(view.getBigUint64(80, true)),
    tid: view.getUint32(88, true),
    pid: view.getUint32(92, true),
    image: view.getUint32(20, true),
    lossPlace: place,
    threadName: text(bytes.subarray(at + 97, at + 97 + threadNameBytes)),
  });
}

const places: readonly LossPlace[] = Object.values(lossPlace);
const lossPlaceOf = (value: number): LossPlace | undefined =>
  places.find((place) => place === value);

function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
}
