/**
 * Packets of the GDB remote serial protocol (GDB manual, appendix E.1): `$payload#checksum`, with
 * `}` in front of bytes that have a meaning of their own, `*` for runs, and `+` or `-` for each
 * packet as long as both ends acknowledge. Bytes in, bytes out.
 */

const dollar = 0x24;
const hash = 0x23;
const escapeByte = 0x7d;
const star = 0x2a;
const percent = 0x25;
const plus = 0x2b;
const minus = 0x2d;
/** A run's count is a printable character, this much above the number of repetitions. */
const runBias = 29;
const escapeBit = 0x20;

/** Bytes that stand for themselves nowhere in a packet. */
const reserved: ReadonlySet<number> = new Set([dollar, hash, escapeByte, star]);

/** What comes from the other end. */
export type Incoming =
  | { readonly kind: "packet"; readonly payload: Uint8Array }
  /** `%...`: is never acknowledged. */
  | { readonly kind: "notification"; readonly payload: Uint8Array }
  | { readonly kind: "ack" }
  | { readonly kind: "nack" }
  /** A packet whose checksum is another one, or whose payload can't be decoded. */
  | { readonly kind: "damaged" };

const checksumOf = (bytes: Uint8Array): number => {
  let sum = 0;
  for (const byte of bytes) sum = (sum + byte) & 0xff;
  return sum;
};

/** `payload` (borrowed) with an escape in front of reserved bytes. */
export function escapeBinary(payload: Uint8Array): Uint8Array {
  const out: number[] = [];
  for (const byte of payload) {
    if (reserved.has(byte)) out.push(escapeByte, byte ^ escapeBit);
    else out.push(byte);
  }
  return Uint8Array.from(out);
}

const digits = "0123456789abcdef";
const digitAt = (value: number): number => digits.charCodeAt(value & 15);

/** A whole packet around `content`, whose binary parts are escaped already. */
export function encodePacket(content: Uint8Array): Uint8Array {
  const packet = new Uint8Array(content.length + 4);
  packet[0] = dollar;
  packet.set(content, 1);
  const sum = checksumOf(content);
  packet.set([hash, digitAt(sum >> 4), digitAt(sum)], content.length + 1);
  return packet;
}

/** What `content`, as it was between `$` and `#`, means; undefined where it is damaged. */
export function decodePayload(content: Uint8Array): Uint8Array | undefined {
  const out: number[] = [];
  for (let at = 0; at < content.length; at++) {
    const byte = content[at] ?? 0;
    const next = content[at + 1];
    if (byte === escapeByte) {
      if (next === undefined) return undefined;
      out.push(next ^ escapeBit);
      at++;
    } else if (byte === star) {
      const last = out.at(-1);
      if (last === undefined || next === undefined || next < runBias) return undefined;
      for (let count = next - runBias; count > 0; count--) out.push(last);
      at++;
    } else out.push(byte);
  }
  return Uint8Array.from(out);
}

const hexDigit = (byte: number | undefined): number =>
  byte === undefined ? -1 : digits.indexOf(String.fromCharCode(byte).toLowerCase());

/** Cuts a stream of bytes into what it consists of, however it comes in pieces. */
export class PacketReader {
  #pending: Uint8Array = new Uint8Array(0);

  /** What has become whole with `bytes` (borrowed). */
  push(bytes: Uint8Array): readonly Incoming[] {
    const joined = new Uint8Array(this.#pending.length + bytes.length);
    joined.set(this.#pending);
    joined.set(bytes, this.#pending.length);
    const found: Incoming[] = [];
    let at = 0;
    while (at < joined.length) {
      const byte = joined[at];
      if (byte === plus || byte === minus) {
        found.push({ kind: byte === plus ? "ack" : "nack" });
        at++;
      } else if (byte === dollar || byte === percent) {
        const end = joined.indexOf(hash, at);
        if (end < 0 || end + 2 >= joined.length) break;
        found.push(readPacket(joined, at, end));
        at = end + 3;
      } else at++; // Noise between packets means nothing.
    }
    this.#pending = joined.slice(at);
    return found;
  }
}

function readPacket(bytes: Uint8Array, start: number, end: number): Incoming {
  const content = bytes.subarray(start + 1, end);
  const high = hexDigit(bytes[end + 1]);
  const low = hexDigit(bytes[end + 2]);
  const payload = decodePayload(content);
  if (high < 0 || low < 0 || high * 16 + low !== checksumOf(content) || payload === undefined) {
    return { kind: "damaged" };
  }
  return { kind: bytes[start] === dollar ? "packet" : "notification", payload };
}

/** Bytes as the hexadecimal text that most packets carry. */
export const toHex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Bytes of hexadecimal text; undefined where it is none. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) return undefined;
  return Uint8Array.from({ length: text.length / 2 }, (_, index) =>
    Number.parseInt(text.slice(index * 2, index * 2 + 2), 16),
  );
}

/** Bytes as text of the same length, and back. */
export const toLatin1 = (bytes: Uint8Array): string => {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
};
export const fromLatin1 = (text: string): Uint8Array =>
  Uint8Array.from(text, (character) => character.charCodeAt(0) & 0xff);
