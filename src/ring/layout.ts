/**
 * The ring that generated code writes and the tracer reads, one per thread, in memory that both
 * map. Single producer (the thread and the signal handlers that interrupt it), single consumer.
 *
 * A producer reads `head`, compares it with `limit`, reads what slot `head` holds, sees that `head`
 * is still the same, puts its event into the slot by `cmpxchg` if that still holds what it did, and
 * commits by `cmpxchg head, head + 1` (no lock prefixes: only signal handlers of the same thread
 * compete). A handler that got in between, and stored its own event there, makes one of the two
 * fail; the event is then made again with a fresh time stamp. A plain store instead of the first
 * `cmpxchg` would put the event over the handler's, which is committed already. So slots below
 * `head` are complete and stay, positions are never skipped, time never goes backwards within a
 * ring, and a handler may leave by siglongjmp.
 *
 * Where the kernel restarts what a signal interrupts (`codegen/x86-64/restartable.ts`), a producer
 * may do without both `cmpxchg`: it begins anew instead.
 *
 * `limit` is written by the consumer alone: `tail + capacity` when full rings drop, the largest
 * value when full rings overwrite, 0 when recording is paused. A producer that finds `head >=
 * limit` counts the event in `lostEntries` or `lostExits`, so seen + lost = calls made.
 */

/** Byte offsets in a ring's header; every field is a u64 unless noted. */
export const ringHeader = {
  /** Events committed since the ring was made; written by the producer. */
  head: 0,
  /** Entries that found no room; written by the producer. */
  lostEntries: 8,
  /** Exits that found no room; written by the producer. */
  lostExits: 16,
  /** Thread id (u32) of the producer; 0 while the ring belongs to nobody. */
  tid: 24,
  /** Process id (u32) of a forked child that the producer belongs to; 0 for the target's own. */
  process: 28,
  /** Kept by the producer: calls until the next one that is a sample, and its random state. */
  sampleCredit: 136,
  sampleState: 144,
  /** Stack pointer of who is writing a long event; 0: nobody. */
  longWriter: 152,
  /** Address of the innermost frame whose entry is held back; 0: none. Then who writes such. */
  held: 160,
  heldWriter: 168,
  /** Whole calls that were not recorded, entry and exit; written by the producer. */
  lostCalls: 176,
  /**
   * In a forked child: when it was forked, by the time stamp counter, and by which thread (u32) of
   * its parent; 0 where that is not known. Written by the producer before its first event.
   */
  forkTime: 184,
  forkThread: 192,
  /** Position that the producer must not reach; written by the consumer, on its own cache line. */
  limit: 64,
} as const;

/** Bytes before the first slot: a page, so that slots can be mapped by themselves. */
export const ringHeaderBytes = 4096;
/** Bytes in one slot. */
export const eventBytes = 8;

/**
 * A plain event is one little-endian u64: kind in bits 0-1, the low 38 bits of the clock in bits
 * 2-39, the site's id in bits 40-63. The order is CTF's packing of `id`, `timestamp` and payload,
 * so that a ring's slots are a CTF packet's events without a conversion.
 */
export const eventKind = {
  entry: 0,
  exit: 1,
  /**
   * The function was left by an exception or a longjmp, not by its return. With `aloneBit` in its
   * site: it was entered, and nothing will be heard of its end.
   */
  unwound: 2,
  /** The next slots carry values; see `docs/trace-format.md`. */
  long: 3,
} as const;
export type EventKind = (typeof eventKind)[keyof typeof eventKind];

export const kindBits = 2;
export const timeBits = 38;
export const siteBits = 24;
export const timeShift: number = kindBits;
export const siteShift: number = kindBits + timeBits;
/** Sites in one session at the most. */
export const siteCountMax: number = 2 ** (siteBits - 1);
/** Added to the site of an `unwound` event. */
export const aloneBit: number = siteCountMax;
