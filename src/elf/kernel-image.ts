/**
 * Linux kernel images of AArch64 and RISC-V: what a boot loader puts into memory, without sections
 * and without symbol tables but for the one that the kernel carries for itself. An image becomes an
 * ELF file whose addresses count from its first byte, so that everything that reads programs reads
 * kernels.
 *
 * Source: Linux Documentation/arch/arm64/booting.rst and arch/riscv/boot-image-header.rst,
 * drivers/firmware/efi/libstub/zboot-header.S.
 */
import { elfMachine, sectionType, segmentFlag, segmentType, symbolType } from "./constants.ts";
import { type KernelSymbol, readKallsyms } from "./kallsyms.ts";

/** What a file is, by its header. */
export type KernelFile =
  | { readonly kind: "image"; readonly machine: "aarch64" | "riscv64" }
  /** An EFI program that unpacks the image at [`from`, `to`) of the file. */
  | { readonly kind: "zboot"; readonly by: string; readonly from: number; readonly to: number };

const magicAt = 0x38;
const magics = { ARMd: "aarch64", "RSC\u0005": "riscv64" } as const;

const textAt = (bytes: Uint8Array, from: number, size: number): string =>
  String.fromCharCode(...bytes.subarray(from, from + size));

/** What kind of kernel `bytes` (borrowed) are; undefined: none that is known. */
export function recogniseKernel(bytes: Uint8Array): KernelFile | undefined {
  if (bytes.length < 4096 || textAt(bytes, 0, 2) !== "MZ") return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (textAt(bytes, 4, 4) === "zimg") {
    const from = view.getUint32(8, true);
    const by = textAt(bytes, 24, 8).replace(/\0.*$/s, "");
    return { kind: "zboot", by, from, to: from + view.getUint32(12, true) };
  }
  const magic = textAt(bytes, magicAt, 4);
  const machine = magic === "ARMd" || magic === "RSC\u0005" ? magics[magic] : undefined;
  return machine === undefined ? undefined : { kind: "image", machine };
}

/** A kernel as a program. */
export type KernelElf = {
  /** An ELF file; the image's first byte has address `imageAddr` in it. */
  readonly bytes: Uint8Array;
  /** Added to the file's addresses to get those that the kernel is linked for. */
  readonly bias: bigint;
};

const headerBytes = 4096;
/** Address 0 stays nobody's. */
const imageAddr = 4096;
const symbolBytes = 24;
const sectionBytes = 64;
const wordBytes = 8;

/** The table of the places where functions begin, between these symbols. */
const tableStart = "__start_mcount_loc";
const tableEnd = "__stop_mcount_loc";

/** The table's words, from the image's beginning, and where the image is linked to run. */
type McountTable = { readonly words: BigUint64Array<ArrayBuffer>; readonly base: bigint };

/** Kernels are linked for a multiple of this, and are not larger than the other. */
const baseAlign = 0x1_0000n;
const kernelBytesMax = 0x2000_0000n;
/** Words of the table that are tried, and how many of them have to be functions' places. */
const triedWords = 64;
const enoughWords = 48;
/** From an entry of the table to its function: no-ops in front, before a pointer's 8 bytes. */
const leads: readonly number[] = [0, 4, 8, 16];

/** The base that makes places of functions of the table's words; undefined: there is none. */
function findBase(words: BigUint64Array, symbols: readonly KernelSymbol[]): bigint | undefined {
  const places = new Set(symbols.filter(isCode).map(({ offset }) => offset));
  const step = Math.max(1, Math.floor(words.length / triedWords));
  const tried = words.filter((word, index) => word !== 0n && index % step === 0);
  const isPlace = (offset: number): boolean => leads.some((lead) => places.has(offset + lead));
  const [first = 0n] = tried;
  const highest = first - (first % baseAlign);
  for (let base = highest; base > 0n && first - base < kernelBytesMax; base -= baseAlign) {
    if (!isPlace(Number(first - base))) continue;
    const found = tried.filter((word) => isPlace(Number(word - base)));
    if (found.length >= Math.min(enoughWords, tried.length * 0.75)) return base;
  }
  return undefined;
}

function readMcountTable(
  image: Uint8Array,
  symbols: readonly KernelSymbol[],
): McountTable | undefined {
  const find = (name: string): number =>
    symbols.find((symbol) => symbol.name === name)?.offset ?? 0;
  const [start, end] = [find(tableStart), find(tableEnd)];
  if (start === 0 || end - start < wordBytes || end > image.length) return undefined;
  const bytes = new Uint8Array(end - start);
  bytes.set(image.subarray(start, end));
  const words = new BigUint64Array(bytes.buffer);
  // What the linker dropped is 0.
  const base = findBase(words, symbols);
  if (base === undefined) return undefined;
  return { words: words.map((word) => (word === 0n ? 0n : word - base)), base };
}

const isCode = ({ type }: KernelSymbol): boolean => /^[tTwW]$/.test(type);

/** Whether the no-ops of a patch site stand at `at`, or behind a landing pad there. */
function hasNops(image: DataView, machine: "aarch64" | "riscv64", at: number): boolean {
  if (at + 12 > image.byteLength) return false;
  const words = [0, 4, 8].map((offset) => image.getUint32(at + offset, true));
  const [first, second, third] = words;
  if (machine === "riscv64") {
    return first === second && (first === riscvNops || first === riscvNop);
  }
  return second === armNop && (first === armNop || third === armNop);
}
const armNop = 0xd503_201f;
const riscvNop = 0x13;
const riscvNops = 0x0001_0001;

/** How far a kernel's first symbol may be from the image's first byte, and steps to try. */
const shiftMax = 0x20_0000;
const shiftStep = 0x1000;
const triedSymbols = 500;

/**
 * Without data symbols (CONFIG_KALLSYMS_ALL) nothing names the table, and a kernel that finds its
 * own address does not say what symbols count from. Functions are then those where no-ops stand:
 * the shift of the symbols is the one by which the most of them have some.
 */
function findByNops(
  image: Uint8Array,
  machine: "aarch64" | "riscv64",
  symbols: readonly KernelSymbol[],
): { readonly symbols: readonly KernelSymbol[]; readonly entries: readonly number[] } {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const code = symbols.filter(isCode);
  const step = Math.max(1, Math.floor(code.length / triedSymbols));
  const tried = code.filter((_, index) => index % step === 0);
  let best = { shift: 0, count: 0 };
  for (let shift = 0; shift <= shiftMax; shift += shiftStep) {
    const count = tried.filter(({ offset }) => hasNops(view, machine, offset + shift)).length;
    if (count > best.count) best = { shift, count };
  }
  const moved = symbols.map((symbol) => ({ ...symbol, offset: symbol.offset + best.shift }));
  const found = moved.filter((one) => isCode(one) && hasNops(view, machine, one.offset));
  return { symbols: moved, entries: [...new Set(found.map(({ offset }) => offset))] };
}

/** A section. */
type Part = {
  readonly name: string;
  readonly type: number;
  readonly flags?: number;
  readonly link?: number;
  readonly bytes: Uint8Array;
};

/** `.symtab` and its strings, of the symbols that are code. */
function symbolParts(symbols: readonly KernelSymbol[]): readonly [Uint8Array, Uint8Array] {
  const code = symbols.filter(isCode);
  const table = new Uint8Array((code.length + 1) * symbolBytes);
  const view = new DataView(table.buffer);
  let names = "\0";
  const pieces = [names];
  let length = 1;
  code.forEach(({ name, type, offset }, index) => {
    const at = (index + 1) * symbolBytes;
    view.setUint32(at, length, true);
    view.setUint8(at + 4, (type === "T" ? 16 : 0) + symbolType.func);
    view.setUint16(at + 6, 1, true);
    view.setBigUint64(at + 8, BigInt(offset + imageAddr), true);
    pieces.push(`${name}\0`);
    length += name.length + 1;
  });
  names = pieces.join("");
  return [table, Uint8Array.from(names, (char) => char.charCodeAt(0))];
}

/** The image as an ELF file, in a buffer of the caller's own. */
export function kernelElf(image: Uint8Array, machine: "aarch64" | "riscv64"): KernelElf {
  const own = readKallsyms(image) ?? [];
  const mcount = readMcountTable(image, own);
  const { symbols, entries } =
    mcount === undefined
      ? findByNops(image, machine, own)
      : { symbols: own, entries: Array.from(mcount.words, Number) };
  const [table, strings] = symbolParts(symbols);
  const addrs = entries.map((entry) => BigInt(entry === 0 ? 0 : entry + imageAddr));
  const sectionNames = "\0.text\0.symtab\0.strtab\0.shstrtab\0__patchable_function_entries\0";
  const names = Uint8Array.from(sectionNames, (char) => char.charCodeAt(0));
  const parts: readonly Part[] = [
    { name: ".text", type: sectionType.progbits, flags: 6, bytes: image },
    { name: ".symtab", type: sectionType.symtab, bytes: table, link: 3 },
    { name: ".strtab", type: sectionType.strtab, bytes: strings },
    { name: ".shstrtab", type: sectionType.strtab, bytes: names },
    {
      name: "__patchable_function_entries",
      type: sectionType.progbits,
      bytes: new Uint8Array(BigUint64Array.from(addrs).buffer),
    },
  ];
  const nameAt = (name: string): number => sectionNames.indexOf(`\0${name}\0`) + 1;
  const base = mcount?.base ?? BigInt(imageAddr);
  return { bytes: layOut(parts, machine, image.length, nameAt), bias: base - BigInt(imageAddr) };
}

function layOut(
  parts: readonly Part[],
  machine: "aarch64" | "riscv64",
  imageBytes: number,
  nameAt: (name: string) => number,
): Uint8Array {
  const places: number[] = [];
  let end = headerBytes;
  for (const { bytes } of parts) {
    places.push(end);
    end = Math.ceil((end + bytes.length) / wordBytes) * wordBytes;
  }
  const out = new Uint8Array(end + (parts.length + 1) * sectionBytes);
  const view = new DataView(out.buffer);
  const u64 = (at: number, value: number): void => view.setBigUint64(at, BigInt(value), true);
  out.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, elfMachine[machine === "aarch64" ? "aarch64" : "riscv"], true);
  view.setUint32(20, 1, true);
  u64(32, 64);
  u64(40, end);
  [64, 56, 1, sectionBytes, parts.length + 1, 4].forEach((value, i) => {
    view.setUint16(52 + 2 * i, value, true);
  });
  view.setUint32(64, segmentType.load, true);
  view.setUint32(68, segmentFlag.read | segmentFlag.execute, true);
  [headerBytes, imageAddr, imageAddr, imageBytes, imageBytes, 4096].forEach((value, i) => {
    u64(72 + wordBytes * i, value);
  });
  parts.forEach(({ name, type, flags = 0, bytes, link = 0 }, index) => {
    const place = places[index] ?? 0;
    out.set(bytes, place);
    const at = end + (index + 1) * sectionBytes;
    view.setUint32(at, nameAt(name), true);
    view.setUint32(at + 4, type, true);
    [flags, 0, place, bytes.length].forEach((value, i) => {
      u64(at + 8 + wordBytes * i, value);
    });
    view.setUint32(at + 40, link, true);
    u64(at + 56, type === sectionType.symtab ? symbolBytes : 0);
  });
  return out;
}
