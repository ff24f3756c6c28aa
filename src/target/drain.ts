/**
 * Waits until no thread stands between the instructions of a window: a rolling look at one thread
 * after the other. Each is held for a look at its pc and at the signal frames on its stack; the
 * others run. New threads begin elsewhere, and what a look has found outside can only enter by the
 * window's first byte, which leads past the rest by then.
 */
import type { Tid } from "../base/brand.ts";
import type { Mapping } from "../os/proc.ts";
import type { HeldThreads, TargetProcess } from "./process.ts";
import { findSignalFrames } from "./signal-frames.ts";

/**
 * Gets every thread of `process` out of windows.
 * @param endAround the end of the window that a pc is strictly inside of. A thread found there is
 * moved: what it skips are no-ops.
 */
export function drainThreads(
  process: TargetProcess,
  restorers: ReadonlySet<bigint>,
  endAround: (pc: bigint) => bigint | undefined,
  except: Tid | undefined,
): void {
  const maps = process.maps();
  for (const tid of process.threads()) {
    if (tid === except) continue;
    using threads = process.hold(tid);
    if (threads === undefined) continue;
    leaveWindows(process, threads, maps, restorers, endAround);
  }
}

/** Moves the held threads that stand inside of windows to their ends. */
export function leaveWindows(
  { memory, backEnd }: TargetProcess,
  threads: HeldThreads,
  maps: readonly Mapping[],
  restorers: ReadonlySet<bigint>,
  endAround: (pc: bigint) => bigint | undefined,
): void {
  const { pc, sp } = backEnd.registers;
  for (const tid of threads.tids) {
    const registers = threads.readRegisters(tid);
    const end = endAround(registers.get(pc));
    if (end !== undefined) threads.writeRegisters(tid, registers.copy().set(pc, end));
    for (const saved of findSignalFrames(memory, maps, registers.get(sp), restorers)) {
      const savedEnd = endAround(saved.pc);
      if (savedEnd !== undefined) {
        memory.write(saved.at, new Uint8Array(new BigUint64Array([savedEnd]).buffer));
      }
    }
  }
}
