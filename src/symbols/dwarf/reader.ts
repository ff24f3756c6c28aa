/**
 * Reading DWARF's bytes. `base/cursor.ts` gives `bigint` for what may be wide; debug information is
 * hundreds of megabytes of small numbers, so this reader gives plain ones.
 */
import { FormatError } from "../../base/cursor.ts";
import { form } from "./constants.ts";

/** How a unit writes addresses and section offsets. */
export type Encoding = {
  readonly version: number;
  /** Bytes of a section offset: 4 in 32-bit DWARF, 8 in 64-bit DWARF. */
  readonly offsetSize: 4 | 8;
  readonly addressSize: number;
};

const decoder = new TextDecoder();

/** A place in a section. Numbers beyond 2^53 lose their low bits; no real program has any. */
export class DwarfReader {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #what: string;
  /** Bytes from the beginning of the section. */
  at: number;
  /** Reading stops here. */
  end: number;

  /** @param bytes a whole section, borrowed. @param what its name, for errors. */
  constructor(bytes: Uint8Array, what: string, at = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
    this.at = at;
    this.end = Math.min(end, bytes.length);
    // Written so that NaN, which comes of absurd numbers, fails too.
    if (!(at <= this.end)) this.fail("a place outside of the section");
  }

  fail(problem: string): never {
    throw new FormatError(this.#what, this.at, problem);
  }

  /** Moves over `count` bytes and says where they begin. */
  take(count: number): number {
    const { at } = this;
    if (!(count <= this.end - at)) this.fail(`${count} bytes wanted, ${this.end - at} left`);
    this.at = at + count;
    return at;
  }

  u8(): number {
    return this.#view.getUint8(this.take(1));
  }
  i8(): number {
    return this.#view.getInt8(this.take(1));
  }
  u16(): number {
    return this.#view.getUint16(this.take(2), true);
  }
  u24(): number {
    return this.u16() + this.u8() * 2 ** 16;
  }
  u32(): number {
    return this.#view.getUint32(this.take(4), true);
  }
  u64(): number {
    return this.u32() + this.u32() * 2 ** 32;
  }

  /** An unsigned number of `size` bytes: 1, 2, 4 or 8. */
  unsigned(size: number): number {
    if (size === 8) return this.u64();
    if (size === 4) return this.u32();
    if (size === 2) return this.u16();
    if (size === 1) return this.u8();
    return this.fail(`a number of ${size} bytes`);
  }

  uleb(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }

  sleb(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return byte & 0x40 ? value - scale * 128 : value;
    }
  }

  /** Moves behind the text that begins here and says where it begins. */
  skipText(): number {
    const { at } = this;
    const zero = this.bytes.indexOf(0, at);
    if (zero < 0 || zero >= this.end) this.fail("text without its end");
    this.at = zero + 1;
    return at;
  }

  text(): string {
    const at = this.skipText();
    return decoder.decode(this.bytes.subarray(at, this.at - 1));
  }

  /**
   * The length of a unit (DWARF 5, section 7.4): where it ends, and its format. Moves behind it.
   */
  unitLength(): { readonly end: number; readonly offsetSize: 4 | 8 } {
    const short = this.u32();
    const offsetSize = short === 0xffffffff ? 8 : 4;
    const length = offsetSize === 8 ? this.u64() : short;
    if (short >= 0xfffffff0 && offsetSize === 4) this.fail("a reserved unit length");
    if (length > this.end - this.at) this.fail(`a unit of ${length} bytes, cut off`);
    return { end: this.at + length, offsetSize };
  }

  /**
   * An attribute's value as a number, and moves behind it: the constant, address, offset, index
   * or reference itself; for text and blocks in place, where they begin in this section.
   */
  value(kind: number, encoding: Encoding, implicit = 0): number {
    switch (kind) {
      case form.data1:
      case form.ref1:
      case form.flag:
      case form.strx1:
      case form.addrx1:
        return this.u8();
      case form.data2:
      case form.ref2:
      case form.strx2:
      case form.addrx2:
        return this.u16();
      case form.strx3:
      case form.addrx3:
        return this.u24();
      case form.data4:
      case form.ref4:
      case form.strx4:
      case form.addrx4:
      case form.refSup4:
        return this.u32();
      case form.data8:
      case form.ref8:
      case form.refSig8:
      case form.refSup8:
        return this.u64();
      case form.udata:
      case form.refUdata:
      case form.strx:
      case form.addrx:
      case form.loclistx:
      case form.rnglistx:
      case form.gnuAddrIndex:
      case form.gnuStrIndex:
        return this.uleb();
      default:
        return this.#rareValue(kind, encoding, implicit);
    }
  }

  #rareValue(kind: number, encoding: Encoding, implicit: number): number {
    switch (kind) {
      case form.flagPresent:
        return 1;
      case form.implicitConst:
        return implicit;
      case form.addr:
        return this.unsigned(encoding.addressSize);
      case form.strp:
      case form.lineStrp:
      case form.secOffset:
      case form.strpSup:
      case form.gnuRefAlt:
      case form.gnuStrpAlt:
        return this.unsigned(encoding.offsetSize);
      case form.refAddr:
        // DWARF 2 wrote it as wide as an address.
        return this.unsigned(encoding.version === 2 ? encoding.addressSize : encoding.offsetSize);
      case form.sdata:
        return this.sleb();
      case form.string:
        return this.skipText();
      case form.block1:
        return this.take(this.u8());
      case form.block2:
        return this.take(this.u16());
      case form.block4:
        return this.take(this.u32());
      case form.block:
      case form.exprloc:
        return this.take(this.uleb());
      case form.data16:
        return this.take(16);
      case form.indirect: {
        const inner = this.uleb();
        if (inner === form.indirect) this.fail("an indirect form of an indirect form");
        return this.value(inner, encoding, implicit);
      }
      default:
        return this.fail(`unknown form 0x${kind.toString(16)}`);
    }
  }
}
