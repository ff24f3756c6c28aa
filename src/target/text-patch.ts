/**
 * Rewrites windows in a process' text while all its threads are held.
 *
 * Windows are checked against the bytes they should have before they are written; one that
 * differs is left alone and reported. Pages are read and written as a whole: nobody else runs.
 */
import type { ProcessMemory } from "../os/proc.ts";

/** Longest window, and the distance between two windows' bytes in a `Windows`. */
export const windowBytesMax = 16;

/** Windows in ascending order of address, with their bytes in two states. */
export type Windows = {
  readonly count: number;
  readonly at: Float64Array;
  readonly size: Uint8Array;
  /** `windowBytesMax` bytes a window. */
  readonly off: Uint8Array;
  readonly on: Uint8Array;
};

/** Text is read and written in runs of at most this many bytes. */
const runBytesMax = 1 << 20;
const pageBytes = 4096;

/**
 * Brings every window from one state to the other. Windows that are there already count as done.
 * @returns indices of the windows that held neither state.
 */
export function patchText(
  memory: ProcessMemory,
  windows: Windows,
  to: "on" | "off",
): readonly number[] {
  const refused: number[] = [];
  for (let first = 0; first < windows.count; ) {
    const last = endOfRun(windows, first);
    patchRun(memory, windows, first, last, to, refused);
    first = last;
  }
  return refused;
}

/** Indices of the windows that hold state `state`; the others are added to `refused`. */
export function readState(
  memory: ProcessMemory,
  windows: Windows,
  state: "on" | "off",
  refused: number[],
): Uint32Array {
  const found = new Uint32Array(windows.count);
  let count = 0;
  for (let first = 0; first < windows.count; ) {
    const last = endOfRun(windows, first);
    const start = startOf(windows, first);
    const bytes = memory.read(BigInt(start), endOf(windows, last - 1) - start);
    for (let index = first; index < last; index++) {
      const at = startOf(windows, index) - start;
      const size = windows.size[index] ?? 0;
      if (stateOf(bytes, at, windows, index, size) === state) found[count++] = index;
      else refused.push(index);
    }
    first = last;
  }
  return found.slice(0, count);
}

const startOf = (windows: Windows, index: number): number => windows.at[index] ?? 0;
const endOf = (windows: Windows, index: number): number =>
  startOf(windows, index) + (windows.size[index] ?? 0);

/** Index behind the last window that is read together with `first`: no gap of a page between. */
function endOfRun(windows: Windows, first: number): number {
  const start = startOf(windows, first);
  let next = first + 1;
  while (
    next < windows.count &&
    startOf(windows, next) - endOf(windows, next - 1) < pageBytes &&
    endOf(windows, next) - start < runBytesMax
  ) {
    next++;
  }
  return next;
}

function patchRun(
  memory: ProcessMemory,
  windows: Windows,
  first: number,
  last: number,
  to: "on" | "off",
  refused: number[],
): void {
  const start = startOf(windows, first);
  const bytes = memory.read(BigInt(start), endOf(windows, last - 1) - start);
  let changed = false;
  for (let index = first; index < last; index++) {
    const at = startOf(windows, index) - start;
    const size = windows.size[index] ?? 0;
    const state = stateOf(bytes, at, windows, index, size);
    if (state === to) continue;
    if (state === undefined) {
      refused.push(index);
      continue;
    }
    const from = index * windowBytesMax;
    bytes.set(windows[to].subarray(from, from + size), at);
    changed = true;
  }
  if (changed) memory.write(BigInt(start), bytes);
}

function stateOf(
  bytes: Uint8Array,
  at: number,
  windows: Windows,
  index: number,
  size: number,
): "on" | "off" | undefined {
  const matches = (state: Uint8Array): boolean => {
    for (let i = 0; i < size; i++) {
      if (bytes[at + i] !== state[index * windowBytesMax + i]) return false;
    }
    return true;
  };
  if (matches(windows.off)) return "off";
  return matches(windows.on) ? "on" : undefined;
}

/** The window that `pc` is strictly inside of; undefined when it is in none. */
export function windowAround(windows: Windows, pc: number): number | undefined {
  let low = 0;
  let high = windows.count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (startOf(windows, middle) <= pc) low = middle + 1;
    else high = middle;
  }
  const index = low - 1;
  if (index < 0) return undefined;
  return pc > startOf(windows, index) && pc < endOf(windows, index) ? index : undefined;
}
