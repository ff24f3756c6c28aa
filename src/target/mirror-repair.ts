/**
 * Gives hooked frames their own return addresses back, so that the thunks can be unmapped while
 * functions that were entered through them are still running.
 *
 * The mirror knows every hooked slot of every stack, also of stacks that no thread is on: where a
 * stack slot holds a thunk's return point, the mirror's slot holds what belongs there. All
 * threads are held meanwhile.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { leftBit } from "../codegen/x86-64/personality.ts";
import { type Mapping, procFolder } from "../os/proc.ts";
import type { Mirror } from "./address-space.ts";
import { type CodeRegion, isReturnPoint } from "./code-region.ts";
import type { TargetMemory, TargetProcess } from "./process.ts";

const pageBytes = 4096;
/** Entries of /proc/PID/pagemap that are read at once. */
const pagemapChunk = 1 << 16;

/** Pages that hold bytes of [`start`, `end`) and were ever touched (present or swapped out). */
export function* touchedPages(fd: number, start: bigint, end: bigint): Generator<bigint> {
  const buffer = Buffer.alloc(pagemapChunk * 8);
  const last = Math.ceil(Number(end) / pageBytes);
  for (let page = Number(start / 4096n); page < last; page += pagemapChunk) {
    const count = Math.min(pagemapChunk, last - page);
    const bytes = readSync(fd, buffer, 0, count * 8, page * 8);
    for (let index = 0; index < bytes >> 3; index++) {
      // Bits 63 (present) and 62 (swapped) of an entry.
      if (((buffer[index * 8 + 7] ?? 0) & 0xc0) !== 0) yield BigInt(page + index) * 4096n;
    }
  }
}

/** Puts back the return addresses in [`start`, `end`) of a stack; how many there were. */
function repairPart(
  memory: TargetMemory,
  start: bigint,
  end: bigint,
  mirror: Mirror,
  regions: readonly CodeRegion[],
): number {
  const bytes = Number(end - start);
  const saved = memory.read(start + mirror.delta, bytes);
  const stack = memory.read(start, bytes);
  const savedWords = new DataView(saved.buffer);
  const words = new DataView(stack.buffer);
  let repaired = 0;
  for (let at = 0; at < bytes; at += 8) {
    const address = words.getUint32(at, true) + words.getUint32(at + 4, true) * 2 ** 32;
    if (!regions.some((region) => isReturnPoint(region, address))) continue;
    words.setBigUint64(at, savedWords.getBigUint64(at, true) & ~leftBit, true);
    repaired++;
  }
  if (repaired > 0) memory.write(start, stack);
  return repaired;
}

/** Repairs all stacks of a held process; the number of return addresses that were put back. */
export function repairStacks(
  { pid, memory }: TargetProcess,
  maps: readonly Mapping[],
  mirror: Mirror,
  regions: readonly CodeRegion[],
): number {
  const pagemap = openSync(`${procFolder(pid)}/pagemap`, "r");
  try {
    let repaired = 0;
    for (const { start, end, writable } of maps) {
      const inWindow = Number(start >> BigInt(mirror.windowBits)) === mirror.window;
      if (!inWindow || !writable) continue;
      for (const page of touchedPages(pagemap, start + mirror.delta, end + mirror.delta)) {
        // The mirror's pages are not the stack's: it is shifted by a part of a page.
        const first = page - mirror.delta;
        const last = first + BigInt(pageBytes);
        const from = first < start ? start : first;
        repaired += repairPart(memory, from, last > end ? end : last, mirror, regions);
      }
    }
    return repaired;
  } finally {
    closeSync(pagemap);
  }
}
