/**
 * Long events: an event (kind 3) whose next slots carry values. They say how long they are, what
 * they do to the call stack and of which types their values are, so that a reader can use or skip
 * them without knowing the function, and CTF readers print them.
 *
 *     slot 0   like a plain event: kind 3 | time:38 | site:24
 *     slot 1   base:8 | form:8 | words:16 | types:32      words = number of slots that follow
 *     slot 2-  the values
 *
 * All slots of one event are committed by one move of the ring's head.
 */
import { assert } from "../base/assert.ts";
import { encodeEvent } from "./event.ts";
import { eventKind } from "./layout.ts";

/** What the event does to the call stack. */
export const longBase = {
  /** The function is entered. */
  entry: 0,
  /** The function returns. */
  exit: 1,
  /** The function is left by an exception or a longjmp. */
  unwound: 2,
  /** Nothing: the values belong to the next event of the same thread. */
  note: 3,
  /** The function is entered, and its exit will not be recorded. */
  alone: 4,
} as const;
export type LongBase = (typeof longBase)[keyof typeof longBase];

/** What the values are. Readers skip forms that they don't know. */
export const longForm = {
  /** Arguments of an entry, results of an exit; typed by `types`. */
  values: 0,
  /** A slot with a number, so many return addresses, innermost first; then as `values`. */
  stack: 1,
  /**
   * The function was entered for a signal: three slots (`signalSlots`), then as `values`, or as
   * `stack`.
   */
  signal: 2,
  signalStack: 3,
} as const;
export type LongForm = (typeof longForm)[keyof typeof longForm];

/**
 * What is said of a signal: as the handler was entered, and as the kernel's frame has it, which is
 * filled in for handlers that ask for it (SA_SIGINFO) alone.
 *
 *     slot 0   first argument: i32 | 1 if second and third are as the kernel sets them: u32
 *     slot 1   si_signo: i32 | si_errno: i32
 *     slot 2   si_code: i32 | si_pid, or what else is there: u32
 */
export const signalSlots = 3;

/**
 * Types of values, 4 bits each in `types`, the first value's in the lowest bits; 0 ends the list.
 * Before the 9th value and every 16 values after it stands a slot with 16 types more.
 *
 * A value is one slot, of which only the low bits count that its type has; what stands above them
 * is arbitrary, as in a register. Text and bytes are a slot with the number of bytes (low u32) and
 * `valueFlag`s (high u32), followed by the bytes, padded with zeroes to whole slots.
 */
export const valueType = {
  end: 0,
  u8: 1,
  u16: 2,
  u32: 3,
  u64: 4,
  i8: 5,
  i16: 6,
  i32: 7,
  i64: 8,
  pointer: 9,
  f32: 10,
  f64: 11,
  bool: 12,
  char: 13,
  text: 14,
  bytes: 15,
} as const;
export type ValueType = (typeof valueType)[keyof typeof valueType];

export const valueFlag = {
  /** There was more than the event had room for. */
  truncated: 1,
  /** The memory could not be read; no bytes follow. */
  unreadable: 2,
  /** A null pointer; no bytes follow. */
  null: 4,
} as const;

/** Values whose types stand in `types`; the others' stand in slots of their own, 16 in each. */
export const typesInline = 8;
export const typesPerSlot = 16;

export const longHeaderSlots = 2;
export const longWordsMax = 0xffff;

/** The slots of one long event. */
export function encodeLongEvent(event: {
  readonly base: LongBase;
  readonly form: LongForm;
  readonly time: bigint;
  readonly site: number;
  /** Of the first eight values. */
  readonly types: number;
  readonly words: readonly bigint[];
}): bigint[] {
  assert(event.words.length <= longWordsMax, "a long event has at most 65535 words");
  const header =
    BigInt(event.base) |
    (BigInt(event.form) << 8n) |
    (BigInt(event.words.length) << 16n) |
    (BigInt(event.types >>> 0) << 32n);
  return [encodeEvent(eventKind.long, event.time, event.site), header, ...event.words];
}
