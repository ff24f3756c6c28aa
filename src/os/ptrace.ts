/**
 * ptrace(2) on x86-64 Linux, request by request, with names for what it returns.
 *
 * All requests for a tracee must come from the OS thread that seized it. Nothing here blocks
 * without a bound: waiting polls with `WNOHANG` up to a deadline.
 */
import { ensure } from "../base/assert.ts";
import { hex, type Tid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import {
  allocateFixed,
  errno,
  errorName,
  ptraceBuffer,
  ptraceWord,
  systemError,
  waitpid,
} from "./libc.ts";

/** Requests of include/uapi/linux/ptrace.h and arch/x86/include/uapi/asm/ptrace-abi.h. */
const request = {
  cont: 7,
  singleStep: 9,
  getRegs: 12,
  setRegs: 13,
  detach: 17,
  syscall: 24,
  getEventMessage: 0x4201,
  getSignalInfo: 0x4202,
  getRegisterSet: 0x4204,
  setSignalInfo: 0x4203,
  seize: 0x4206,
  interrupt: 0x4207,
  getSignalMask: 0x420a,
  setSignalMask: 0x420b,
  getRestartConfiguration: 0x420f,
} as const;

export const ptraceOption = { traceSyscallGood: 1, traceExec: 0x10 } as const;
/** Set in the signal of a stop at a system call (PTRACE_O_TRACESYSGOOD). */
const syscallStop = 0x80;
const eventStop = 128;
const eventExec = 4;
export const signal = { trap: 5, kill: 9, segv: 11, cont: 18, stop: 19 } as const;
const waitNoHang = 1;
const waitUntraced = 2;
const waitAll = 0x40000000;

/** Order of `struct user_regs_struct` (arch/x86/include/asm/user_64.h); 27 words of 8 bytes. */
const registerNames = [
  "r15",
  "r14",
  "r13",
  "r12",
  "rbp",
  "rbx",
  "r11",
  "r10",
  "r9",
  "r8",
  "rax",
  "rcx",
  "rdx",
  "rsi",
  "rdi",
  "orig_rax",
  "rip",
  "cs",
  "eflags",
  "rsp",
  "ss",
  "fs_base",
  "gs_base",
  "ds",
  "es",
  "fs",
  "gs",
] as const;
const registerIndex: ReadonlyMap<string, number> = new Map(
  registerNames.map((name, index) => [name, index]),
);

const indexOf = (name: string): number => ensure(registerIndex.get(name), `a register ${name}`);

/** A thread's general registers; a value of its own, not a view of the thread. */
export class Registers {
  readonly words: BigUint64Array;

  constructor(words: BigUint64Array = new BigUint64Array(registerNames.length)) {
    this.words = words;
  }

  /** By the names of `struct user_regs_struct`. */
  get(name: string): bigint {
    return this.words[indexOf(name)] ?? 0n;
  }

  set(name: string, value: bigint): this {
    this.words[indexOf(name)] = BigInt.asUintN(64, value);
    return this;
  }

  copy(): Registers {
    return new Registers(this.words.slice());
  }
}

/** What a wait found. `signal` is what would be delivered to the thread next. */
export type WaitEvent =
  | { readonly kind: "exited"; readonly status: number }
  | { readonly kind: "killed"; readonly signal: number }
  /** Stopped by PTRACE_INTERRUPT, or newly seized, or in a group stop (`signal` is the stopper). */
  | { readonly kind: "event-stop"; readonly signal: number }
  | { readonly kind: "exec" }
  /** Stopped at the beginning or the end of a system call. */
  | { readonly kind: "syscall" }
  | { readonly kind: "signal"; readonly signal: number };

const decodeStatus = (status: number): WaitEvent => {
  if ((status & 0x7f) === 0) return { kind: "exited", status: (status >> 8) & 0xff };
  if ((status & 0xff) !== 0x7f) return { kind: "killed", signal: status & 0x7f };
  const event = status >> 16;
  const stopSignal = (status >> 8) & 0xff;
  if (event === eventStop) return { kind: "event-stop", signal: stopSignal };
  if (event === eventExec) return { kind: "exec" };
  if ((stopSignal & syscallStop) !== 0) return { kind: "syscall" };
  return { kind: "signal", signal: stopSignal };
};

const check = (result: number, doing: string): void => {
  if (result === -1) throw systemError(doing, errno());
};

/** How threads ended that have been waited for: the kernel tells it once. */
const endings = new Map<Tid, WaitEvent>();

/** Becomes the tracer of a thread without stopping it. `false`: the thread is gone. */
export function seize(tid: Tid, options = 0): boolean {
  if (ptraceWord(request.seize, tid, 0n, BigInt(options)) === 0) {
    endings.delete(tid);
    return true;
  }
  const number = errno();
  if (number === 3) return false;
  throw new PatchbayError({
    code: number === 1 ? "no-permission" : "system",
    doing: `attach to thread ${tid}`,
    why: errorName(number),
    hint: "run as the same user or as root; `patchbay doctor` says more",
  });
}

/** Asks a seized thread to stop; the stop is reported to `waitFor`. `false`: it is gone. */
export const interrupt = (tid: Tid): boolean => ptraceWord(request.interrupt, tid, 0n, 0n) === 0;

/** Lets a stopped thread run free, delivering `deliver` to it if it is not 0. */
export const detach = (tid: Tid, deliver = 0): boolean =>
  ptraceWord(request.detach, tid, 0n, BigInt(deliver)) === 0;

export const resume = (tid: Tid, deliver = 0): void =>
  check(ptraceWord(request.cont, tid, 0n, BigInt(deliver)), `resume thread ${tid}`);

/** Lets a stopped thread run up to the beginning or the end of a system call. */
export const resumeToSyscall = (tid: Tid, deliver = 0): void =>
  check(ptraceWord(request.syscall, tid, 0n, BigInt(deliver)), `resume thread ${tid}`);

export const singleStep = (tid: Tid, deliver = 0): void =>
  check(ptraceWord(request.singleStep, tid, 0n, BigInt(deliver)), `step thread ${tid}`);

export function readRegisters(tid: Tid): Registers {
  const registers = new Registers();
  const bytes = new Uint8Array(registers.words.buffer);
  check(ptraceBuffer(request.getRegs, tid, 0n, bytes), `read registers of thread ${tid}`);
  return registers;
}

export function writeRegisters(tid: Tid, registers: Registers): void {
  const bytes = new Uint8Array(registers.words.buffer);
  check(
    ptraceBuffer(request.setRegs, tid, 0n, bytes),
    `write registers of thread ${tid} (pc ${hex(registers.get("rip"))})`,
  );
}

/** NT_X86_XSTATE; with AMX it is some 11 KiB. */
const extendedStateSet = 0x202;
const pageBytes = 4096;
const extendedStateBytesMax = 16_384;
let exchange: { readonly address: bigint; readonly buffer: ArrayBuffer } | undefined;

/** A thread's extended registers, in the standard format of XSAVE. */
export function readExtendedState(tid: Tid): Uint8Array {
  // struct iovec, and what it leads to.
  exchange ??= allocateFixed(pageBytes + extendedStateBytesMax);
  const vector = new BigUint64Array(exchange.buffer, 0, 2);
  vector[0] = exchange.address + BigInt(pageBytes);
  vector[1] = BigInt(extendedStateBytesMax);
  const set = BigInt(extendedStateSet);
  const doing = `read the extended registers of thread ${tid}`;
  check(ptraceWord(request.getRegisterSet, tid, set, exchange.address), doing);
  return new Uint8Array(exchange.buffer, pageBytes, Number(vector[1])).slice();
}

/** Bytes of `siginfo_t` (include/uapi/asm-generic/siginfo.h), and of a set of signals. */
const signalInfoBytes = 128;
const signalMaskBytes = 8n;

/** The `siginfo_t` of the signal that a thread is stopped by. */
export function readSignalInfo(tid: Tid): Uint8Array {
  const info = new Uint8Array(signalInfoBytes);
  check(ptraceBuffer(request.getSignalInfo, tid, 0n, info), `read a signal of thread ${tid}`);
  return info;
}

/** What the signal says that a thread is let go with. */
export const writeSignalInfo = (tid: Tid, info: Uint8Array): void =>
  check(ptraceBuffer(request.setSignalInfo, tid, 0n, info), `write a signal of thread ${tid}`);

/** The signals that a thread blocks, as bits from signal 1 on. */
export function readSignalMask(tid: Tid): bigint {
  const mask = new BigUint64Array(1);
  const bytes = new Uint8Array(mask.buffer);
  const result = ptraceBuffer(request.getSignalMask, tid, signalMaskBytes, bytes);
  check(result, `read the signal mask of thread ${tid}`);
  return mask[0] ?? 0n;
}

export function writeSignalMask(tid: Tid, mask: bigint): void {
  const bytes = new Uint8Array(new BigUint64Array([mask]).buffer);
  const result = ptraceBuffer(request.setSignalMask, tid, signalMaskBytes, bytes);
  check(result, `write the signal mask of thread ${tid}`);
}

/** A thread's `struct rseq`, and what stands before code that the kernel may jump to. */
export type RestartArea = { readonly address: bigint; readonly signature: number };

/** The thread's area for sections that are restarted; undefined where it has registered none. */
export function restartArea(tid: Tid): RestartArea | undefined {
  // struct ptrace_rseq_configuration; kernels before 5.13 do not know it.
  const found = new DataView(new ArrayBuffer(24));
  const bytes = new Uint8Array(found.buffer);
  const size = BigInt(bytes.length);
  if (ptraceBuffer(request.getRestartConfiguration, tid, size, bytes) <= 0) return undefined;
  const address = found.getBigUint64(0, true);
  return address === 0n ? undefined : { address, signature: found.getUint32(12, true) };
}

const status = new Int32Array(1);
const napCell = new Int32Array(new SharedArrayBuffer(4));

/** Sleeps this OS thread. */
export const nap = (ms: number): void => {
  Atomics.wait(napCell, 0, 0, ms);
};

/**
 * What has happened to `tid`, if anything has; `undefined` when nothing has yet. Its end is told
 * whoever of this OS thread was told of it before: who wanted it to stop, and who started it.
 * @param untraced also see the stops of a child that is not traced.
 */
export function poll(tid: Tid, untraced = false): WaitEvent | undefined {
  const found = waitpid(tid, status, waitNoHang | waitAll | (untraced ? waitUntraced : 0));
  if (found === 0) return undefined;
  if (found === -1) {
    const number = errno();
    if (number === 10) return endings.get(tid) ?? { kind: "exited", status: 0 };
    throw systemError(`wait for thread ${tid}`, number);
  }
  const event = decodeStatus(status[0] ?? 0);
  if (event.kind === "exited" || event.kind === "killed") endings.set(tid, event);
  return event;
}

/** Waits until something happens to `tid`; `undefined` when nothing has within `timeoutMs`. */
export function waitUpTo(
  tid: Tid,
  timeoutMs: number,
  how = { untraced: false },
): WaitEvent | undefined {
  const start = performance.now();
  for (;;) {
    const event = poll(tid, how.untraced);
    if (event !== undefined) return event;
    const waited = performance.now() - start;
    if (waited > timeoutMs) return undefined;
    if (waited > 1) nap(0.1);
  }
}

/** The same, failing with the thread as it is. */
export function waitFor(tid: Tid, timeoutMs: number, how?: { untraced: boolean }): WaitEvent {
  const event = waitUpTo(tid, timeoutMs, how);
  if (event !== undefined) return event;
  throw new PatchbayError({
    code: "system",
    doing: `stop thread ${tid}`,
    why: `it did not stop within ${timeoutMs} ms`,
    hint: "it may be in an uninterruptible system call, or the parent of a vfork; try again",
  });
}
