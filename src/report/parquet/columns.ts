/**
 * Columns of a Parquet file while a group of rows is put together: numbers go into typed arrays and
 * from there to disk as they are (PLAIN). Text whose values are few is kept once, in a dictionary
 * of the group.
 */
import { assert } from "../../base/assert.ts";
import { ByteWriter, utf8 } from "../byte-writer.ts";

/** Physical types (parquet-format/src/main/thrift/parquet.thrift). */
export const physicalType = { int32: 1, int64: 2, byteArray: 6 } as const;
/** Encodings; runs of equal values and packed bits are one, RLE. */
export const encoding = { plain: 0, rle: 3, dictionary: 8 } as const;

/** What one group of rows has of a column. */
export type ColumnChunk = {
  /** A page of its own with the values that the other page has indices of. */
  readonly dictionary: { readonly count: number; readonly bytes: Uint8Array } | undefined;
  /** The page's content: which rows have a value, if not all do, and the values. */
  readonly parts: readonly Uint8Array[];
  readonly encoding: number;
};

/** A column; rows are added one by one, all columns have as many of them. */
export type Column = {
  readonly type: number;
  readonly isText: boolean;
  /** Rows may be without a value. */
  readonly isOptional: boolean;
  /** What was added since it was last asked, `rows` rows; valid until the next one is added. */
  take(rows: number): ColumnChunk;
};

/** Whole numbers below 2^31. */
export class Int32Column implements Column {
  readonly type: number = physicalType.int32;
  readonly isText: boolean = false;
  readonly isOptional: boolean = false;
  readonly #values: Int32Array;
  #count = 0;

  /** @param rows of a group, at the most; also of the others. */
  constructor(rows: number) {
    this.#values = new Int32Array(rows);
  }

  add(value: number): void {
    this.#values[this.#count++] = value;
  }

  take(): ColumnChunk {
    const bytes = new Uint8Array(this.#values.buffer, 0, this.#count * 4);
    this.#count = 0;
    return { dictionary: undefined, parts: [bytes], encoding: encoding.plain };
  }
}

const highUnit = 2 ** 32;

/** Whole numbers that are not negative and below 2^53, or nothing. */
export class Int64Column implements Column {
  readonly type: number = physicalType.int64;
  readonly isText: boolean = false;
  readonly isOptional: boolean = true;
  readonly #halves: Uint32Array;
  readonly #presence: Presence;
  #count = 0;

  constructor(rows: number) {
    this.#halves = new Uint32Array(rows * 2);
    this.#presence = new Presence(rows);
  }

  add(value: number): void {
    const at = this.#count++ * 2;
    const high = Math.floor(value / highUnit);
    this.#halves[at] = value - high * highUnit;
    this.#halves[at + 1] = high;
    this.#presence.add(true);
  }

  addNone(): void {
    this.#presence.add(false);
  }

  take(): ColumnChunk {
    const bytes = new Uint8Array(this.#halves.buffer, 0, this.#count * 8);
    this.#count = 0;
    const parts = [this.#presence.take(), bytes];
    return { dictionary: undefined, parts, encoding: encoding.plain };
  }
}

/** Texts of which there are few, or of which most rows have the same; by their number. */
export class ChoiceColumn implements Column {
  readonly type: number = physicalType.byteArray;
  readonly isText: boolean = true;
  readonly isOptional: boolean = false;
  readonly #textOf: (number: number) => string;
  readonly #indices: Uint32Array;
  readonly #indexOf = new Map<number, number>();
  #numbers: number[] = [];
  #count = 0;
  #last = -1;
  #lastIndex = 0;

  /** @param textOf gives the text of a number, asked once a group. */
  constructor(rows: number, textOf: (number: number) => string) {
    this.#indices = new Uint32Array(rows);
    this.#textOf = textOf;
  }

  add(number: number): void {
    if (number !== this.#last) {
      this.#last = number;
      const known = this.#indexOf.get(number);
      this.#lastIndex = known ?? this.#numbers.push(number) - 1;
      if (known === undefined) this.#indexOf.set(number, this.#lastIndex);
    }
    this.#indices[this.#count++] = this.#lastIndex;
  }

  take(): ColumnChunk {
    const words = new ByteWriter();
    for (const number of this.#numbers) writeText(words, utf8(this.#textOf(number)));
    const dictionary = { count: this.#numbers.length, bytes: words.take() };
    const indices = this.#indices.subarray(0, this.#count);
    const parts = encodeIndices(indices, dictionary.count);
    this.#indexOf.clear();
    this.#numbers = [];
    this.#count = 0;
    this.#last = -1;
    return { dictionary, parts, encoding: encoding.dictionary };
  }
}

/** Any text, or nothing. */
export class TextColumn implements Column {
  readonly type: number = physicalType.byteArray;
  readonly isText: boolean = true;
  readonly isOptional: boolean = true;
  readonly #out = new ByteWriter();
  readonly #presence: Presence;

  constructor(rows: number) {
    this.#presence = new Presence(rows);
  }

  add(text: string | undefined): void {
    this.#presence.add(text !== undefined);
    if (text !== undefined) writeText(this.#out, utf8(text));
  }

  take(): ColumnChunk {
    const parts = [this.#presence.take(), this.#out.take()];
    return { dictionary: undefined, parts, encoding: encoding.plain };
  }
}

/** Which rows have a value: "definition levels", a bit a row behind a u32 of their length. */
class Presence {
  readonly #bits: Uint8Array;
  #count = 0;
  #present = 0;

  constructor(rows: number) {
    this.#bits = new Uint8Array((rows + 7) >> 3);
  }

  add(isPresent: boolean): void {
    const at = this.#count++;
    if (!isPresent) return;
    this.#present++;
    this.#bits[at >> 3] = (this.#bits[at >> 3] ?? 0) | (1 << (at & 7));
  }

  take(): Uint8Array {
    const out = new ByteWriter();
    const count = this.#count;
    if (this.#present === count || this.#present === 0) {
      writeRun(out, count, Uint8Array.of(this.#present === 0 ? 0 : 1));
    } else {
      const groups = (count + 7) >> 3;
      out.varint(groups * 2 + 1);
      out.bytes(this.#bits.subarray(0, groups));
    }
    this.#bits.fill(0, 0, (count + 7) >> 3);
    this.#count = 0;
    this.#present = 0;
    const levels = out.take();
    const length = new Uint8Array(new Uint32Array([levels.length]).buffer);
    return Uint8Array.from([...length, ...levels]);
  }
}

/** A run of `count` times the same value. */
function writeRun(out: ByteWriter, count: number, value: Uint8Array): void {
  out.varint(count * 2);
  out.bytes(value);
}

function writeText(out: ByteWriter, bytes: Uint8Array): void {
  out.bytes(new Uint8Array(new Uint32Array([bytes.length]).buffer));
  out.bytes(bytes);
}

/**
 * Indices below `end`, behind a byte that says how many bits each takes: whole bytes, so that
 * packing them is copying them.
 */
function encodeIndices(indices: Uint32Array, end: number): readonly Uint8Array[] {
  const out = new ByteWriter();
  const bits = end <= 0x100 ? 8 : end <= 0x1_0000 ? 16 : 32;
  out.byte(bits);
  if (end <= 1) {
    writeRun(out, indices.length, Uint8Array.of(0));
    return [out.take()];
  }
  const groups = (indices.length + 7) >> 3;
  out.varint(groups * 2 + 1);
  const arrays = { 8: Uint8Array, 16: Uint16Array, 32: Uint32Array } as const;
  const packed = new arrays[bits](groups * 8);
  packed.set(indices);
  assert(packed.byteLength === groups * bits, "groups are of eight");
  return [out.take(), new Uint8Array(packed.buffer)];
}
