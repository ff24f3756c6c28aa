/**
 * Holding all threads of a process, or one, for a moment.
 *
 * Seizing stops nothing; interrupting does. A thread that is found at the delivery of a signal
 * gets that signal when it is let go. Whatever happens in between, disposing lets every thread
 * go: the target runs on.
 */
import { assert, ensure } from "../base/assert.ts";
import type { Pid, Tid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { kill } from "../os/libc.ts";
import { isZombie, listThreads, readStatus } from "../os/proc.ts";
import {
  detach,
  interrupt,
  nap,
  poll,
  ptraceOption,
  Registers,
  type RestartArea,
  readRegisters,
  readSignalInfo,
  readSignalMask,
  restartArea,
  resume,
  seize,
  singleStep,
  type WaitEvent,
  waitFor,
  writeRegisters,
  writeSignalInfo,
  writeSignalMask,
} from "../os/ptrace.ts";
import { type Driven, toRest, toReturn, toSyscall, toTrap } from "./drive.ts";
import type { HeldThreads, RegisterFile, RunUntil } from "./process.ts";
import type { Frame, WayBack } from "./way-back.ts";

/** Longest wait for one thread to stop, in ms. */
const stopTimeoutMs = 3000;

/** Time that a thread is let run for, in ms. */
const momentMs = 0.5;

/** Threads that are held for nothing, at the most, before one is taken as it is. */
const unfitMax = 4;

/** A signal that was about to be delivered, with all that it says. */
type Signal = { readonly number: number; readonly info: Uint8Array };

type Held = {
  readonly tid: Tid;
  stopped: boolean;
  /** To be delivered when the thread is let go. */
  signal: Signal | undefined;
  /** The thread's own signal mask, while it blocks everything. */
  mask: bigint | undefined;
  /** Of a borrowed thread: where it would get back from. */
  frame: Frame | undefined;
};

const everySignal = 2n ** 64n - 1n;
/** System call numbers of x86-64. */
const sysRestart = 219n;
/** ERESTART_RESTARTBLOCK. */
const toBeRestarted = BigInt.asUintN(64, -516n);
const sysSigaltstack = 131n;

export class StoppedThreads implements HeldThreads {
  readonly pid: Pid;
  readonly #held = new Map<Tid, Held>();
  /** Signals to send to the process once more. */
  readonly #again: number[] = [];

  private constructor(pid: Pid) {
    this.pid = pid;
  }

  /** Stops every thread but `except` (the agent), also those that are born meanwhile. */
  static all(pid: Pid, except?: Tid): StoppedThreads {
    return StoppedThreads.#guarded(pid, (stopped) => {
      while (stopped.#hold(listThreads(pid).filter((tid) => tid !== except))) {
        // A thread that was still running may have made another: look again.
      }
    });
  }

  /** Stops one thread: rather one that is fit to be borrowed. */
  static one(pid: Pid): StoppedThreads {
    return StoppedThreads.#guarded(pid, (stopped) => {
      const candidates = listThreads(pid);
      let unfit = 0;
      for (let tries = 0; tries < candidates.length + unfitMax; tries++) {
        const tid = candidates[tries % candidates.length];
        if (tid !== undefined) stopped.#hold([tid]);
        if (stopped.#held.size === 0) continue;
        if (stopped.tids.every((one) => stopped.#isFit(one)) || ++unfit > unfitMax) return;
        stopped.letGo();
      }
    });
  }

  /**
   * Whether a thread is at a point from which it could get back by itself. The signal that one was
   * stopped by would have to wait; and what a system call that is restarted for the second time was
   * called at first, the kernel alone knows.
   */
  #isFit(tid: Tid): boolean {
    if (this.#held.get(tid)?.signal !== undefined) return false;
    const registers = readRegisters(tid);
    const isRestarted = registers.get("orig_rax") === sysRestart;
    return !isRestarted || registers.get("rax") !== toBeRestarted;
  }

  /** Stops thread `tid`; undefined when it has ended. */
  static oneIfThere(pid: Pid, tid: Tid): StoppedThreads | undefined {
    const stopped = new StoppedThreads(pid);
    try {
      stopped.#hold([tid]);
    } catch (error) {
      stopped.letGo();
      throw error;
    }
    return stopped.#held.size === 0 ? undefined : stopped;
  }

  /** Takes over a thread that is seized and stopped already, the only one of its process. */
  static adopt(pid: Pid, tid: Tid): StoppedThreads {
    const stopped = new StoppedThreads(pid);
    stopped.#held.set(tid, {
      tid,
      stopped: true,
      signal: undefined,
      mask: undefined,
      frame: undefined,
    });
    return stopped;
  }

  static #guarded(pid: Pid, hold: (stopped: StoppedThreads) => void): StoppedThreads {
    refuseTraced(pid);
    const stopped = new StoppedThreads(pid);
    try {
      hold(stopped);
    } catch (error) {
      stopped.letGo();
      throw error;
    }
    if (stopped.#held.size === 0) {
      throw new PatchbayError({
        code: "no-such-process",
        doing: `stop process ${pid}`,
        why: "it has no threads left",
      });
    }
    return stopped;
  }

  get tids(): readonly Tid[] {
    return [...this.#held.keys()];
  }

  /** A thread for system calls on its back, rather one that no signal is about to reach. */
  get quietest(): Tid {
    const held = [...this.#held.values()];
    const found = held.find(({ signal }) => signal === undefined) ?? held[0];
    return ensure(found, "a thread is held").tid;
  }

  /** Keeps signals from a thread that is to be driven, until it is let go. */
  blockSignals(tid: Tid): void {
    const held = ensure(this.#held.get(tid), "the thread is held");
    if (held.mask !== undefined) return;
    held.mask = readSignalMask(tid);
    writeSignalMask(tid, everySignal);
  }

  readRegisters(tid: Tid): Registers {
    return readRegisters(tid);
  }

  writeRegisters(tid: Tid, registers: RegisterFile): void {
    writeRegisters(tid, ownRegisters(registers));
  }

  restartArea(tid: Tid): RestartArea | undefined {
    return restartArea(tid);
  }

  runOn(tid: Tid): boolean {
    const held = ensure(this.#held.get(tid), "the thread is held");
    resume(tid, held.signal?.number);
    held.signal = undefined;
    held.stopped = false;
    nap(momentMs);
    const event = poll(tid);
    // One that has stopped by itself, at a signal, would stop once more.
    if (event === undefined) interrupt(tid);
    this.#take(held, event ?? waitFor(tid, stopTimeoutMs));
    return held.stopped;
  }

  /**
   * Borrows a thread; where there is a way back by which it could go on without this tracer, its
   * stack pointer for what it runs. Signals are blocked once it is on that way, which unblocks
   * them.
   */
  cover(tid: Tid, original: RegisterFile, way: WayBack | undefined): bigint | undefined {
    const held = ensure(this.#held.get(tid), "the thread is held");
    held.frame = way?.lay(tid, ownRegisters(original));
    if (way === undefined || held.frame === undefined) {
      this.blockSignals(tid);
      return undefined;
    }
    const { sp, signalStack } = held.frame;
    const registers = ownRegisters(original)
      .copy()
      .set("rip", way.gate)
      .set("rsp", sp)
      .set("orig_rax", -1n);
    registers.set("rax", sysSigaltstack).set("rdi", 0n).set("rsi", signalStack);
    writeRegisters(tid, registers);
    this.blockSignals(tid);
    // A signal that it was stopped by would come too early.
    if (held.signal !== undefined) this.#again.push(held.signal.number);
    held.signal = undefined;
    const driven = this.#driven("look at the signal stack", tid);
    toSyscall(driven);
    toSyscall(driven);
    return sp;
  }

  /**
   * The thread may have been interrupted inside a system call of its own; its `orig_rax` is put
   * back with the rest, so that the kernel restarts that call when the thread is let go.
   */
  giveBack(tid: Tid, original: RegisterFile): void {
    const held = this.#held.get(tid);
    if (held === undefined) return;
    try {
      if (held.frame === undefined) this.writeRegisters(tid, original);
      else {
        if (held.mask !== undefined) writeSignalMask(tid, held.mask);
        held.mask = undefined;
        held.frame = undefined;
        toRest(this.#driven("give back", tid), ownRegisters(original));
      }
    } catch (error) {
      // The thread is gone, and its registers with it.
      if (!(error instanceof PatchbayError) || error.code !== "no-such-process") throw error;
    }
  }

  run(
    doing: string,
    tid: Tid,
    registers: RegisterFile,
    until: RunUntil,
    original: RegisterFile,
  ): Registers {
    const driven = this.#driven(doing, tid);
    const frame = this.#held.get(tid)?.frame;
    this.writeRegisters(tid, registers.copy().set("orig_rax", -1n));
    if (frame === undefined || until === "trap") {
      toTrap(driven, () => (until === "trap" ? resume(tid) : singleStep(tid)));
      const after = readRegisters(tid);
      toRest(driven, frame === undefined ? ownRegisters(original) : backBy(frame, after));
      return after;
    }
    if (until === "return") toReturn(driven, frame, () => this.#held.delete(tid));
    else {
      toSyscall(driven);
      toSyscall(driven);
    }
    return readRegisters(tid);
  }

  #driven(doing: string, tid: Tid): Driven {
    return { doing, pid: this.pid, tid, keepSignal: (number) => this.#keepSignal(tid, number) };
  }

  #keepSignal(tid: Tid, number: number): void {
    const held = this.#held.get(tid);
    if (held === undefined) return;
    if (held.signal === undefined) held.signal = { number, info: readSignalInfo(tid) };
    else this.#again.push(number);
  }

  /** Seizes and stops those of `tids` that are not held yet; whether there were any. */
  #hold(tids: readonly Tid[]): boolean {
    const fresh: Held[] = [];
    for (const tid of tids) {
      if (this.#held.has(tid) || !this.#seize(tid)) continue;
      const held: Held = {
        tid,
        stopped: false,
        signal: undefined,
        mask: undefined,
        frame: undefined,
      };
      this.#held.set(tid, held);
      fresh.push(held);
    }
    for (const held of fresh) interrupt(held.tid);
    for (const held of fresh) this.#take(held, waitFor(held.tid, stopTimeoutMs));
    return fresh.length > 0;
  }

  /**
   * Whether there is a thread to be held. One that has exited stays as a zombie if it is the first.
   */
  #seize(tid: Tid): boolean {
    try {
      return seize(tid, ptraceOption.traceSyscallGood);
    } catch (error) {
      if (isZombie(tid)) return false;
      throw error;
    }
  }

  /** What has become of a thread that was to stop. */
  #take(held: Held, event: WaitEvent): void {
    switch (event.kind) {
      case "exited":
      case "killed":
        this.#held.delete(held.tid);
        return;
      case "signal":
        held.signal = { number: event.signal, info: readSignalInfo(held.tid) };
        break;
      case "event-stop":
      case "exec":
      case "syscall":
        break;
    }
    held.stopped = true;
  }

  /** Lets every thread go. Idempotent. */
  letGo(): void {
    for (const held of this.#held.values()) {
      if (!held.stopped) this.#settle(held);
      if (held.stopped) release(held);
    }
    this.#held.clear();
    for (const number of this.#again.splice(0)) kill(this.pid, number);
  }

  /** A seized thread that never stopped can't be detached: give it a last moment to do so. */
  #settle(held: Held): void {
    const event = poll(held.tid);
    if (event === undefined || event.kind === "exited" || event.kind === "killed") return;
    if (event.kind === "signal") {
      held.signal = { number: event.signal, info: readSignalInfo(held.tid) };
    }
    held.stopped = true;
  }

  [Symbol.dispose](): void {
    this.letGo();
  }
}

/** The registers of a thread that is about to go the way back. */
const backBy = ({ sp, restorer }: Frame, registers: Registers): Registers =>
  registers.copy().set("rip", restorer).set("rsp", sp).set("orig_rax", -1n);

function ownRegisters(registers: RegisterFile): Registers {
  assert(registers instanceof Registers, "they are those of a thread under ptrace");
  return registers;
}

/** Lets a stopped thread go on as if nothing had been. It may have been killed meanwhile. */
function release({ tid, signal, mask }: Held): void {
  try {
    if (mask !== undefined) writeSignalMask(tid, mask);
    if (signal !== undefined) writeSignalInfo(tid, signal.info);
  } catch (error) {
    if (!(error instanceof PatchbayError) || error.code !== "no-such-process") throw error;
  }
  detach(tid, signal?.number ?? 0);
}

/** Another debugger has the process: say which, and touch nothing. */
function refuseTraced(pid: Pid): void {
  const tracer = readStatus(pid).get("TracerPid") ?? "0";
  if (tracer === "0") return;
  throw new PatchbayError({
    code: "already-traced",
    doing: `attach to process ${pid}`,
    why: `process ${tracer} is tracing it`,
    hint: `end that debugger or tracer first: kill ${tracer}`,
  });
}
