/**
 * Driving one stopped thread: to the next beginning or end of a system call, to the return from a
 * function, to a trap, and to a rest. Signals that come meanwhile are kept for later.
 */
import type { Pid, Tid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import {
  interrupt,
  type Registers,
  readRegisters,
  resume,
  resumeToSyscall,
  signal,
  waitFor,
  writeRegisters,
} from "../os/ptrace.ts";
import type { Frame } from "./way-back.ts";

/** Longest wait for a driven thread, in ms. */
const driveTimeoutMs = 3000;
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
export function toSyscall(driven: Driven): void {
  for (;;) {
    resumeToSyscall(driven.tid);
    const event = waitFor(driven.tid, driveTimeoutMs);
    if (event.kind === "syscall") return;
    if (event.kind === "signal") driven.keepSignal(event.signal);
    if (event.kind === "exited" || event.kind === "killed") throw ended(driven);
  }
}

/** Lets a thread run until it returns to its way back, and takes it from there to its beginning. */
export function toReturn(driven: Driven, { sp, restorer }: Frame): void {
  for (;;) {
    toSyscall(driven);
    const registers = readRegisters(driven.tid);
    const isReturn = registers.get("orig_rax") === sysSigreturn && registers.get("rsp") === sp + 8n;
    // The system call does not happen; should this tracer die now, the way is gone once more.
    if (isReturn) {
      registers.set("orig_rax", -1n).set("rip", restorer).set("rsp", sp);
      writeRegisters(driven.tid, registers);
    }
    toSyscall(driven);
    if (isReturn) return;
  }
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
