/**
 * Makes a held thread carry out system calls and function calls that it did not ask for, and puts
 * its registers back afterwards.
 */
import { type CodeAddr, hex, type Tid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import type { SyscallName } from "../codegen/back-end.ts";
import type { RestartPlan } from "../codegen/x86-64/record.ts";
import { resultStub } from "../codegen/x86-64/stubs.ts";
import { errorName } from "../os/libc.ts";
import type { HeldThreads, RegisterFile, RunUntil, TargetProcess } from "./process.ts";
import { VdsoRoom } from "./vdso-room.ts";

export class RemoteThread {
  readonly tid: Tid;
  readonly #process: TargetProcess;
  readonly #threads: HeldThreads;
  readonly #gate: CodeAddr;
  readonly #original: RegisterFile;
  /** Where the stack pointer has to begin for the thread to get back by itself. */
  readonly #sp: bigint | undefined;

  /** Borrows one held thread; disposing gives it back. */
  constructor(process: TargetProcess, threads: HeldThreads, tid: Tid) {
    this.tid = tid;
    this.#process = process;
    this.#threads = threads;
    this.#gate = process.syscallGate();
    this.#original = threads.readRegisters(tid);
    this.#sp = process.borrow(threads, tid, this.#original);
  }

  threadPointer(): bigint {
    return this.#process.threadPointer(this.#threads, this.tid);
  }

  /** Where its C library has `struct rseq` in threads like this one, if it is registered. */
  findRestart(): RestartPlan | undefined {
    const area = this.#threads.restartArea(this.tid);
    if (area === undefined) return undefined;
    const offset = Number(BigInt.asIntN(64, area.address - this.threadPointer()));
    return offset === (offset | 0) ? { offset, signature: area.signature } : undefined;
  }

  /** Registers as the thread had them when it was stopped. */
  get registers(): RegisterFile {
    return this.#original;
  }

  /** Carries out one system call; the raw result, negative for -errno. */
  rawSyscall(name: SyscallName, args: readonly bigint[]): bigint {
    return this.#syscallAt(this.#gate, "syscall", name, args);
  }

  /** Carries out one system call that has to succeed. */
  syscall(doing: string, name: SyscallName, ...args: readonly bigint[]): bigint {
    return this.#checked(doing, this.rawSyscall(name, args));
  }

  /**
   * Makes another thread by the system call instruction at `at`, where that one goes on; this one
   * meets a trap or a return behind it.
   */
  clone(doing: string, at: CodeAddr, args: readonly bigint[]): bigint {
    return this.#checked(doing, this.#syscallAt(at, "clone", "clone", args));
  }

  #syscallAt(at: CodeAddr, until: RunUntil, name: SyscallName, args: readonly bigint[]): bigint {
    const { registers: roles, syscalls } = this.#process.backEnd;
    const registers = this.#original.copy();
    registers.set(roles.syscallNumber, BigInt(syscalls[name])).set(roles.pc, at);
    if (this.#sp !== undefined) registers.set(roles.sp, this.#sp);
    roles.syscallArguments.forEach((argument, index) => {
      registers.set(argument, args[index] ?? 0n);
    });
    const doing = `system call ${name}`;
    const after = this.#threads.run(doing, this.tid, registers, until, this.#original);
    return BigInt.asIntN(64, after.get(roles.syscallResult));
  }

  #checked(doing: string, result: bigint): bigint {
    if (result >= 0n || result < -4095n) return result;
    throw new PatchbayError({
      code: "system",
      doing: `${doing} in process ${this.#threads.pid}`,
      why: errorName(Number(-result)),
    });
  }

  /**
   * Calls a function of the process on this thread's stack. The caller has made sure that the
   * thread is at a safe point: it holds no lock that the function takes. Should this tracer be
   * killed before the function returns, the thread gets back by itself; where it can't, the trap
   * ends the process.
   * @param trap a trap instruction to return to.
   */
  call(doing: string, target: CodeAddr, args: readonly bigint[], trap: CodeAddr): bigint {
    const { memory } = this.#process;
    const sp = this.#sp;
    const stub =
      sp === undefined ? undefined : VdsoRoom.lay(memory, this.#process.maps(), resultStub());
    if (sp === undefined || stub === undefined) return this.#callToTrap(doing, target, args, trap);
    const registers = this.#toFunction(stub.at, args).set("r11", target);
    registers.set(this.#process.backEnd.registers.sp, sp);
    this.#threads.run(doing, this.tid, registers, "return", this.#original);
    stub.clear();
    return memory.readU64(sp - 8n);
  }

  #callToTrap(doing: string, target: CodeAddr, args: readonly bigint[], trap: CodeAddr): bigint {
    const { backEnd } = this.#process;
    const registers = this.#toFunction(target, args);
    this.#returnTo(trap, registers);
    const after = this.#threads.run(doing, this.tid, registers, "trap", this.#original);
    if (after.get(backEnd.registers.pc) !== trap + backEnd.trapPcOffset) {
      throw new PatchbayError({
        code: "system",
        doing: `${doing} in process ${this.#threads.pid}`,
        why: `it stopped at ${hex(after.get(backEnd.registers.pc))} instead of returning`,
      });
    }
    return after.get(backEnd.registers.callResult);
  }

  /**
   * The same for a function whose result nobody needs. Where the thread can get back by itself, it
   * does so when the function returns and this tracer has been killed.
   */
  invoke(doing: string, target: CodeAddr, args: readonly bigint[], trap: CodeAddr): void {
    if (this.#sp === undefined) {
      this.#callToTrap(doing, target, args, trap);
      return;
    }
    const registers = this.#toFunction(target, args);
    registers.set(this.#process.backEnd.registers.sp, this.#sp);
    this.#threads.run(doing, this.tid, registers, "return", this.#original);
  }

  /** The registers with which a function begins, but for where it returns to. */
  #toFunction(target: CodeAddr, args: readonly bigint[]): RegisterFile {
    const { registers: roles } = this.#process.backEnd;
    const registers = this.#original.copy();
    // Where the result's register is none of the arguments, it counts them (x86-64's al).
    registers.set(roles.callResult, 0n);
    roles.callArguments.forEach((name, index) => {
      registers.set(name, args[index] ?? 0n);
    });
    return registers.set(roles.pc, target);
  }

  /** Lets a function that begins with `registers` return to a trap. */
  #returnTo(trap: CodeAddr, registers: RegisterFile): void {
    const { memory, backEnd } = this.#process;
    const { registers: roles, redZone } = backEnd;
    let stack = ((this.#sp ?? this.#original.get(roles.sp)) - redZone) & ~0xfn;
    if (roles.link === undefined) {
      stack -= 8n;
      memory.write(stack, new Uint8Array(new BigUint64Array([trap]).buffer));
    } else registers.set(roles.link, trap);
    registers.set(roles.sp, stack);
  }

  [Symbol.dispose](): void {
    this.#threads.giveBack(this.tid, this.#original);
  }
}
