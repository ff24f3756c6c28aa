/**
 * The symbols that a Linux kernel image carries (CONFIG_KALLSYMS), found without any help: by the
 * token table that compresses their names, in which the digits stand for themselves.
 *
 *     num_syms, names, markers, token_table, token_index, offsets, relative_base     since v6.4
 *     offsets, relative_base, num_syms, names, markers, ..., token_table, token_index   before
 *
 * Each of these begins at a multiple of 8. Source: Linux scripts/kallsyms.c, kernel/kallsyms.c.
 */

export type KernelSymbol = {
  readonly name: string;
  /** nm's letter: `t` and `T` are code. */
  readonly type: string;
  /** From the image's first byte. */
  readonly offset: number;
};

const zeroDigit = 0x30;
const digitCount = 10;
const tokenCount = 256;
/** Symbols between two markers. */
const markerStep = 256;
/** A kernel has more than this; fewer are an accident of the search. */
const symbolCountMin = 1000;
const symbolCountMax = 1 << 20;
/** Names and what may come between them and the tokens, in bytes, at the most. */
const searchBytesMax = 1 << 24;
const wordBytes = 8;

const alignUp = (value: number): number => Math.ceil(value / wordBytes) * wordBytes;
const alignDown = (value: number): number => Math.floor(value / wordBytes) * wordBytes;

/** An image, and numbers in it; what lies outside is 0. */
class Image {
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u16(at: number): number {
    return at >= 0 && at + 2 <= this.bytes.length ? this.#view.getUint16(at, true) : 0;
  }

  u32(at: number): number {
    return at >= 0 && at + 4 <= this.bytes.length ? this.#view.getUint32(at, true) : 0;
  }
}

type Tokens = { readonly texts: readonly string[]; readonly start: number; readonly end: number };

/** Whether "0", "1"... stand at `at`, each ended by a zero byte. */
function areDigits({ bytes }: Image, at: number): boolean {
  for (let i = 0; i < digitCount; i++) {
    if (bytes[at + 2 * i] !== zeroDigit + i || bytes[at + 2 * i + 1] !== 0) return false;
  }
  return true;
}

/** The token table around the digits at `at`, if its index behind says the same. */
function tokensAround(image: Image, at: number): Tokens | undefined {
  const { bytes } = image;
  let start = at;
  for (let left = zeroDigit; left > 0 && start > 0; left--) {
    start--;
    while (start > 0 && bytes[start - 1] !== 0) start--;
  }
  const texts: string[] = [];
  const offsets: number[] = [];
  let end = start;
  for (let index = 0; index < tokenCount; index++) {
    const zero = bytes.indexOf(0, end);
    if (zero < 0) return undefined;
    offsets.push(end - start);
    texts.push(String.fromCharCode(...bytes.subarray(end, zero)));
    end = zero + 1;
  }
  const index = alignUp(end);
  const agrees = offsets.every((offset, i) => image.u16(index + 2 * i) === offset);
  return agrees ? { texts, start, end: index + 2 * tokenCount } : undefined;
}

function findTokens(image: Image): Tokens | undefined {
  const { bytes } = image;
  for (let at = bytes.indexOf(zeroDigit); at >= 0; at = bytes.indexOf(zeroDigit, at + 1)) {
    const found = areDigits(image, at) ? tokensAround(image, at) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Offset behind the compressed name at `at`. */
function afterName({ bytes }: Image, at: number): number {
  const low = bytes[at] ?? 0;
  if (low < 0x80) return at + 1 + low;
  return at + 2 + ((low & 0x7f) | ((bytes[at + 1] ?? 0) << 7));
}

type Names = { readonly start: number; readonly count: number };

/** Offset behind `count` names at `start`. */
function afterNames(image: Image, start: number, count: number): number {
  let at = start;
  for (let i = 0; i < count && at < image.bytes.length; i++) at = afterName(image, at);
  return at;
}

/**
 * The names, which come somewhere before the tokens at `end`: a count that fits into 20 bits, so
 * many names, and the table of markers, which says where every 256th of them begins.
 */
function findNames(image: Image, end: number): Names | undefined {
  for (let at = end - wordBytes; at > Math.max(0, end - searchBytesMax); at -= wordBytes) {
    const count = image.u32(at);
    if (count < symbolCountMin || count > symbolCountMax || image.u32(at + 4) !== 0) continue;
    const start = at + wordBytes;
    const markers = alignUp(afterNames(image, start, count));
    const second = afterNames(image, start, markerStep) - start;
    if (image.u32(markers) === 0 && image.u32(markers + 4) === second) return { start, count };
  }
  return undefined;
}

/** Whether a table of `count` offsets stands at `at`: they ascend, and lie in the image. */
function areOffsets(image: Image, at: number, count: number): boolean {
  let last = 0;
  for (let i = 0; i < count; i++) {
    const offset = image.u32(at + 4 * i);
    if (offset < last) return false;
    last = offset;
  }
  return last > 0 && image.u32(at) < image.bytes.length;
}

/** The names with their first letter, the type. */
function* decodeNames(image: Image, start: number, texts: readonly string[]): Generator<string> {
  for (let at = start; at < image.bytes.length; ) {
    const end = afterName(image, at);
    const from = (image.bytes[at] ?? 0) < 0x80 ? at + 1 : at + 2;
    let name = "";
    for (let i = from; i < end; i++) name += texts[image.bytes[i] ?? 0] ?? "";
    yield name;
    at = end;
  }
}

/**
 * The symbols of the kernel whose memory image `bytes` (borrowed) is, ascending; undefined where
 * it carries none. Those that lie behind the image's end are left out.
 */
export function readKallsyms(bytes: Uint8Array): readonly KernelSymbol[] | undefined {
  const image = new Image(bytes);
  const tokens = findTokens(image);
  const names = tokens && findNames(image, tokens.start);
  if (tokens === undefined || names === undefined) return undefined;
  const { start, count } = names;
  // The offsets, and 8 bytes of the address that they count from.
  const before = alignDown(start - 2 * wordBytes - 4 * count);
  const offsets = [alignUp(tokens.end), before].find((at) => areOffsets(image, at, count));
  if (offsets === undefined) return undefined;
  const symbols: KernelSymbol[] = [];
  for (const text of decodeNames(image, start, tokens.texts)) {
    const offset = image.u32(offsets + 4 * symbols.length);
    symbols.push({ type: text.slice(0, 1), name: text.slice(1), offset });
    if (symbols.length === count) break;
  }
  return symbols.filter(({ offset }) => offset < bytes.length);
}
