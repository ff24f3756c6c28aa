/**
 * What long events bring: return addresses; arguments and results as text, by the types that the
 * event itself states (`ring/long-event.ts`).
 */
import { hex } from "../base/brand.ts";
import {
  longForm,
  signalSlots,
  typesInline,
  typesPerSlot,
  type ValueType,
  valueFlag,
  valueType,
} from "../ring/long-event.ts";
import type { LongPayload } from "./call-stack.ts";

const typeBits = 4;
const decoder = new TextDecoder();

/** The values of `payload`, each as people write it in C; what makes no sense ends the list. */
export function formatValues(payload: LongPayload): string[] {
  if (!Object.values<number>(longForm).includes(payload.form)) return [];
  const slots = valuesOf(payload);
  if (hasStack(payload)) slots.addresses();
  const found: string[] = [];
  for (const type of typesOf(payload, slots)) {
    const text = formatValue(type, slots);
    if (text === undefined) break;
    found.push(text);
  }
  return found;
}

/** The return addresses that `payload` brings, innermost first; undefined where it brings none. */
export const stackOf = (payload: LongPayload): readonly bigint[] | undefined =>
  hasStack(payload) ? valuesOf(payload).addresses() : undefined;

/** A signal that a call is for. */
export type SignalFacts = {
  /** Its number; undefined where it is not certain: the handler has no use for siginfo. */
  readonly number: number | undefined;
  /** Why it came, as siginfo's `si_code` has it; known where the number is. */
  readonly code: number | undefined;
  /** The process that sent it; undefined where none did, or it is not known. */
  readonly sender: number | undefined;
};

const unknownSignal: SignalFacts = { number: undefined, code: undefined, sender: undefined };
/** `si_code` of what processes send: SI_USER, SI_QUEUE, SI_TKILL (asm-generic/siginfo.h). */
const sentCodes: readonly number[] = [0, -1, -6];
const signalMax = 64;

/** The signal that the call is for which comes with `payload`; undefined where it is for none. */
export function signalOf(payload: LongPayload): SignalFacts | undefined {
  if (!hasSignal(payload)) return undefined;
  const slots = new SlotCursor(payload);
  const [first = 0n, signo = 0n, more = 0n] = [slots.next(), slots.next(), slots.next()];
  const number = Number(BigInt.asIntN(32, first));
  const isCertain = first >> 32n === 1n && Number(BigInt.asIntN(32, signo)) === number;
  if (!isCertain || number < 1 || number > signalMax) return unknownSignal;
  const code = Number(BigInt.asIntN(32, more));
  const sender = sentCodes.includes(code) ? Number(more >> 32n) : 0;
  return { number, code, sender: sender > 0 ? sender : undefined };
}

const hasStack = ({ form }: LongPayload): boolean =>
  form === longForm.stack || form === longForm.signalStack;
const hasSignal = ({ form }: LongPayload): boolean =>
  form === longForm.signal || form === longForm.signalStack;

/** The slots behind what is told of a signal. */
function valuesOf(payload: LongPayload): SlotCursor {
  const slots = new SlotCursor(payload);
  if (hasSignal(payload)) for (let i = 0; i < signalSlots; i++) slots.next();
  return slots;
}

/** The types of the values, in order; a slot of 16 more is read from `slots` where one stands. */
function* typesOf(payload: LongPayload, slots: SlotCursor): Generator<ValueType> {
  let types = BigInt(payload.types);
  let count = typesInline;
  for (;;) {
    for (let i = 0; i < count; i++) {
      const type = Number(BigInt.asUintN(typeBits, types >> BigInt(i * typeBits)));
      if (type === valueType.end) return;
      yield type as ValueType;
    }
    const more = slots.next();
    if (more === undefined) return;
    types = more;
    count = typesPerSlot;
  }
}

function formatValue(type: ValueType, slots: SlotCursor): string | undefined {
  const slot = slots.next();
  if (slot === undefined) return undefined;
  const signed = (bits: number): string => String(BigInt.asIntN(bits, slot));
  const unsigned = (bits: number): string => String(BigInt.asUintN(bits, slot));
  switch (type) {
    case valueType.u8:
      return unsigned(8);
    case valueType.u16:
      return unsigned(16);
    case valueType.u32:
      return unsigned(32);
    case valueType.u64:
      return unsigned(64);
    case valueType.i8:
      return signed(8);
    case valueType.i16:
      return signed(16);
    case valueType.i32:
      return signed(32);
    case valueType.i64:
      return signed(64);
    case valueType.pointer:
      return hex(slot);
    case valueType.f32:
    case valueType.f64:
      return formatFloat(slot, type);
    case valueType.bool:
      return (slot & 0xffn) === 0n ? "false" : "true";
    case valueType.char:
      return formatChar(Number(slot & 0xffn));
    case valueType.text:
    case valueType.bytes:
      return formatBytes(slot, type, slots);
    default:
      return undefined;
  }
}

function formatFloat(slot: bigint, type: ValueType): string {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, slot, true);
  if (type === valueType.f64) return String(view.getFloat64(0, true));
  // Seven digits tell any two of them apart at this length of a line.
  return String(Number(view.getFloat32(0, true).toPrecision(7)));
}

const formatChar = (code: number): string => {
  if (code >= 0x20 && code < 0x7f) return `'${String.fromCharCode(code)}'`;
  return `'\\x${code.toString(16).padStart(2, "0")}'`;
};

function formatBytes(head: bigint, type: ValueType, slots: SlotCursor): string | undefined {
  const flags = Number(head >> 32n);
  if ((flags & valueFlag.null) !== 0) return "NULL";
  if ((flags & valueFlag.unreadable) !== 0) return "<unreadable>";
  const bytes = slots.bytes(Number(head & 0xffff_ffffn));
  if (bytes === undefined) return undefined;
  const more = (flags & valueFlag.truncated) === 0 ? "" : "...";
  if (type === valueType.text) return `${JSON.stringify(decoder.decode(bytes))}${more}`;
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0"));
  return `{${digits.join(" ")}${more}}`;
}

/** Slots of a payload, one after the other. */
class SlotCursor {
  readonly #payload: LongPayload;
  #at: number;

  constructor(payload: LongPayload) {
    this.#payload = payload;
    this.#at = payload.from;
  }

  next(): bigint | undefined {
    const { words, to } = this.#payload;
    if (this.#at >= to) return undefined;
    const low = words[this.#at] ?? 0;
    const high = words[this.#at + 1] ?? 0;
    this.#at += 2;
    return BigInt(low) | (BigInt(high) << 32n);
  }

  /** As many as the next slot says, as far as they are there. */
  addresses(): readonly bigint[] {
    const count = Number(this.next() ?? 0n);
    const found: bigint[] = [];
    while (found.length < count) {
      const slot = this.next();
      if (slot === undefined) break;
      found.push(slot);
    }
    return found;
  }

  /** So many bytes, and on to the next whole slot. */
  bytes(count: number): Uint8Array | undefined {
    const { words, to } = this.#payload;
    const end = this.#at + Math.ceil(count / 8) * 2;
    if (end > to) return undefined;
    const bytes = new Uint8Array(words.buffer, words.byteOffset + this.#at * 4, count);
    this.#at = end;
    return bytes;
  }
}
