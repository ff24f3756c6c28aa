/** Gets a held thread out of generated code by single steps, so that the code can be unmapped. */
import type { Tid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import type { HeldThreads } from "./process.ts";

/** More instructions than any path through a thunk and the claim routine of 4096 rings takes. */
const stepsMax = 100_000;

/** Looks after which threads that are still inside are stepped. */
const unstepped = 20;

/**
 * Gets held threads out of code that nobody enters any more; whether they are out. They leave by
 * themselves, unless they are not scheduled for long: one that is stepped dies with its tracer.
 * @param pc the name of the program counter.
 * @param attempt how often it has been tried before.
 */
export function leaveCode(
  threads: HeldThreads,
  pc: string,
  inside: (pc: bigint) => boolean,
  attempt: number,
): boolean {
  const isInside = (tid: Tid): boolean => inside(threads.readRegisters(tid).get(pc));
  if (attempt < unstepped) return !threads.tids.some(isInside);
  for (const tid of threads.tids) stepOut(threads, tid, pc, inside);
  return true;
}

/**
 * Steps `tid` until its pc is no longer `inside`. Signals that come meanwhile are kept.
 * @param pc the name of the program counter.
 */
export function stepOut(
  threads: HeldThreads,
  tid: Tid,
  pc: string,
  inside: (pc: bigint) => boolean,
): void {
  for (let steps = 0; steps < stepsMax; steps++) {
    if (!inside(threads.readRegisters(tid).get(pc)) || !threads.step(tid)) return;
  }
  throw new PatchbayError({
    code: "system",
    doing: `get thread ${tid} out of generated code`,
    why: `it did not leave within ${stepsMax} instructions`,
  });
}
