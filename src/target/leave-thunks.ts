/** Gets every thread and every stack out of the thunks, so that these can be unmapped. */
import type { Mirror } from "./address-space.ts";
import type { CodeRegion } from "./code-region.ts";
import { leaveCode } from "./leave-code.ts";
import { repairStacks } from "./mirror-repair.ts";
import type { HeldThreads, TargetProcess } from "./process.ts";
import { findSignalFrames } from "./signal-frames.ts";

export type Generated = {
  readonly mirror: Mirror | undefined;
  readonly regions: readonly CodeRegion[];
  /** Whether a pc is in code that Patchbay brought. */
  readonly isInside: (pc: bigint) => boolean;
};

/**
 * All threads are held; whether that worked out.
 * @param attempt how often it has been tried before.
 */
export function leaveThunks(
  process: TargetProcess,
  threads: HeldThreads,
  restorers: ReadonlySet<bigint>,
  { mirror, regions, isInside }: Generated,
  attempt: number,
): boolean {
  const { pc, sp } = process.backEnd.registers;
  if (!leaveCode(threads, pc, isInside, attempt)) return false;
  const maps = process.maps();
  if (mirror !== undefined) repairStacks(process, maps, mirror, regions);
  return threads.tids.every((tid) => {
    const stack = threads.readRegisters(tid).get(sp);
    const frames = findSignalFrames(process.memory, maps, stack, restorers);
    return !frames.some((frame) => isInside(frame.pc));
  });
}
