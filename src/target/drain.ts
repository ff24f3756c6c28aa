/**
 * Waits until no thread stands between the instructions of a window: a rolling look at one thread
 * after the other. Each is held for a look at its pc and at the signal frames on its stack; the
 * others run. New threads begin elsewhere, and what a look has found outside can only enter by the
 * window's first byte, which leads past the rest by then.
 */
import type { Pid, Tid } from "../base/brand.ts";
import { listThreads, type ProcessMemory, readMaps } from "../os/proc.ts";
import { readRegisters, writeRegisters } from "../os/ptrace.ts";
import { findSignalFrames } from "./signal-frames.ts";
import { StoppedThreads } from "./stop.ts";

/**
 * Gets every thread of `pid` out of windows.
 * @param endAround the end of the window that a pc is strictly inside of. A thread found there is
 * moved: what it skips are no-ops.
 */
export function drainThreads(
  pid: Pid,
  memory: ProcessMemory,
  restorers: ReadonlySet<bigint>,
  endAround: (pc: bigint) => bigint | undefined,
  except: Tid | undefined,
): void {
  const maps = readMaps(pid);
  for (const tid of listThreads(pid)) {
    if (tid === except) continue;
    using threads = StoppedThreads.oneIfThere(pid, tid);
    if (threads === undefined) continue;
    leaveWindows(threads, memory, maps, restorers, endAround);
  }
}

/** Moves the held threads that stand inside of windows to their ends. */
export function leaveWindows(
  threads: StoppedThreads,
  memory: ProcessMemory,
  maps: ReturnType<typeof readMaps>,
  restorers: ReadonlySet<bigint>,
  endAround: (pc: bigint) => bigint | undefined,
): void {
  for (const tid of threads.tids) {
    const registers = readRegisters(tid);
    const end = endAround(registers.get("rip"));
    if (end !== undefined) writeRegisters(tid, registers.copy().set("rip", end));
    for (const saved of findSignalFrames(memory, maps, registers.get("rsp"), restorers)) {
      const savedEnd = endAround(saved.pc);
      if (savedEnd !== undefined) {
        memory.write(saved.at, new Uint8Array(new BigUint64Array([savedEnd]).buffer));
      }
    }
  }
}
