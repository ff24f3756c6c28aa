/**
 * A process under a GDB stub that runs on this machine: the stub holds and drives threads, while
 * memory and descriptors are reached through /proc.
 *
 * Two kinds of stub. A debugger's (gdbserver) traces a process of this machine: when one thread
 * stops, all do. An emulator's (qemu-user) stops the thread alone that a signal or a breakpoint
 * has come to, while the others run on, and tells of every signal before the program gets it. So
 * an emulator's stub is only there until the program runs: it holds the one thread that there is
 * then, and is left while it does. An emulator that finds nobody listening lets its program go on
 * for good; one whose signal nobody wants to hear of dies of it (SIGPIPE).
 */
import { ensure } from "../../base/assert.ts";
import { type CodeAddr, type Pid, type Tid, tid as toTid } from "../../base/brand.ts";
import { PatchbayError } from "../../base/error.ts";
import type { BackEnd } from "../../codegen/back-end.ts";
import { kill } from "../../os/libc.ts";
import {
  isAsleep,
  listThreads,
  type Mapping,
  ProcessMemory,
  readMaps,
  runTimeNs,
} from "../../os/proc.ts";
import { nap, signal } from "../../os/ptrace.ts";
import { findRoomAbove } from "../address-space.ts";
import type { TargetMemory, TargetProcess } from "../process.ts";
import type { GdbClient } from "./client.ts";
import { linuxSignal, type StopReply } from "./stop-reply.ts";
import { StubHeld } from "./stub-held.ts";

/** Longest wait for a thread to stop, in ms. */
const stopTimeoutMs = 10_000;
const interruptSignal = 2;
/** More than an emulator takes for one block of instructions, in ns of a thread's own time. */
const progressNs = 1_000_000n;
/** Longest wait for a thread that is ready to run, in ms. */
const progressTimeoutMs = 20_000;
/** qemu-user maps what programs ask for from 256 or 340 GiB on. */
const ringsFrom = 0x70_0000_0000n;

/** How a program under a stub has ended. */
export type StubEnd = Extract<StopReply, { kind: "exited" | "killed" }>;

export type StubKind = "emulator" | "debugger";

export type StubParts = {
  readonly pid: Pid;
  readonly kind: StubKind;
  readonly client: GdbClient;
  readonly backEnd: BackEnd;
  /** Code that is not executed any more once the program runs: its entry point. */
  readonly entry: CodeAddr;
};

export class StubProcess implements TargetProcess {
  readonly pid: Pid;
  readonly kind: StubKind;
  readonly backEnd: BackEnd;
  readonly client: GdbClient;
  readonly memory: TargetMemory;
  /**
   * An emulator keeps account of each page that its program maps: 4 GiB is what it bears with, and
   * its stacks lie close to each other.
   */
  readonly mirrorWindowBits: number;
  readonly holdsAll: boolean;
  readonly #entry: CodeAddr;
  readonly #memory: ProcessMemory;
  #end: StubEnd | undefined;
  #isHungUp = false;

  constructor({ pid, kind, client, backEnd, entry }: StubParts) {
    this.pid = pid;
    this.kind = kind;
    this.client = client;
    this.backEnd = backEnd;
    this.#entry = entry;
    this.holdsAll = kind === "debugger";
    this.mirrorWindowBits = kind === "emulator" ? 32 : 41;
    this.#memory = new ProcessMemory(pid);
    this.memory = {
      read: (address, length) => this.#memory.read(address, length),
      readU64: (address) => this.#memory.readU64(address),
      write: (address, bytes) => this.#memory.write(address, bytes),
      writeText: (address, bytes) => this.#writeText(address, bytes),
    };
  }

  /** How the program has ended, if it has and the stub has said so; with Linux' signal. */
  get end(): StubEnd | undefined {
    const end = this.#end;
    return end?.kind === "killed" ? { ...end, signal: linuxSignal(end.signal) } : end;
  }

  /** An emulator keeps translated code: a breakpoint that comes and goes makes it look again. */
  #writeText(address: bigint, bytes: Uint8Array): void {
    if (this.kind === "debugger") {
      this.client.writeMemory(address, bytes);
      return;
    }
    this.#memory.write(address, bytes);
    const step = this.backEnd.syscallInstruction.length;
    for (let at = 0; at < bytes.length; at += step) {
      this.client.insertBreakpoint(address + BigInt(at), step);
      this.client.removeBreakpoint(address + BigInt(at), step);
    }
  }

  /** Far from where the stacks of an emulated program are: all of these are to be mirrored. */
  roomForRings(bytes: bigint): bigint {
    return this.kind === "debugger" ? 0n : findRoomAbove(this.maps(), ringsFrom, bytes);
  }

  maps(): readonly Mapping[] {
    return readMaps(this.pid);
  }

  threads(): readonly Tid[] {
    return listThreads(this.pid);
  }

  holdAll(except?: Tid): StubHeld {
    return this.#stopAny(this.threads().filter((tid) => tid !== except));
  }

  holdOne(): StubHeld {
    return this.#stopAny(this.threads());
  }

  hold(tid: Tid): StubHeld | undefined {
    return this.#stopAny([tid]);
  }

  /** All threads of a debugger's process stop together. */
  #stopAny(tids: readonly Tid[]): StubHeld {
    if (this.kind === "emulator") {
      throw new PatchbayError({
        code: "unsupported",
        doing: `hold a thread of process ${this.pid}`,
        why: "an emulated program can be held before it runs, and not later",
        hint: "choose all functions before it runs, or record entries alone (--no-exits)",
      });
    }
    this.attend();
    if (this.#end !== undefined) throw this.#gone("hold it");
    this.client.interrupt();
    const stop = this.#next(stopTimeoutMs);
    if (stop?.kind !== "stopped") throw this.#gone("hold it");
    const thread = this.client.threads().find(({ thread: id }) => id === tids[0]);
    const named = thread ?? stop.thread ?? { process: undefined, thread: this.pid };
    const signals = stop.signal === interruptSignal ? [] : [stop.signal];
    return new StubHeld(this, named, tids, signals);
  }

  /** Lets all that is held go on, with these signals, by GDB's numbers. */
  letRun(signals: readonly number[]): void {
    const [first = 0, ...rest] = signals;
    if (this.kind === "emulator") this.#endTalk();
    else this.client.resume({ action: "continue", signal: first });
    // A stub delivers one at a time.
    for (const number of this.kind === "emulator" ? signals : rest) {
      kill(this.pid, linuxSignal(number));
    }
  }

  #endTalk(): void {
    if (!this.#isHungUp) this.client[Symbol.dispose]();
    this.#isHungUp = true;
  }

  /** Takes over a thread that is stopped and stands for all: a program that was just started. */
  adopt(): StubHeld {
    const { stop } = this.client;
    const stopped = stop?.kind === "stopped" ? stop.thread : undefined;
    const thread = ensure(stopped ?? this.client.currentThread(), "a thread that is stopped");
    return new StubHeld(this, thread, [toTid(thread.thread)]);
  }

  /**
   * An emulator translates whole blocks of instructions, and a window lies within one: a thread
   * that sleeps has come to a block's end, and so has one that has run for a while since.
   */
  awaitProgress(except: Tid | undefined): void {
    const waiting = new Map(this.threads().map((tid) => [tid, runTimeNs(this.pid, tid)]));
    if (except !== undefined) waiting.delete(except);
    const deadline = performance.now() + progressTimeoutMs;
    for (;;) {
      for (const [tid, before] of waiting) {
        const now = runTimeNs(this.pid, tid);
        if (now === undefined || before === undefined || now - before > progressNs) {
          waiting.delete(tid);
        } else if (isAsleep(this.pid, tid)) waiting.delete(tid);
      }
      if (waiting.size === 0) return;
      if (performance.now() > deadline) {
        throw new PatchbayError({
          code: "system",
          doing: `wait for the threads of process ${this.pid}`,
          why: `${waiting.size} of them have not run for ${progressTimeoutMs / 1000} s`,
          hint: "is the process stopped or frozen? continue it",
        });
      }
      nap(1);
    }
  }

  /** The next stop, its end noted if it is that. */
  #next(timeoutMs: number): StopReply | undefined {
    const stop = this.client.waitStop(Math.max(0, timeoutMs));
    if (stop?.kind === "exited" || stop?.kind === "killed") this.#end = stop;
    return stop;
  }

  /** Passes the program's own signals on to it. To be called now and then while nobody is held. */
  attend(): void {
    if (this.#isHungUp || this.#end !== undefined || this.client.stop !== undefined) return;
    try {
      for (let stop = this.#next(0); stop?.kind === "stopped"; stop = this.#next(0)) {
        this.client.resume({ action: "continue", signal: stop.signal });
      }
    } catch (error) {
      // Nobody is there any more who would wait for an answer.
      if (!(error instanceof PatchbayError) || error.code !== "target-exited") throw error;
      this.#endTalk();
    }
  }

  threadPointer(held: StubHeld, tid: Tid): bigint {
    const { registers, threadInstruction } = this.backEnd;
    const values = held.readRegisters(tid);
    if (threadInstruction === undefined) return values.get(registers.thread);
    const at = this.#entry + BigInt(this.backEnd.syscallInstruction.length);
    const after = held.run(
      "read the thread pointer",
      tid,
      values.copy().set(registers.pc, at),
      "syscall",
      values,
    );
    return after.get(registers.callResult);
  }

  /**
   * The program's entry point, which nobody executes any more: a system call instruction and what
   * reads the thread pointer stand there while a thread is driven.
   */
  syscallGate(): CodeAddr {
    return this.#entry;
  }

  /** The stub's own end does not let a thread get back by itself. */
  borrow(): undefined {}

  /** Puts the gate up, or what was there; what is to be put back. */
  raiseGate(): Uint8Array {
    const { syscallInstruction, threadInstruction = new Uint8Array(0) } = this.backEnd;
    const gate = Uint8Array.from([...syscallInstruction, ...threadInstruction]);
    const before = this.#memory.read(this.#entry, gate.length);
    this.#writeText(this.#entry, gate);
    return before;
  }

  lowerGate(before: Uint8Array): void {
    this.#writeText(this.#entry, before);
  }

  /** Kills the program. */
  abandon(): void {
    kill(this.pid, signal.kill);
  }

  #gone(what: string): PatchbayError {
    const doing = `${what} in process ${this.pid}`;
    return new PatchbayError({ code: "target-exited", doing, why: "the process has ended" });
  }

  /** Ends talking to the stub; the program runs on. */
  hangUp(): void {
    this.#endTalk();
    this.#memory[Symbol.dispose]();
  }

  /** Who has borrowed it gives it back: the stub is there for whoever comes next. */
  [Symbol.dispose](): void {
    this.attend();
  }
}
