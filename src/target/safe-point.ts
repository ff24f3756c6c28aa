/**
 * Finding a thread that can be made to call a function: one that holds none of the locks which
 * that function takes. Threads are held one at a time for a look; the others run.
 */
import type { Tid } from "../base/brand.ts";
import { nap } from "../os/ptrace.ts";
import type { HeldThreads, TargetProcess } from "./process.ts";

/** How often a thread at a safe point is looked for. */
const safePointTries = 500;

/**
 * Runs `work` on the first thread that is found at a safe point; whether there was one.
 * @param except makes no calls: the agent.
 * @param isSafe looks at a held thread.
 */
export function atSafePoint(
  process: TargetProcess,
  except: Tid | undefined,
  isSafe: (threads: HeldThreads, tid: Tid) => boolean,
  work: (threads: HeldThreads, tid: Tid) => void,
): boolean {
  for (let tries = 0; tries < safePointTries; tries++) {
    for (const tid of process.threads()) {
      if (tid === except) continue;
      using threads = process.hold(tid);
      if (threads === undefined || !isSafe(threads, tid)) continue;
      work(threads, tid);
      return true;
    }
    nap(1);
  }
  return false;
}
