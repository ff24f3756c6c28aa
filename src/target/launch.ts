/**
 * Starts a program and holds it where it can be traced from its first own instruction on: the
 * loader has run and the thread pointer is set, but no code of the program itself has.
 */
import { type CodeAddr, type Pid, type Tid, tid as toTid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { kill } from "../os/libc.ts";
import { ptraceOption, resume, seize, signal, type WaitEvent, waitFor } from "../os/ptrace.ts";
import { type SpawnOptions, spawnStopped } from "../os/spawn.ts";
import { arriveAt } from "./arrival.ts";
import { StoppedThreads } from "./stop.ts";

/** Longest wait for the program to come up to its entry point, in ms. */
const startTimeoutMs = 30_000;

const died = (doing: string, event: WaitEvent): PatchbayError => {
  const why =
    event.kind === "killed"
      ? `it was killed by signal ${event.signal}`
      : `it ended with status ${event.kind === "exited" ? event.status : -1} before it began`;
  return new PatchbayError({ code: "target-exited", doing, why });
};

/** Waits for `wanted`, delivering the signals that come before it. */
function runUntil(tid: Tid, doing: string, wanted: (event: WaitEvent) => boolean): void {
  for (;;) {
    const event = waitFor(tid, startTimeoutMs);
    if (wanted(event)) return;
    if (event.kind === "exited" || event.kind === "killed") throw died(doing, event);
    // The stop that the shell gave itself, seen again: it must not stop the program once more.
    const deliver = event.kind === "signal" && event.signal !== signal.stop ? event.signal : 0;
    resume(tid, deliver);
  }
}

/**
 * Starts `command` and runs it up to the address that `stopAt` names once the program's image is
 * mapped (its entry point, or `main` of a static program). The caller disposes of what it gets,
 * which lets the program go.
 */
export function launchHeld(
  command: readonly string[],
  options: SpawnOptions,
  stopAt: (pid: Pid) => CodeAddr,
): StoppedThreads {
  const doing = `start ${command[0] ?? "nothing"}`;
  const pid = spawnStopped(command, options);
  const tid = toTid(pid);
  waitStopped(tid, doing);
  const reports = ptraceOption.traceExec | ptraceOption.traceSyscallGood;
  if (!seize(tid, reports)) throw died(doing, { kind: "exited", status: -1 });
  try {
    kill(pid, signal.cont);
    runUntil(tid, doing, (event) => event.kind === "exec");
    const arrival = arriveAt(pid, stopAt(pid));
    if (arrival.kind === "ended") throw died(doing, arrival.event);
    if (arrival.kind === "arrived") return StoppedThreads.adopt(pid, tid);
    throw new PatchbayError({ code: "system", doing, why: "it does not begin" });
  } catch (error) {
    kill(pid, signal.kill);
    throw error;
  }
}

/** The child's own stop is reported to us as its parent, before we are its tracer. */
function waitStopped(tid: Tid, doing: string): void {
  const event = waitFor(tid, startTimeoutMs, { untraced: true });
  if (event.kind !== "signal") throw died(doing, event);
}
