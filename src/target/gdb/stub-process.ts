/**
 * A program under an emulator's GDB stub (qemu-user) that runs on this machine: the stub holds and
 * drives its thread, while memory and descriptors are the emulator's, reached through /proc.
 *
 * The stub stops the thread alone that a signal or a breakpoint has come to, while the others run
 * on, and tells of every signal before the program gets it. So it is only there until the program
 * runs: it holds the one thread that there is then, and is left while it does. An emulator that
 * finds nobody listening lets its program go on for good; one that wants to tell somebody of a
 * signal who is not there any more dies of it (SIGPIPE).
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
import { linuxSignal } from "./stop-reply.ts";
import { StubHeld } from "./stub-held.ts";

/** More than an emulator takes for one block of instructions, in ns of a thread's own time. */
const progressNs = 1_000_000n;
/** Longest wait for a thread that is ready to run, in ms. */
const progressTimeoutMs = 20_000;
/** qemu-user maps what programs ask for from 256 or 340 GiB on. */
const ringsFrom = 0x70_0000_0000n;

export type StubParts = {
  readonly pid: Pid;
  readonly client: GdbClient;
  readonly backEnd: BackEnd;
  /** Code that is not executed any more once the program runs: its entry point. */
  readonly entry: CodeAddr;
};

export class StubProcess implements TargetProcess {
  readonly pid: Pid;
  readonly backEnd: BackEnd;
  readonly client: GdbClient;
  readonly memory: TargetMemory;
  /**
   * An emulator keeps account of each page that its program maps: 4 GiB is what it bears with, and
   * its stacks lie close to each other.
   */
  readonly mirrorWindowBits = 32;
  readonly holdsAll = false;
  readonly #entry: CodeAddr;
  readonly #memory: ProcessMemory;
  #isHungUp = false;

  constructor({ pid, client, backEnd, entry }: StubParts) {
    this.pid = pid;
    this.client = client;
    this.backEnd = backEnd;
    this.#entry = entry;
    this.#memory = new ProcessMemory(pid);
    this.memory = {
      read: (address, length) => this.#memory.read(address, length),
      readU64: (address) => this.#memory.readU64(address),
      write: (address, bytes) => this.#memory.write(address, bytes),
      writeText: (address, bytes) => this.#writeText(address, bytes),
    };
  }

  /** An emulator keeps translated code: a breakpoint that comes and goes makes it look again. */
  #writeText(address: bigint, bytes: Uint8Array): void {
    this.#memory.write(address, bytes);
    const step = this.backEnd.syscallInstruction.length;
    for (let at = 0; at < bytes.length; at += step) {
      this.client.insertBreakpoint(address + BigInt(at), step);
      this.client.removeBreakpoint(address + BigInt(at), step);
    }
  }

  /** Far from where the stacks of an emulated program are: all of these are to be mirrored. */
  roomForRings(bytes: bigint): bigint {
    return findRoomAbove(this.maps(), ringsFrom, bytes);
  }

  maps(): readonly Mapping[] {
    return readMaps(this.pid);
  }

  threads(): readonly Tid[] {
    return listThreads(this.pid);
  }

  holdAll(): StubHeld {
    throw this.#unheld();
  }

  holdOne(): StubHeld {
    throw this.#unheld();
  }

  hold(): StubHeld {
    throw this.#unheld();
  }

  #unheld(): PatchbayError {
    return new PatchbayError({
      code: "unsupported",
      doing: `hold a thread of process ${this.pid}`,
      why: "an emulated program can be held before it runs, and not later",
      hint: "choose all functions before it runs, or record entries alone (--no-exits)",
    });
  }

  /** Lets the program run, and leaves the stub; these signals, by GDB's numbers, are its own. */
  letRun(signals: readonly number[]): void {
    this.#endTalk();
    for (const number of signals) kill(this.pid, linuxSignal(number));
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

  /** Ends talking to the stub; the program runs on. */
  hangUp(): void {
    this.#endTalk();
    this.#memory[Symbol.dispose]();
  }

  /** Who has borrowed it gives it back: it is there for whoever comes next. */
  [Symbol.dispose](): void {}
}
