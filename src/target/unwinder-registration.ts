/**
 * Tells the process' unwinders about generated code, so that C++ exceptions, backtrace() and
 * pthread_cancel get through hooked frames.
 *
 * libgcc keeps a list of frame descriptions that programs register (`__register_frame_info`,
 * libgcc/unwind-dw2-fde.c). The call is made on the back of a thread that holds none of the locks
 * it takes: one that runs the program's own code, or that waits in a system call which neither
 * libgcc nor malloc make.
 */
import { type CodeAddr, codeAddr, type DataAddr, hex, type Tid } from "../base/brand.ts";
import type { ProcessMemory } from "../os/proc.ts";
import { readRegisters } from "../os/ptrace.ts";
import type { RemoteThread } from "./remote-call.ts";

/** One copy of libgcc's unwinder in the process. */
export type Unwinder = {
  /** `__register_frame_info(begin, object)`. */
  readonly register: CodeAddr;
  /** `__deregister_frame_info(begin)`. */
  readonly deregister: CodeAddr;
};

/** Frames that were registered with one unwinder. */
export type Registration = { readonly unwinder: Unwinder; readonly frames: DataAddr };

/** Bytes that libgcc's `struct object` takes, with room to spare. */
export const unwinderObjectBytes = 128;

/** The program's own text: [start, end) ranges. */
export type TextRange = { readonly start: bigint; readonly end: bigint };

/**
 * System calls in which a thread waits and holds no lock of libgcc, malloc or the loader
 * (arch/x86/entry/syscalls/syscall_64.tbl): read, poll, select, pause, nanosleep, accept,
 * recvfrom, recvmsg, wait4, rt_sigtimedwait, epoll_wait, pselect6, ppoll, epoll_pwait,
 * clock_nanosleep, accept4.
 */
const quietSystemCalls = new Set([
  0, 7, 23, 34, 35, 43, 45, 47, 61, 128, 230, 232, 270, 271, 281, 288,
]);

/** Whether a held thread can be made to call into libgcc. */
export function isAtSafePoint(tid: Tid, text: readonly TextRange[]): boolean {
  const registers = readRegisters(tid);
  const pc = registers.get("rip");
  if (text.some(({ start, end }) => pc >= start && pc < end)) return true;
  return quietSystemCalls.has(Number(BigInt.asIntN(64, registers.get("orig_rax"))));
}

/** Registers `frames` with every unwinder; `objects` is zeroed memory for their records. */
export function registerFrames(
  remote: RemoteThread,
  memory: ProcessMemory,
  unwinders: readonly Unwinder[],
  frames: DataAddr,
  objects: bigint,
  returnTo: CodeAddr,
): readonly Registration[] {
  return unwinders.map((unwinder, index) => {
    const object = objects + BigInt(index * unwinderObjectBytes);
    const doing = `register generated code with the unwinder at ${hex(unwinder.register)}`;
    remote.call(doing, unwinder.register, [frames, object], returnTo, memory);
    return { unwinder, frames };
  });
}

/** Takes registrations back. */
export function deregisterFrames(
  remote: RemoteThread,
  memory: ProcessMemory,
  registrations: readonly Registration[],
  returnTo: CodeAddr,
): void {
  for (const { unwinder, frames } of registrations) {
    const doing = "take generated code from an unwinder's list";
    remote.call(doing, codeAddr(unwinder.deregister), [frames], returnTo, memory);
  }
}
