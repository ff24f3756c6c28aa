/**
 * Reads a stream file packet by packet through a window of bounded size, and hands out the events
 * in it as u32 halves, where they lie. What is damaged is passed over and said, never thrown: a
 * packet that the file ends in the middle of, bytes that are no packet, packets that are missing.
 */
import { eventBytes, eventKind } from "../ring/layout.ts";
import { longHeaderSlots } from "../ring/long-event.ts";
import { decodePacketHeader, type PacketFields, packetHeaderBytes, packetMagic } from "./packet.ts";
import type { ByteSource } from "./trace.ts";

const windowBytesFirst = 16 << 10;

/** A place in a file that is no packet. */
export type Damage = { readonly offset: number; readonly why: string };

export class PacketReader {
  /** The packet that the present block is in; borrowed until the next block. */
  packet: PacketFields | undefined;
  /** The block's slots are `words[from]` to `words[to - 1]`, two words each, low half first. */
  words: Uint32Array;
  from = 0;
  to = 0;
  /** The block begins its packet. */
  startsPacket = false;
  /** Before this packet some are missing, and nothing says how many events were in them. */
  afterDamage = false;
  /** Bytes at the file's end of a packet that is not whole: recording was cut short there. */
  tornBytes = 0;
  readonly damages: Damage[] = [];

  #isSought = false;
  readonly #source: ByteSource;
  readonly #uuid: Uint8Array;
  readonly #windowBytesMax: number;
  #bytes: Uint8Array;
  /** File offsets of the window's two ends; the first is a multiple of 8. */
  #windowStart = 0;
  #windowEnd = 0;
  /** File offset where the present packet ends. */
  #packetEnd = 0;
  /** File offset where the present block begins, for one that can't be used without more. */
  #blockStart = -1;

  /**
   * @param source borrowed: whoever opened it closes it.
   * @param windowBytesMax how much of the file to hold; more only for a long event that needs it.
   */
  constructor(source: ByteSource, uuid: Uint8Array, windowBytesMax: number = 1 << 20) {
    this.#source = source;
    this.#uuid = uuid;
    this.#windowBytesMax = windowBytesMax;
    this.#bytes = new Uint8Array(Math.min(windowBytesFirst, windowBytesMax));
    this.words = new Uint32Array(this.#bytes.buffer);
  }

  /**
   * Moves on to the next block; false at the end of what there is.
   * @param consumed index in `words` of the first slot that was not used: `to`, or where a long
   *   event begins that goes on behind the block.
   */
  nextBlock(consumed: number): boolean {
    const offset = this.#windowStart + consumed * 4;
    const packetStart = this.#packetEnd;
    if (this.packet !== undefined && offset < packetStart) {
      const isStuck = offset === this.#blockStart;
      const size = isStuck ? this.#bytes.length * 2 : 0;
      if (this.#windowEnd < packetStart) return this.#load(offset, size) && this.#continue(offset);
      this.#damage(offset, "a long event goes beyond its packet");
      this.afterDamage = true;
    } else {
      this.afterDamage = false;
    }
    return this.#openPacket(packetStart);
  }

  /** File offset of the present packet's head, if none of its events have been used. */
  get freshPacket(): number | undefined {
    const bytes = this.packet?.payloadBytes;
    if (bytes === undefined) return undefined;
    const isFresh = this.#windowStart + this.from * 4 === this.#packetEnd - bytes;
    return isFresh ? this.#packetEnd - bytes - packetHeaderBytes : undefined;
  }

  /** Whether the block has its first event in full: a long one can go on behind it. */
  get hasWholeEvent(): boolean {
    const { words, from, to } = this;
    if (from >= to) return false;
    if (((words[from] ?? 0) & 3) !== eventKind.long) return true;
    return from + 2 < to && from + (longHeaderSlots + ((words[from + 2] ?? 0) >>> 16)) * 2 <= to;
  }

  /** The next block is the first one of the packet at `offset`, which is one of this file's. */
  seek(offset: number): void {
    this.#packetEnd = offset;
    this.packet = undefined;
    // Which packet came before is not known: its number is no damage.
    this.#isSought = true;
  }

  /** Moves on to the next packet without looking at what is in this one. */
  nextPacket(): boolean {
    this.afterDamage = false;
    return this.#openPacket(this.#packetEnd);
  }

  /** Gives the window's memory up; nothing can be read any more. */
  release(): void {
    this.#bytes = new Uint8Array(0);
    this.words = new Uint32Array(0);
    this.from = 0;
    this.to = 0;
  }

  #continue(offset: number): boolean {
    this.startsPacket = false;
    this.#block(offset);
    if (this.to > this.from) return true;
    // The file has become shorter than it was when it was opened.
    this.tornBytes += this.#packetEnd - offset;
    return false;
  }

  /** The slots from `offset` on, as far as the window has them. */
  #block(offset: number): void {
    const end = Math.min(this.#packetEnd, this.#windowEnd);
    this.#blockStart = offset;
    this.from = (offset - this.#windowStart) / 4;
    this.to = this.from + Math.floor((end - offset) / eventBytes) * 2;
  }

  #openPacket(start: number): boolean {
    const left = this.#source.sizeBytes - start;
    this.#blockStart = -1;
    if (left < packetHeaderBytes || !this.#has(start, packetHeaderBytes)) {
      this.tornBytes += left;
      return false;
    }
    const found = decodePacketHeader(this.#bytes, start - this.#windowStart, this.#uuid);
    if (!found.ok) {
      this.#damage(start, found.error);
      return this.#resume(start);
    }
    const packet = found.value;
    if (packet.payloadBytes > left - packetHeaderBytes) {
      this.tornBytes += left;
      return false;
    }
    const first = this.#isSought ? packet.sequence : 0;
    const expected = this.packet === undefined ? first : this.packet.sequence + 1;
    if (packet.sequence !== expected && !this.afterDamage) {
      this.#damage(start, `packet ${packet.sequence} stands where ${expected} should`);
      this.afterDamage = true;
    }
    this.packet = packet;
    this.startsPacket = true;
    this.#packetEnd = start + packetHeaderBytes + packet.payloadBytes;
    this.#block(start + packetHeaderBytes);
    return true;
  }

  /** Looks for the next place behind `start` where a packet of this trace begins. */
  #resume(start: number): boolean {
    this.afterDamage = true;
    for (let at = start + 8; this.#has(at, packetHeaderBytes); at += 8) {
      if (this.words[(at - this.#windowStart) / 4] !== packetMagic) continue;
      if (decodePacketHeader(this.#bytes, at - this.#windowStart, this.#uuid).ok) {
        return this.#openPacket(at);
      }
    }
    return false;
  }

  #damage(offset: number, why: string): void {
    this.damages.push({ offset, why });
  }

  /** Whether `bytes` bytes from `offset` on are in the window, after reading them if need be. */
  #has(offset: number, bytes: number): boolean {
    const isThere = offset >= this.#windowStart && offset + bytes <= this.#windowEnd;
    return isThere || (this.#load(offset, 0) && offset + bytes <= this.#windowEnd);
  }

  /** Moves the window to `offset`; it grows as the reading goes on, to `sizeBytes` at the least. */
  #load(offset: number, sizeBytes: number): boolean {
    const size = Math.max(sizeBytes, Math.min(this.#bytes.length * 4, this.#windowBytesMax));
    if (size > this.#bytes.length) {
      this.#bytes = new Uint8Array(size);
      this.words = new Uint32Array(this.#bytes.buffer);
    }
    const limit = Math.min(this.#bytes.length, this.#source.sizeBytes - offset);
    let length = 0;
    while (length < limit) {
      const got = this.#source.read(offset + length, this.#bytes.subarray(length, limit));
      if (got === 0) break;
      length += got;
    }
    this.#windowStart = offset;
    this.#windowEnd = offset + length;
    return length > 0;
  }
}
