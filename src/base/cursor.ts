/**
 * The one little-endian reader for files and memory images: bounds-checked, and able to say where
 * it stood and what it was reading when the bytes ran out.
 */

/** The bytes ended, or a value stands where it can't; `offset` counts from the cursor's base. */
export class FormatError extends Error {
  readonly offset: number;
  readonly what: string;

  constructor(what: string, offset: number, problem: string) {
    super(`at 0x${offset.toString(16)} in ${what}: ${problem}`);
    this.name = "FormatError";
    this.offset = offset;
    this.what = what;
  }
}

export class Cursor {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #what: string;
  readonly #base: number;
  #at: number;

  /**
   * Reads from `bytes` (borrowed, never written).
   * @param what names the thing in errors: "section header 7 of /bin/ls".
   * @param base offset of `bytes[0]` in the whole file, for errors.
   */
  constructor(bytes: Uint8Array, what: string, base = 0) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
    this.#base = base;
    this.#at = 0;
  }

  /** Bytes from the beginning of the borrowed buffer. */
  get offset(): number {
    return this.#at;
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  get atEnd(): boolean {
    return this.remaining <= 0;
  }

  fail(problem: string): never {
    throw new FormatError(this.#what, this.#base + this.#at, problem);
  }

  /** Moves to `offset` from the beginning of the borrowed buffer. */
  seek(offset: number): this {
    if (!Number.isSafeInteger(offset) || offset < 0 || offset > this.#bytes.length) {
      this.fail(`offset ${offset} is outside of ${this.#bytes.length} bytes`);
    }
    this.#at = offset;
    return this;
  }

  skip(count: number): this {
    this.#take(count);
    return this;
  }

  #take(count: number): number {
    if (!Number.isSafeInteger(count) || count < 0 || count > this.remaining) {
      this.fail(`${count} bytes wanted, ${this.remaining} left`);
    }
    const at = this.#at;
    this.#at += count;
    return at;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }
  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }
  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }
  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }
  i8(): number {
    return this.#view.getInt8(this.#take(1));
  }
  i16(): number {
    return this.#view.getInt16(this.#take(2), true);
  }
  i32(): number {
    return this.#view.getInt32(this.#take(4), true);
  }
  i64(): bigint {
    return this.#view.getBigInt64(this.#take(8), true);
  }

  /** A u64 that has to fit a JavaScript number: file offsets, counts, sizes. */
  size(): number {
    const at = this.#at;
    const value = this.u64();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
      this.#at = at;
      this.fail(`${value} is too large for a size`);
    }
    return Number(value);
  }

  /** A view of the next `count` bytes; it shares the borrowed buffer. */
  bytes(count: number): Uint8Array {
    const at = this.#take(count);
    return this.#bytes.subarray(at, at + count);
  }

  /** Text up to a zero byte, which is consumed. */
  cstring(): string {
    const end = this.#bytes.indexOf(0, this.#at);
    if (end < 0) this.fail("text without its end");
    const text = new TextDecoder().decode(this.#bytes.subarray(this.#at, end));
    this.#at = end + 1;
    return text;
  }

  /** Unsigned LEB128 (DWARF 5, section 7.6). */
  uleb(): bigint {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << shift;
      if ((byte & 0x80) === 0) return value;
    }
  }

  /** Signed LEB128 (DWARF 5, section 7.6). */
  sleb(): bigint {
    let value = 0n;
    let shift = 0n;
    for (;;) {
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << shift;
      shift += 7n;
      if ((byte & 0x80) === 0) return (byte & 0x40) === 0 ? value : value - (1n << shift);
    }
  }
}
