/**
 * Finds the places where interrupted threads will go on: a signal handler's frame keeps the
 * program counter of the code that it interrupted, which a look at the thread's registers does
 * not show.
 *
 * The kernel puts the address of the C library's restorer (`mov $15, %eax; syscall`) at the bottom
 * of each frame, and the interrupted rip 176 bytes above it (struct rt_sigframe,
 * arch/x86/include/asm/sigframe.h). The restorer's address marks a frame.
 */
import type { Mapping } from "../os/proc.ts";
import type { TargetMemory } from "./process.ts";

/** rt_sigreturn, as glibc and as musl write it. */
export const restorers: readonly Buffer[] = [
  Buffer.from([0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05]),
  Buffer.from([0xb8, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05]),
];
const ripOffset = 176;
/** How much of one stack is looked at, in bytes: a deep recursion is far above this. */
const scanBytesMax = 64 << 20;
const scanChunk = 1 << 20;

/** An interrupted program counter, and where it is kept. */
export type SavedPc = { readonly at: bigint; readonly pc: bigint };

/** Addresses of all signal restorers in the executable mappings of files. */
export function findRestorers(memory: TargetMemory, maps: readonly Mapping[]): Set<bigint> {
  const found = new Set<bigint>();
  for (const mapping of maps) {
    if (!mapping.executable || mapping.inode === 0) continue;
    const image = Buffer.from(
      memory.read(mapping.start, Number(mapping.end - mapping.start)).buffer,
    );
    for (const restorer of restorers) {
      for (let at = image.indexOf(restorer); at >= 0; at = image.indexOf(restorer, at + 1)) {
        found.add(mapping.start + BigInt(at));
      }
    }
  }
  return found;
}

/** Signal frames on the stack that `stackPointer` points into, the latest first. */
export function findSignalFrames(
  memory: TargetMemory,
  maps: readonly Mapping[],
  stackPointer: bigint,
  known: ReadonlySet<bigint>,
): readonly SavedPc[] {
  const mapping = maps.find((m) => m.start <= stackPointer && stackPointer < m.end);
  if (mapping === undefined || known.size === 0) return [];
  const frames: SavedPc[] = [];
  const start = stackPointer & ~7n;
  const end = start + BigInt(Math.min(Number(mapping.end - start), scanBytesMax));
  const low = new Map([...known].map((address) => [Number(address & 0xffff_ffffn), address]));
  for (let at = start; at < end; at += BigInt(scanChunk)) {
    const length = Math.min(scanChunk, Number(end - at));
    const words = new Uint32Array(memory.read(at, length).buffer, 0, length >> 2);
    for (let index = 0; index + 1 < words.length; index += 2) {
      const address = low.get(words[index] ?? 0);
      if (address === undefined || Number(address >> 32n) !== words[index + 1]) continue;
      const place = at + BigInt(index * 4 + ripOffset);
      if (place + 8n <= mapping.end) frames.push({ at: place, pc: memory.readU64(place) });
    }
  }
  return frames;
}
