/**
 * What the target layer wants of a process, however it is reached: its memory, its threads, and
 * holding some of them for a moment. `ptrace-process.ts` is one that runs on this machine's
 * processors; `gdb/stub-process.ts` is one under a GDB stub.
 */
import type { CodeAddr, Pid, Tid } from "../base/brand.ts";
import type { BackEnd } from "../codegen/back-end.ts";
import type { Mapping } from "../os/proc.ts";
import type { RestartArea } from "../os/ptrace.ts";

/** Memory of the target; addresses are the target's own. */
export type TargetMemory = {
  /** `length` bytes at `address`, in a buffer of the caller's own. */
  read(address: bigint, length: number): Uint8Array;
  readU64(address: bigint): bigint;
  /** Writes `bytes` (borrowed), through page protections too. */
  write(address: bigint, bytes: Uint8Array): void;
  /** The same where code stands that may have been executed; a thread is held meanwhile. */
  writeText(address: bigint, bytes: Uint8Array): void;
};

/** A thread's general registers by name; a value of its own, not a view of the thread. */
export type RegisterFile = {
  get(name: string): bigint;
  set(name: string, value: bigint): RegisterFile;
  copy(): RegisterFile;
};

/** How far a borrowed thread runs. */
export type RunUntil = "syscall" | "clone" | "return" | "trap";

/** Threads that are held; disposing lets them go, whatever has happened meanwhile. */
export type HeldThreads = Disposable & {
  readonly pid: Pid;
  readonly tids: readonly Tid[];
  /** A thread for system calls on its back, rather one that no signal is about to reach. */
  readonly quietest: Tid;
  readRegisters(tid: Tid): RegisterFile;
  writeRegisters(tid: Tid, registers: RegisterFile): void;
  /** Keeps signals from a thread that is to be driven, until it is let go. */
  blockSignals(tid: Tid): void;
  /** Ends what `TargetProcess.borrow` began: the thread has its own registers again. */
  giveBack(tid: Tid, original: RegisterFile): void;
  /** Where the thread has its `struct rseq`; undefined where it has none. */
  restartArea(tid: Tid): RestartArea | undefined;
  /**
   * Lets a thread run for a moment, with the signal that it was stopped by; false when it has ended
   * and is not held any more.
   */
  runOn(tid: Tid): boolean;
  /**
   * Lets a borrowed thread run from `registers` on: a system call and no further (`clone`, where
   * the child goes on in other code), until it has returned to where the stack pointer of `borrow`
   * leads, or until it traps. Gives the registers that it has then; its own ones are `original`.
   */
  run(
    doing: string,
    tid: Tid,
    registers: RegisterFile,
    until: RunUntil,
    original: RegisterFile,
  ): RegisterFile;
  /** Lets every thread go. Idempotent. */
  letGo(): void;
};

/** A process that one can hold, read, write, and call system calls in. */
export type TargetProcess = Disposable & {
  /** Of the process on this machine that runs it: an emulator's, where there is one. */
  readonly pid: Pid;
  readonly backEnd: BackEnd;
  readonly memory: TargetMemory;
  /** A mirrored window of the stacks spans 2 to the power of this, in bytes. */
  readonly mirrorWindowBits: number;
  /** Where `bytes` of rings had best be mapped; 0 where that does not matter. */
  roomForRings(bytes: bigint): bigint;
  maps(): readonly Mapping[];
  /** Threads in the order of their birth. */
  threads(): readonly Tid[];
  /** Whether all threads can be held together. */
  readonly holdsAll: boolean;
  /** Holds every thread but `except` (the agent). */
  holdAll(except?: Tid): HeldThreads;
  /** Holds one thread, whichever is to be had. */
  holdOne(): HeldThreads;
  /** Holds thread `tid`; undefined when it has ended. */
  hold(tid: Tid): HeldThreads | undefined;
  /**
   * Borrows a held thread, whose registers are `original`, until they are given back: signals are
   * kept from it. Where the thread could get back by itself if this tracer died, what it runs has
   * to begin with the stack pointer that this gives, and returns to what lies there.
   */
  borrow(threads: HeldThreads, tid: Tid, original: RegisterFile): bigint | undefined;
  /** A system call instruction that can be executed by a held thread. */
  syscallGate(): CodeAddr;
  /** The thread pointer of a held thread. */
  threadPointer(held: HeldThreads, tid: Tid): bigint;
  /**
   * Waits until every thread but `except` has come to the end of the instructions that it is in
   * the midst of: where threads can't be held to see where they are.
   */
  awaitProgress(except: Tid | undefined): void;
};
