/**
 * Makes a stopped thread carry out system calls and function calls that it did not ask for, and
 * puts its registers back afterwards.
 *
 * The two bytes of the `syscall` instruction are the vdso's own: nobody's program text is touched.
 * The thread may have been interrupted inside a system call of its own; its `orig_rax` is put
 * back with the rest, so that the kernel restarts that call when the thread is let go.
 */
import { type CodeAddr, codeAddr, hex, type Tid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { errorName } from "../os/libc.ts";
import type { Mapping, ProcessMemory } from "../os/proc.ts";
import {
  interrupt,
  type RegisterName,
  type Registers,
  readRegisters,
  resume,
  signal,
  singleStep,
  waitFor,
  writeRegisters,
} from "../os/ptrace.ts";
import type { StoppedThreads } from "./stop.ts";

/** System call numbers of x86-64 (arch/x86/entry/syscalls/syscall_64.tbl). */
export const syscallNumber = {
  close: 3,
  mmap: 9,
  mprotect: 10,
  munmap: 11,
  madvise: 28,
  ftruncate: 77,
  prctl: 157,
  arch_prctl: 158,
  memfdCreate: 319,
} as const;

const callArguments = ["rdi", "rsi", "rdx", "r10", "r8", "r9"] as const satisfies RegisterName[];
const stepTimeoutMs = 3000;
/** Below the stack pointer: the red zone of the x86-64 ABI, in bytes. */
const redZone = 128n;

/** Finds a `syscall` instruction that is followed by nothing of the program's own: the vdso's. */
export function findSyscallInstruction(memory: ProcessMemory, maps: readonly Mapping[]): CodeAddr {
  for (const mapping of maps) {
    if (mapping.path !== "[vdso]") continue;
    const image = memory.read(mapping.start, Number(mapping.end - mapping.start));
    for (let at = 0; at + 1 < image.length; at++) {
      if (image[at] === 0x0f && image[at + 1] === 0x05) return codeAddr(mapping.start + BigInt(at));
    }
  }
  throw new PatchbayError({
    code: "unsupported",
    doing: "prepare system calls in the process",
    why: "it has no vdso with a system call instruction",
    hint: "boot without vdso=0",
  });
}

export class RemoteThread {
  readonly tid: Tid;
  readonly #threads: StoppedThreads;
  readonly #syscallAt: CodeAddr;
  readonly #original: Registers;

  /** Borrows one stopped thread; disposing puts its registers back. */
  constructor(threads: StoppedThreads, tid: Tid, syscallAt: CodeAddr) {
    this.tid = tid;
    this.#threads = threads;
    this.#syscallAt = syscallAt;
    this.#original = readRegisters(tid);
    threads.blockSignals(tid);
  }

  /** Registers as the thread had them when it was stopped. */
  get registers(): Registers {
    return this.#original;
  }

  /**
   * Carries out one system call; the raw result, negative for -errno.
   * @param at the `syscall` instruction to use.
   */
  rawSyscall(number: number, args: readonly bigint[], at: CodeAddr = this.#syscallAt): bigint {
    const registers = this.#original.copy();
    registers.set("rax", BigInt(number)).set("orig_rax", -1n).set("rip", at);
    callArguments.forEach((name, index) => {
      registers.set(name, args[index] ?? 0n);
    });
    writeRegisters(this.tid, registers);
    for (;;) {
      singleStep(this.tid);
      if (this.#awaitTrap(`system call ${number}`)) break;
    }
    const result = BigInt.asIntN(64, readRegisters(this.tid).get("rax"));
    this.#rest();
    return result;
  }

  /** Carries out one system call that has to succeed. */
  syscall(doing: string, number: number, ...args: readonly bigint[]): bigint {
    return this.syscallAt(doing, this.#syscallAt, number, args);
  }

  /** As `syscall`, by the `syscall` instruction at `at`. */
  syscallAt(doing: string, at: CodeAddr, number: number, args: readonly bigint[]): bigint {
    const result = this.rawSyscall(number, args, at);
    if (result >= -4095n && result < 0n) {
      throw new PatchbayError({
        code: "system",
        doing: `${doing} in process ${this.#threads.pid}`,
        why: errorName(Number(-result)),
      });
    }
    return result;
  }

  /**
   * Calls a function of the process on this thread's stack. The caller has made sure that the
   * thread is at a safe point: it holds no lock that the function takes.
   * @param returnTo an address that stops the thread when it is executed (an `int3`).
   */
  call(
    doing: string,
    target: CodeAddr,
    args: readonly bigint[],
    returnTo: CodeAddr,
    memory: ProcessMemory,
  ): bigint {
    const registers = this.#original.copy();
    const stack = ((this.#original.get("rsp") - redZone) & ~0xfn) - 8n;
    memory.write(stack, new Uint8Array(new BigUint64Array([returnTo]).buffer));
    const names = ["rdi", "rsi", "rdx", "rcx", "r8", "r9"] as const;
    names.forEach((name, index) => {
      registers.set(name, args[index] ?? 0n);
    });
    registers.set("rax", 0n).set("orig_rax", -1n).set("rip", target).set("rsp", stack);
    writeRegisters(this.tid, registers);
    for (;;) {
      resume(this.tid);
      if (this.#awaitTrap(doing)) break;
    }
    const after = readRegisters(this.tid);
    this.#rest();
    if (after.get("rip") !== returnTo + 1n) {
      throw new PatchbayError({
        code: "system",
        doing: `${doing} in process ${this.#threads.pid}`,
        why: `it stopped at ${hex(after.get("rip"))} instead of returning`,
      });
    }
    return after.get("rax");
  }

  /**
   * Takes the thread from the trap that ended a step, with registers as they were, to a stop that
   * no signal is the reason of. Should this tracer be killed now, the thread goes on as if nothing
   * had been; in the trap it would die of SIGTRAP.
   */
  #rest(): void {
    writeRegisters(this.tid, this.#original);
    interrupt(this.tid);
    for (;;) {
      resume(this.tid);
      const event = waitFor(this.tid, stepTimeoutMs);
      // One that has ended has no further use for being stopped.
      if (event.kind !== "signal") return;
      this.#threads.keepSignal(this.tid, event.signal);
    }
  }

  /** Waits for the trap that ends a step. `false`: a signal came first; it is kept for later. */
  #awaitTrap(doing: string): boolean {
    const event = waitFor(this.tid, stepTimeoutMs);
    if (event.kind === "signal" && event.signal === signal.trap) return true;
    if (event.kind === "signal") this.#threads.keepSignal(this.tid, event.signal);
    if (event.kind === "signal" || event.kind === "event-stop") return false;
    throw new PatchbayError({
      code: "target-exited",
      doing: `${doing} in process ${this.#threads.pid}`,
      why: "the process has ended",
    });
  }

  [Symbol.dispose](): void {
    try {
      writeRegisters(this.tid, this.#original);
    } catch {
      // The thread is gone, and its registers with it.
    }
  }
}
