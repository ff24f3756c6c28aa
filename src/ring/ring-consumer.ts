/**
 * The tracer's end of a ring: what is there to take, where its losses lie, and giving the room back
 * to the producer. Nothing is done per event, except that rings with long events are walked to find
 * where the last one begins.
 *
 * An event carries 38 bits of its time, the rest is known from when it was taken: a ring that drops
 * is taken from at least every 2^37 ticks (45 s at 3 GHz); one that overwrites is marked as often,
 * and taken from when recording has been paused, or from a copy of it.
 */
import { assert } from "../base/assert.ts";
import { blockSlots, eventTime, fillerSite, fullTime } from "./event.ts";
import {
  eventBytes,
  eventKind,
  kindBits,
  ringHeader,
  ringHeaderBytes,
  siteShift,
} from "./layout.ts";
import { longHeaderSlots } from "./long-event.ts";

/** Where losses lie; the same values as `lossPlace` of a packet has in the trace. */
export const ringLoss = { none: 0, before: 1, after: 2, either: 3, whole: 4 } as const;
export type RingLoss = (typeof ringLoss)[keyof typeof ringLoss];

/** Events taken from a ring, for one packet of the trace. */
export type TakenEvents = {
  /** Whole slots, oldest first: the ring's own memory, valid until `release`. */
  readonly chunks: readonly Uint8Array[];
  /** Their number; those that bring values take several slots. */
  readonly events: number;
  /** Ticks of the first event and of the last one; without events, of the packet before. */
  readonly begin: bigint;
  readonly end: bigint;
  /** Lost since the ring was made, up to here; overwritten events are in `lost` alone. */
  readonly lost: number;
  readonly lostEntries: number;
  readonly lostExits: number;
  readonly lossPlace: RingLoss;
};

export type RingOptions = {
  /** Long events can be in it. */
  readonly hasLong: boolean;
  /** Full, it overwrites its oldest events instead of dropping the new ones. */
  readonly overwrites: boolean;
};

/** Where slots are read: in the ring itself, or in a copy of it. */
type Slots = { readonly words: BigUint64Array; readonly bytes: Uint8Array };

/** A copy of a ring whose producer goes on, with the moment at which it was made. */
type Frozen = { readonly head: number; readonly time: bigint; jumped: boolean };

export class RingConsumer {
  readonly #counters: BigUint64Array;
  readonly #ring: Slots;
  #slots: Slots;
  #frozen: Frozen | undefined;
  readonly #options: RingOptions;
  /** Position (events since the ring was made) up to which everything was taken and given back. */
  #tail: number;
  /** Position up to which `take` handed out and `release` has not given back. */
  #taken: number;
  /** Moments, oldest first: the events before `position` are not younger than `time`. */
  readonly #marks: { readonly position: number; readonly time: bigint }[] = [];
  #overwritten = 0;
  #lostCalls = 0;
  #lostEntries = 0;
  #lostExits = 0;
  #wasFull = false;
  #end = 0n;

  /**
   * @param ring the header page and the slots, memory shared with the producer; borrowed, aligned
   *   to 8 bytes. The number of slots is a power of two.
   */
  constructor(ring: Uint8Array, options: RingOptions) {
    const slotBytes = ring.length - ringHeaderBytes;
    const count = slotBytes / eventBytes;
    assert(Number.isInteger(Math.log2(count)), "a ring has a power of two of slots");
    const at = ring.byteOffset;
    this.#counters = new BigUint64Array(ring.buffer, at, ringHeaderBytes / 8);
    this.#ring = {
      words: new BigUint64Array(ring.buffer, at + ringHeaderBytes, count),
      bytes: ring.subarray(ringHeaderBytes),
    };
    this.#slots = this.#ring;
    this.#options = options;
    this.#tail = 0;
    this.#taken = 0;
  }

  /** Notes how far the ring has come by now, so that older events keep their time. */
  mark(now: () => bigint): void {
    const position = this.#counter(ringHeader.head);
    this.#marks.push({ position, time: now() });
    const oldest = position - this.#slotCount;
    while ((this.#marks[0]?.position ?? position) <= oldest) this.#marks.shift();
  }

  /**
   * From now on until `thaw`, what is taken is what the ring holds at this moment: a copy of what
   * the producer has not overwritten meanwhile. For rings that overwrite.
   */
  freeze(now: () => bigint): void {
    const head = this.#counter(ringHeader.head);
    const bytes = this.#ring.bytes.slice();
    const jumped = this.#skipOverwritten(this.#counter(ringHeader.head));
    this.#slots = { bytes, words: new BigUint64Array(bytes.buffer) };
    this.#frozen = { head: Math.max(head, this.#tail), time: now(), jumped };
  }

  /** Back to the ring itself. */
  thaw(): void {
    this.#slots = this.#ring;
    this.#frozen = undefined;
  }

  /**
   * What came since the last time, up to the next mark if there are any: call it until it gives
   * `undefined`, which says that nothing came and nothing was lost.
   * @param now reads the clock that events are stamped with, all of its bits.
   */
  take(now: () => bigint): TakenEvents | undefined {
    assert(this.#taken === this.#tail, "what was taken before is released first");
    // The losses first: one that is counted after this belongs to the next packet's beginning.
    const lostCalls = this.#counter(ringHeader.lostCalls);
    const lostEntries = this.#counter(ringHeader.lostEntries) + lostCalls;
    const lostExits = this.#counter(ringHeader.lostExits) + lostCalls;
    const frozen = this.#frozen;
    const newest = {
      position: frozen?.head ?? this.#counter(ringHeader.head),
      time: frozen?.time ?? now(),
    };
    const jumped = frozen?.jumped ?? this.#skipOverwritten(newest.position);
    if (frozen !== undefined) frozen.jumped = false;
    while ((this.#marks[0]?.position ?? newest.position) <= this.#tail) {
      if (this.#marks.shift() === undefined) break;
    }
    const { position: head, time } = this.#marks[0] ?? newest;
    const count = head - this.#tail;
    const newLosses = lostEntries + lostExits - this.#lostEntries - this.#lostExits;
    if (count === 0 && newLosses === 0 && !jumped) return undefined;
    const full = count === this.#slotCount;
    const newCalls = lostCalls - this.#lostCalls;
    const isWhole = newLosses > 0 && newLosses === 2 * newCalls;
    const placed = isWhole ? ringLoss.whole : this.#place(newLosses, full);
    const place = jumped ? ringLoss.before : placed;
    this.#wasFull = full;
    this.#lostCalls = lostCalls;
    this.#lostEntries = lostEntries;
    this.#lostExits = lostExits;
    const begin = count === 0 ? this.#end : this.#timeAt(this.#tail, time);
    const { last, events } = this.#walk(head);
    if (count > 0) this.#end = this.#timeAt(last, time);
    this.#taken = head;
    return {
      chunks: this.#chunks(head),
      events,
      begin,
      end: this.#end,
      lost: lostEntries + lostExits + this.#overwritten,
      lostEntries,
      lostExits,
      lossPlace: place,
    };
  }

  /** Gives the room of what was taken back to the producer. */
  release(): void {
    this.#tail = this.#taken;
    if (this.#options.overwrites) return;
    Atomics.store(
      this.#counters,
      ringHeader.limit / 8,
      BigInt(this.#tail) + BigInt(this.#slotCount),
    );
  }

  #counter(offset: number): number {
    return Number(Atomics.load(this.#counters, offset / 8));
  }

  /** Where the producer has gone around: begins at the oldest event that is whole. */
  #skipOverwritten(head: number): boolean {
    // A producer that recording's pause has caught may still be writing slot `head`.
    const oldest = head - this.#slotCount + (this.#options.overwrites ? 1 : 0);
    if (oldest <= this.#tail) return false;
    const start = this.#options.hasLong ? Math.ceil(oldest / blockSlots) * blockSlots : oldest;
    this.#overwritten += start - this.#tail;
    this.#tail = start;
    this.#taken = start;
    return true;
  }

  /**
   * A ring that drops loses events only while it is full, so at a position where the room ended:
   * at the end of this packet if the ring is full now, at its beginning if it was full before.
   */
  #place(newLosses: number, full: boolean): RingLoss {
    if (newLosses === 0) return ringLoss.none;
    if (full === this.#wasFull) return ringLoss.either;
    return full ? ringLoss.after : ringLoss.before;
  }

  get #slotCount(): number {
    return this.#ring.words.length;
  }

  #slot(position: number): bigint {
    return this.#slots.words[position & (this.#slotCount - 1)] ?? 0n;
  }

  #timeAt(position: number, now: bigint): bigint {
    return fullTime(eventTime(this.#slot(position)), now);
  }

  /** Position of the last event before `head`, and how many there are up to it. */
  #walk(head: number): { readonly last: number; readonly events: number } {
    if (!this.#options.hasLong) return { last: head - 1, events: head - this.#tail };
    let last = this.#tail;
    let events = 0;
    for (let at = this.#tail; at < head; at += this.#slotsOf(at)) {
      last = at;
      if (!this.#isFiller(at)) events++;
    }
    return { last, events };
  }

  #isFiller(position: number): boolean {
    const slot = this.#slot(position);
    const isUnwound = Number(BigInt.asUintN(kindBits, slot)) === eventKind.unwound;
    return isUnwound && Number(slot >> BigInt(siteShift)) === fillerSite;
  }

  #slotsOf(position: number): number {
    const kind = Number(BigInt.asUintN(kindBits, this.#slot(position)));
    if (kind !== eventKind.long) return 1;
    return longHeaderSlots + Number(BigInt.asUintN(16, this.#slot(position + 1) >> 16n));
  }

  #chunks(head: number): readonly Uint8Array[] {
    const mask = this.#slotCount - 1;
    const { bytes } = this.#slots;
    const count = head - this.#tail;
    if (count === 0) return [];
    const from = (this.#tail & mask) * eventBytes;
    const first = bytes.subarray(from, from + count * eventBytes);
    const rest = count * eventBytes - first.length;
    return rest === 0 ? [first] : [first, bytes.subarray(0, rest)];
  }
}
