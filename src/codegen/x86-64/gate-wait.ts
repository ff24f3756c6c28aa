/** How threads wait at gates for the tracer, and wake it: by futex(2), for a slice of time. */
import type { Assembler } from "../../isa/x86-64/assembler.ts";
import { type Label, type Mem, mem } from "../../isa/x86-64/operands.ts";
import { r32, r64 } from "../../isa/x86-64/registers.ts";

const { rdi, r10 } = r64;
const sysFutex = 202;
const futexWait = 0;
const futexWake = 1;
const wakeAll = 0x7fff_ffff;
/** How long a thread waits at once; it looks again then, whatever has happened. */
export const sliceNs = 20_000_000n;

/** Makes a system call whose arguments are in place. */
export function emitSystemCall(a: Assembler, number: number): void {
  a.i("mov", r32.eax, number);
  a.i("syscall");
}

/** Wakes all who wait for the word at `at`. */
export function emitWake(a: Assembler, at: Mem): void {
  a.i("lea", rdi, at);
  a.i("mov", r32.esi, futexWake);
  a.i("mov", r32.edx, wakeAll);
  emitSystemCall(a, sysFutex);
}

/** Waits a slice while the word at `at` is what edx says. @param slice where `emitSlice` is. */
export function emitWaitSlice(a: Assembler, at: Mem, slice: Label): void {
  a.i("lea", rdi, at);
  a.i("mov", r32.esi, futexWait);
  a.i("lea", r10, mem(slice));
  emitSystemCall(a, sysFutex);
}

/** The struct timespec of a slice. */
export function emitSlice(a: Assembler, slice: Label): void {
  a.align(8);
  a.bind(slice);
  a.u64(0n);
  a.u64(sliceNs);
}
