/**
 * Grace periods: after code, ops or lists have been taken out of use, and before they are freed,
 * every thread is seen outside of all generated code. It is a rolling look: one thread at a time is
 * held, for an instant; one that stands in generated code is let run on until it is out of it.
 *
 * What a thread holds only while it is in generated code - a literal that it has loaded, an entry
 * of the list, an address of a routine - is not held any more by then. Return addresses on stacks
 * are another matter: see `mirror-repair.ts`.
 */
import type { Tid } from "../base/brand.ts";
import { nap } from "../os/ptrace.ts";
import { letOut } from "./leave-code.ts";
import type { TargetProcess } from "./process.ts";
import { findRestorers, findSignalFrames } from "./signal-frames.ts";

/** How often a thread is looked at whose signal handler has interrupted generated code. */
const looksMax = 5;

/**
 * Waits until every thread of `process` has been seen outside.
 * @param inside whether a pc is in generated code.
 * @param except the agent, which never is.
 * @returns false where a signal handler that has interrupted generated code does not end.
 */
export function passGrace(
  process: TargetProcess,
  inside: (pc: bigint) => boolean,
  except: Tid | undefined,
): boolean {
  const { memory, backEnd } = process;
  const { pc, sp } = backEnd.registers;
  const maps = process.maps();
  const restorers = findRestorers(memory, maps);
  const isOutside = (tid: Tid): boolean => {
    using threads = process.hold(tid);
    if (threads === undefined) return true;
    if (!letOut(threads, tid, pc, inside)) return false;
    if (!threads.tids.includes(tid)) return true;
    const stack = threads.readRegisters(tid).get(sp);
    return !findSignalFrames(memory, maps, stack, restorers).some((frame) => inside(frame.pc));
  };
  let left = process.threads().filter((tid) => tid !== except);
  for (let looks = 0; looks < looksMax; looks++) {
    left = left.filter((tid) => !isOutside(tid));
    if (left.length === 0) return true;
    nap(1);
  }
  return false;
}
