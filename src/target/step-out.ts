/** Gets a held thread out of generated code by single steps, so that the code can be unmapped. */
import type { Tid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { readRegisters, signal, singleStep, waitFor } from "../os/ptrace.ts";
import type { StoppedThreads } from "./stop.ts";

/** More instructions than any path through a thunk and the claim routine of 4096 rings takes. */
const stepsMax = 100_000;
const stepTimeoutMs = 3000;

/** Steps `tid` until its pc is no longer `inside`. Signals that come meanwhile are kept. */
export function stepOut(threads: StoppedThreads, tid: Tid, inside: (pc: bigint) => boolean): void {
  for (let steps = 0; steps < stepsMax; steps++) {
    if (!inside(readRegisters(tid).get("rip"))) return;
    threads.blockSignals(tid);
    singleStep(tid);
    const event = waitFor(tid, stepTimeoutMs);
    if (event.kind === "exited" || event.kind === "killed") return;
    if (event.kind === "signal" && event.signal !== signal.trap) {
      threads.keepSignal(tid, event.signal);
    }
  }
  throw new PatchbayError({
    code: "system",
    doing: `get thread ${tid} out of generated code`,
    why: `it did not leave within ${stepsMax} instructions`,
  });
}
