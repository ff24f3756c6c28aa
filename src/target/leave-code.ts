/**
 * Gets held threads out of generated code, so that it can be unmapped or changed. They leave by
 * themselves when they run; one that gets no processor is let run while the others are held. No
 * thread is stepped: one whose tracer is killed meanwhile would die of the step's trap.
 */
import type { Tid } from "../base/brand.ts";
import type { HeldThreads } from "./process.ts";

/** Looks after which threads that are still inside are let run on their own. */
const unhelped = 20;

/** Moments that a thread is let run for, at the most. */
const momentsMax = 100;

/**
 * Whether held threads are out of code that nobody enters any more. If not, they are to be let go
 * and held anew: what one has done meanwhile, who else has been born, nobody knows.
 * @param pc the name of the program counter.
 * @param attempt how often it has been tried before.
 */
export function leaveCode(
  threads: HeldThreads,
  pc: string,
  inside: (pc: bigint) => boolean,
  attempt: number,
): boolean {
  const found = threads.tids.filter((tid) => inside(threads.readRegisters(tid).get(pc)));
  if (attempt >= unhelped) for (const tid of found) letOut(threads, tid, pc, inside);
  return found.length === 0;
}

/**
 * Lets `tid` run until its pc is no longer `inside`; whether it is out, or has ended.
 * @param pc the name of the program counter.
 */
export function letOut(
  threads: HeldThreads,
  tid: Tid,
  pc: string,
  inside: (pc: bigint) => boolean,
): boolean {
  for (let moments = 0; moments < momentsMax; moments++) {
    if (!inside(threads.readRegisters(tid).get(pc)) || !threads.runOn(tid)) return true;
  }
  return false;
}
