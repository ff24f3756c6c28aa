/** Reading the pieces that Rust's newer symbol names are made of: numbers and names. */
import { decodePunycode } from "./punycode.ts";

/** The name is not one of this grammar, or would print without end. */
export class NotMangled extends Error {}

export type Identifier = { readonly name: string; readonly disambiguator: number };

export class RustScanner {
  readonly #text: string;
  /** Index of the next character; back references move it. */
  at = 0;

  /** @param text the symbol without its `_R`. */
  constructor(text: string) {
    this.#text = text;
  }

  /** The next character. */
  next(): string {
    const char = this.#text[this.at++];
    if (char === undefined) throw new NotMangled();
    return char;
  }

  /** Moves over `char` if it is next. */
  eat(char: string): boolean {
    if (this.#text[this.at] !== char) return false;
    this.at++;
    return true;
  }

  #decimal(): number {
    const digits = /^(0|[1-9][0-9]{0,6})/.exec(this.#text.slice(this.at, this.at + 8));
    if (digits === null) throw new NotMangled();
    this.at += digits[0].length;
    return Number(digits[0]);
  }

  /** base-62 number: `_` is 0, `0_` is 1, and so on. */
  base62(): number {
    if (this.eat("_")) return 0;
    let value = 0;
    for (let char = this.next(); char !== "_"; char = this.next()) {
      const digit = /[0-9]/.test(char)
        ? char.charCodeAt(0) - 48
        : /[a-z]/.test(char)
          ? char.charCodeAt(0) - 87
          : /[A-Z]/.test(char)
            ? char.charCodeAt(0) - 29
            : Number.NaN;
      value = value * 62 + digit;
      // Crate hashes have 64 bits; only their being numbers matters.
      if (Number.isNaN(value)) throw new NotMangled();
    }
    return value + 1;
  }

  /** A number behind `mark`, counted from 1; 0 without it. */
  optionalBase62(mark: string): number {
    return this.eat(mark) ? this.base62() + 1 : 0;
  }

  /** A name that may be told apart from others of its path by a number. */
  identifier(): Identifier {
    const disambiguator = this.optionalBase62("s");
    return { disambiguator, name: this.plainIdentifier() };
  }

  /** A name: its length, and its characters, in Punycode where `u` says so. */
  plainIdentifier(): string {
    const isPunycode = this.eat("u");
    const length = this.#decimal();
    this.eat("_");
    const text = this.#text.slice(this.at, this.at + length);
    if (text.length < length) throw new NotMangled();
    this.at += length;
    if (!isPunycode) return text;
    const split = text.lastIndexOf("_");
    const name = decodePunycode(split < 0 ? "" : text.slice(0, split), text.slice(split + 1));
    if (name === undefined) throw new NotMangled();
    return name;
  }

  /** Hexadecimal digits up to `_`, as the number people would write. */
  constNumber(): string {
    const end = this.#text.indexOf("_", this.at);
    const digits = this.#text.slice(this.at, end);
    if (end < 0 || !/^[0-9a-f]*$/.test(digits)) throw new NotMangled();
    this.at = end + 1;
    const significant = digits.replace(/^0+/, "");
    return significant.length > 16
      ? `0x${significant}`
      : BigInt(`0x${significant || 0}`).toString();
  }
}
