/**
 * Bytes that are written piece by piece: text and numbers go straight into a buffer, without a
 * string for each, so that exports keep up with reading.
 */

const encoder = new TextEncoder();
const zero = 0x30;
const firstBytes = 1 << 16;
/** Fewer bytes are copied faster one by one than by a call. */
const loopBytesMax = 64;
/** No number that is written takes more. */
const digitsMax = 20;

export class ByteWriter {
  #bytes: Uint8Array = new Uint8Array(firstBytes);
  #length = 0;
  readonly #digits: Uint8Array = new Uint8Array(digitsMax);

  get length(): number {
    return this.#length;
  }

  /** What was written since it was last asked; the caller owns it. */
  take(): Uint8Array {
    const bytes = this.#bytes.slice(0, this.#length);
    this.#length = 0;
    return bytes;
  }

  clear(): void {
    this.#length = 0;
  }

  /** Forgets what was written behind the first `length` bytes. */
  truncate(length: number): void {
    this.#length = Math.min(this.#length, length);
  }

  /** Appends `bytes` (borrowed). */
  bytes(bytes: Uint8Array): void {
    this.#append(bytes, bytes.length);
  }

  /** Appends what was written to `other`. */
  append(other: ByteWriter): void {
    this.#append(other.#bytes, other.#length);
  }

  #append(bytes: Uint8Array, count: number): void {
    this.#reserve(count);
    if (count > loopBytesMax) {
      this.#bytes.set(count === bytes.length ? bytes : bytes.subarray(0, count), this.#length);
    } else {
      for (let i = 0; i < count; i++) this.#bytes[this.#length + i] = bytes[i] ?? 0;
    }
    this.#length += count;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  /** Appends text as UTF-8; for what is written often, encode it once and use `bytes`. */
  text(text: string): void {
    this.bytes(encoder.encode(text));
  }

  /** Appends a whole number that is not negative, in decimal. */
  decimal(value: number): void {
    this.#reserve(digitsMax);
    let at = digitsMax;
    let rest = value;
    do {
      const next = Math.floor(rest / 10);
      this.#digits[--at] = zero + (rest - next * 10);
      rest = next;
    } while (rest > 0 && at > 0);
    while (at < digitsMax) this.#bytes[this.#length++] = this.#digits[at++] ?? zero;
  }

  /** Appends `value`, not negative, with three digits behind the point: `12.345`. */
  thousandths(value: number): void {
    const scaled = Math.round(value * 1000);
    const whole = Math.floor(scaled / 1000);
    this.decimal(whole);
    const part = scaled - whole * 1000;
    this.#reserve(4);
    this.#bytes[this.#length++] = 0x2e;
    this.#bytes[this.#length++] = zero + Math.floor(part / 100);
    this.#bytes[this.#length++] = zero + (Math.floor(part / 10) % 10);
    this.#bytes[this.#length++] = zero + (part % 10);
  }

  /** Appends a whole number that is not negative as a varint: 7 bits a byte, the lowest first. */
  varint(value: number): void {
    this.#reserve(10);
    let rest = value;
    while (rest >= 0x80) {
      const next = Math.floor(rest / 0x80);
      this.#bytes[this.#length++] = (rest - next * 0x80) | 0x80;
      rest = next;
    }
    this.#bytes[this.#length++] = rest;
  }

  /** Appends `high` * 2^28 + `low` as a varint; both are whole and not negative. */
  longVarint(high: number, low: number): void {
    const carry = Math.floor(low / 2 ** 28);
    const rest = low - carry * 2 ** 28;
    if (high + carry === 0) {
      this.varint(rest);
      return;
    }
    // 28 bits make four bytes.
    this.#reserve(4);
    for (let shift = 0; shift < 28; shift += 7) {
      this.#bytes[this.#length++] = ((rest >>> shift) & 0x7f) | 0x80;
    }
    this.varint(high + carry);
  }

  #reserve(count: number): void {
    const wanted = this.#length + count;
    if (wanted <= this.#bytes.length) return;
    const longer = new Uint8Array(Math.max(wanted, this.#bytes.length * 2));
    longer.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = longer;
  }
}

/** Text as UTF-8. */
export const utf8 = (text: string): Uint8Array => encoder.encode(text);
