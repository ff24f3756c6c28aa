/**
 * Writing protocol buffers (https://protobuf.dev/programming-guides/encoding): the part of the wire
 * format that is needed here. Messages inside of messages are put together on their own, because
 * their length stands before them.
 */
import { ByteWriter, utf8 } from "./byte-writer.ts";

const wireVarint = 0;
const wireFixed64 = 1;
const wireBytes = 2;

export class Message {
  readonly #out = new ByteWriter();
  #inner: Message | undefined;

  get length(): number {
    return this.#out.length;
  }

  /** Appends what was written to `out`. */
  writeTo(out: ByteWriter): void {
    out.append(this.#out);
  }

  clear(): void {
    this.#out.clear();
  }

  /** A field that is a whole number, not negative and below 2^53. */
  number(field: number, value: number): void {
    this.#out.varint(field * 8 + wireVarint);
    this.#out.varint(value);
  }

  /** A field that is `high` * 2^28 + `low`, below 2^64. */
  long(field: number, high: number, low: number): void {
    this.#out.varint(field * 8 + wireVarint);
    this.#out.longVarint(high, low);
  }

  /** A field of 8 bytes: a whole number, not negative and below 2^32. */
  fixed64(field: number, value: number): void {
    this.#out.varint(field * 8 + wireFixed64);
    for (let shift = 0; shift < 32; shift += 8) this.#out.byte((value >>> shift) & 0xff);
    for (let index = 0; index < 4; index++) this.#out.byte(0);
  }

  text(field: number, text: string): void {
    this.bytes(field, utf8(text));
  }

  bytes(field: number, bytes: Uint8Array): void {
    this.#out.varint(field * 8 + wireBytes);
    this.#out.varint(bytes.length);
    this.#out.bytes(bytes);
  }

  /** A message in this one, which `write` puts together. */
  message(field: number, write: (inner: Message) => void): void {
    this.#inner ??= new Message();
    const inner = this.#inner;
    inner.clear();
    write(inner);
    this.nested(field, inner);
  }

  /** A message that was put together before. */
  nested(field: number, inner: Message): void {
    this.#out.varint(field * 8 + wireBytes);
    this.#out.varint(inner.length);
    inner.writeTo(this.#out);
  }
}
