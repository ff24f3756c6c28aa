/**
 * Windows of a process' text and the bytes that they hold or should hold; and the plain way to
 * write them, while all threads are held.
 */
import { copyFew } from "../base/columns.ts";
import type { TargetMemory } from "./process.ts";

/**
 * Room for the longest window, and for the instructions that a moved prologue's lies in: the
 * distance between two windows' bytes in `Windows.bytes`.
 */
export const windowBytesMax = 20;

/** Windows in ascending order of address, with one state of each. */
export type Windows = {
  readonly count: number;
  readonly at: Float64Array;
  readonly size: Uint8Array;
  /** 1 where the compiled instructions have to run elsewhere while others stand there. */
  readonly moved: Uint8Array;
  /** `windowBytesMax` bytes a window. */
  readonly bytes: Uint8Array;
};

/** Literals in ascending order of address, with what they hold or should hold. */
export type Literals = {
  readonly count: number;
  /** Multiples of 8. */
  readonly at: Float64Array;
  /** Two halves a literal, the lower first. */
  readonly halves: Uint32Array;
};

/** Writes all literals. All threads are held. */
export function writeLiterals(memory: TargetMemory, { count, at, halves }: Literals): void {
  const bytes = new Uint8Array(halves.buffer, halves.byteOffset, halves.byteLength);
  for (let index = 0; index < count; index++) {
    memory.write(BigInt(at[index] ?? 0), bytes.slice(index * 8, index * 8 + 8));
  }
}

/** The windows at `indices`, ascending; `windows` itself where these are all. */
export function pickWindows(windows: Windows, indices: Uint32Array): Windows {
  const count = indices.length;
  if (count === windows.count) return windows;
  const picked = {
    count,
    at: new Float64Array(count),
    size: new Uint8Array(count),
    moved: new Uint8Array(count),
    bytes: new Uint8Array(count * windowBytesMax),
  };
  for (let to = 0; to < count; to++) {
    const from = indices[to] ?? 0;
    picked.at[to] = windows.at[from] ?? 0;
    picked.size[to] = windows.size[from] ?? 0;
    picked.moved[to] = windows.moved[from] ?? 0;
    const bytesAt = to * windowBytesMax;
    copyFew(windows.bytes, from * windowBytesMax, picked.bytes, bytesAt, windowBytesMax);
  }
  return picked;
}

/** Text is read and written in runs of at most this many bytes. */
const runBytesMax = 1 << 20;
const pageBytes = 4096;
const wordBytes = 8;

const startOf = (windows: Windows, index: number): number => windows.at[index] ?? 0;
const endOf = (windows: Windows, index: number): number =>
  startOf(windows, index) + (windows.size[index] ?? 0);

/** Calls `visit` for runs of windows that are read together: no gap of a page between. */
function forEachRun(windows: Windows, visit: (first: number, last: number) => void): void {
  for (let first = 0; first < windows.count; ) {
    const start = startOf(windows, first);
    let last = first + 1;
    while (
      last < windows.count &&
      startOf(windows, last) - endOf(windows, last - 1) < pageBytes &&
      endOf(windows, last) - start < runBytesMax
    ) {
      last++;
    }
    visit(first, last);
    first = last;
  }
}

/** A piece of text as it stands, or stood. */
export type TextRun = { readonly start: number; readonly bytes: Uint8Array };

/** The text that `windows` lie in, in whole words of 8 bytes. */
export function readText(memory: TargetMemory, windows: Windows): readonly TextRun[] {
  const text: TextRun[] = [];
  forEachRun(windows, (first, last) => {
    const start = Math.floor(startOf(windows, first) / wordBytes) * wordBytes;
    const end = Math.ceil(endOf(windows, last - 1) / wordBytes) * wordBytes;
    text.push({ start, bytes: memory.read(BigInt(start), end - start) });
  });
  return text;
}

/** Whether that is what stands there. */
export const isText = (memory: TargetMemory, text: readonly TextRun[]): boolean =>
  text.every(
    ({ start, bytes }) => Buffer.compare(memory.read(BigInt(start), bytes.length), bytes) === 0,
  );

/**
 * Indices of the windows that do not hold the bytes they should.
 * @param text what `readText` gave for them.
 */
export function findDiffering(windows: Windows, text: readonly TextRun[]): readonly number[] {
  const { count, at, size, bytes } = windows;
  const differing: number[] = [];
  let next = 0;
  for (const run of text) {
    const end = run.start + run.bytes.length;
    for (; next < count && (at[next] ?? 0) + (size[next] ?? 0) <= end; next++) {
      const from = (at[next] ?? 0) - run.start;
      const wanted = next * windowBytesMax;
      const length = size[next] ?? 0;
      let i = 0;
      while (i < length && run.bytes[from + i] === bytes[wanted + i]) i++;
      if (i < length) differing.push(next);
    }
  }
  return differing;
}

/** Writes all windows. All threads are held, so that pages can be written as a whole. */
export function writeWindows(memory: TargetMemory, windows: Windows): void {
  forEachRun(windows, (first, last) => {
    const start = startOf(windows, first);
    const text = memory.read(BigInt(start), endOf(windows, last - 1) - start);
    for (let index = first; index < last; index++) {
      const at = startOf(windows, index) - start;
      copyFew(windows.bytes, index * windowBytesMax, text, at, windows.size[index] ?? 0);
    }
    memory.writeText(BigInt(start), text);
  });
}

/** Index of the window that `pc` is strictly inside of; -1 when it is in none. */
export function indexAround(windows: Windows, pc: bigint): number {
  const address = Number(pc);
  let low = 0;
  let high = windows.count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (startOf(windows, middle) < address) low = middle + 1;
    else high = middle;
  }
  const index = low - 1;
  return index >= 0 && address < endOf(windows, index) ? index : -1;
}

/** The end of the window that `pc` is strictly inside of; undefined when it is in none. */
export function endAround(windows: Windows, pc: bigint): bigint | undefined {
  const index = indexAround(windows, pc);
  return index < 0 ? undefined : BigInt(endOf(windows, index));
}
