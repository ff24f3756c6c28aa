/**
 * Driving one stopped thread: to the next beginning or end of a system call, to the return from a
 * function, to a trap, and to a rest. Signals that come meanwhile are kept for later.
 */
import type { Pid, Tid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import {
  detach,
  interrupt,
  type Registers,
  readRegisters,
  resume,
  resumeToSyscall,
  signal,
  waitFor,
  waitUpTo,
  writeRegisters,
} from "../os/ptrace.ts";
import type { Frame } from "./way-back.ts";

/** Longest wait for a driven thread, in ms. */
const driveTimeoutMs = 3000;
/** The same between two system calls of a function, which may have work to do, in ms. */
const workTimeoutMs = 30_000;
const sysSigreturn = 15n;

export type Driven = {
  readonly pid: Pid;
  readonly tid: Tid;
  /** What for, in errors. */
  readonly doing: string;
  /** Is given what arrives. Only SIGSTOP can: the other signals are blocked meanwhile. */
  readonly keepSignal: (number: number) => void;
};

const ended = ({ pid, doing }: Driven): PatchbayError =>
  new PatchbayError({
    code: "target-exited",
    doing: `${doing} in process ${pid}`,
    why: "the process has ended",
  });

/** Lets a thread run up to the next beginning or end of a system call. */
export function toSyscall(driven: Driven, timeoutMs: number = driveTimeoutMs): void {
  for (;;) {
    resumeToSyscall(driven.tid);
    const event = waitFor(driven.tid, timeoutMs);
    if (event.kind === "syscall") return;
    if (event.kind === "signal") driven.keepSignal(event.signal);
    if (event.kind === "exited" || event.kind === "killed") throw ended(driven);
  }
}

/**
 * Lets a thread run until it returns to its way back, and takes it from there to its beginning. One
 * that does not for long is let go, and gets back by itself; that is an error.
 * @param onLetGo is told so: it is not held any more.
 */
export function toReturn(driven: Driven, { sp, restorer }: Frame, onLetGo: () => void): void {
  try {
    for (;;) {
      toSyscall(driven, workTimeoutMs);
      const registers = readRegisters(driven.tid);
      const isReturn =
        registers.get("orig_rax") === sysSigreturn && registers.get("rsp") === sp + 8n;
      // The system call does not happen; should this tracer die now, the way is gone once more.
      if (isReturn) {
        registers.set("orig_rax", -1n).set("rip", restorer).set("rsp", sp);
        writeRegisters(driven.tid, registers);
      }
      toSyscall(driven, workTimeoutMs);
      if (isReturn) return;
    }
  } catch (error) {
    onLetGo();
    if (interrupt(driven.tid)) letGo(driven.tid);
    throw error;
  }
}

/** Lets a thread go that was told to stop, once it has. */
function letGo(tid: Tid): void {
  const event = waitUpTo(tid, driveTimeoutMs);
  if (event !== undefined) detach(tid, event.kind === "signal" ? event.signal : 0);
}

/** Lets a thread run until it traps, by `go` after each signal that comes before. */
export function toTrap(driven: Driven, go: () => void): void {
  for (;;) {
    go();
    const event = waitFor(driven.tid, driveTimeoutMs);
    if (event.kind === "exited" || event.kind === "killed") throw ended(driven);
    if (event.kind !== "signal") continue;
    if (event.signal === signal.trap) return;
    driven.keepSignal(event.signal);
  }
}

/**
 * Takes the thread from where it was driven to, with `registers`, to a stop that no signal is the
 * reason of. Should this tracer be killed now, the thread goes on as if nothing had been; in a trap
 * it would die of SIGTRAP. Signals that were blocked may come by now.
 */
export function toRest(driven: Driven, registers: Registers): void {
  interrupt(driven.tid);
  writeRegisters(driven.tid, registers);
  for (;;) {
    resume(driven.tid);
    const event = waitFor(driven.tid, driveTimeoutMs);
    // One that has ended has no further use for being stopped.
    if (event.kind !== "signal") return;
    driven.keepSignal(event.signal);
  }
}
