/**
 * Holds a program that a thread is about to become: the thread waits at the gate of execs, is
 * seized there, and runs on into its exec, which ptrace reports before the new program's first
 * instruction. Where the exec fails, the thread is let go as if nothing had been.
 */
import { type CodeAddr, type Pid, type Tid, tid as toTid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import {
  detach,
  interrupt,
  nap,
  poll,
  ptraceOption,
  readRegisters,
  resume,
  resumeToSyscall,
  seize,
  type WaitEvent,
  waitFor,
} from "../os/ptrace.ts";
import { arriveAt } from "./arrival.ts";
import { wouldLoseRights } from "./exec-rights.ts";
import { StoppedThreads } from "./stop.ts";

/** What came of an exec. */
export type Exec =
  | { readonly kind: "held"; readonly held: StoppedThreads }
  /** It failed, and the thread goes on. */
  | { readonly kind: "failed" }
  /** The program that came is none that can be held: it runs, and why it is not held. */
  | { readonly kind: "let-go"; readonly why: string }
  | { readonly kind: "ended"; readonly event: WaitEvent };

/** execve and execveat of x86-64. */
const execCalls: readonly bigint[] = [59n, 322n];
/** Longest wait for a thread to stop, and for one that has passed the gate to get on, in ms. */
const stopMs = 10_000;
const execMs = 60_000;

/** Seizes and stops thread `tid`, which waits at the gate. False: it has ended. */
export function holdAtGate(tid: Tid): boolean {
  if (!seize(tid, ptraceOption.traceExec | ptraceOption.traceSyscallGood)) return false;
  if (!interrupt(tid)) return false;
  for (;;) {
    const event = waitFor(tid, stopMs);
    if (event.kind === "event-stop") return true;
    if (event.kind === "exited" || event.kind === "killed") return false;
    resume(tid, event.kind === "signal" ? event.signal : 0);
  }
}

/**
 * Lets thread `tid` of process `pid`, which has been told to pass the gate, exec, and holds what
 * comes at the address that `startOf` gives.
 */
export function holdExec(pid: Pid, tid: Tid, startOf: (pid: Pid) => CodeAddr): Exec {
  let last = performance.now();
  let isInCall = false;
  resumeToSyscall(tid);
  for (;;) {
    const event = pollEither(pid, tid);
    if (event === undefined) {
      if (performance.now() - last > execMs) return letGo(tid);
      nap(0.1);
      continue;
    }
    last = performance.now();
    if (event.kind === "exec") return holdStart(pid, startOf);
    if (event.kind === "exited" || event.kind === "killed") return { kind: "ended", event };
    if (event.kind === "syscall") {
      const isExec = execCalls.includes(readRegisters(tid).get("orig_rax"));
      // The end of a call that has failed: one that works never gets there.
      if (isExec && isInCall) {
        detach(tid);
        return { kind: "failed" };
      }
      isInCall = isExec;
      if (isExec && wouldLoseRights(pid, readRegisters(tid))) {
        detach(tid);
        return { kind: "let-go", why: "traced by us, it would not get the rights of its file" };
      }
    }
    resumeToSyscall(tid, event.kind === "signal" ? event.signal : 0);
  }
}

/** What has happened to the thread; one that execs gets the id of its process. */
function pollEither(pid: Pid, tid: Tid): WaitEvent | undefined {
  const event = poll(tid);
  return event?.kind === "exited" && tid !== toTid(pid) ? poll(toTid(pid)) : event;
}

/** Gives up on a thread that does not exec after all. */
function letGo(tid: Tid): Exec {
  interrupt(tid);
  const event = waitFor(tid, stopMs);
  detach(tid, event.kind === "signal" ? event.signal : 0);
  return { kind: "let-go", why: "the thread that was to exec did not get on" };
}

/** The program that has just come runs up to its start, or, where that can't be, as it is. */
function holdStart(pid: Pid, startOf: (pid: Pid) => CodeAddr): Exec {
  let start: CodeAddr;
  try {
    start = startOf(pid);
  } catch (error) {
    if (!(error instanceof PatchbayError)) throw error;
    detach(toTid(pid));
    return { kind: "let-go", why: error.why };
  }
  const arrival = arriveAt(pid, start);
  if (arrival.kind === "arrived") {
    return { kind: "held", held: StoppedThreads.adopt(pid, toTid(pid)) };
  }
  return arrival.kind === "ended" ? arrival : { kind: "let-go", why: "it did not begin for long" };
}
