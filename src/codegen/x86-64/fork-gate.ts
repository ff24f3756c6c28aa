/**
 * The gate of forks: what the C library's function that forks calls at its entry while a recording
 * follows children. The thread notes who it is and what time it is, in memory that is its process'
 * own; the child has a copy of it, as it was at the fork, and finds itself in it by its thread
 * pointer, which is its parent's. Should another thread fork at the same time, the child finds
 * that one's note at the worst, which is no note of its own.
 */
import { codeAddr, type DataAddr } from "../../base/brand.ts";
import { Assembler } from "../../isa/x86-64/assembler.ts";
import { type Label, mem32, mem64 } from "../../isa/x86-64/operands.ts";
import { r32, r64 } from "../../isa/x86-64/registers.ts";
import { forkStamp } from "../../ring/arena.ts";
import { ringHeader } from "../../ring/layout.ts";

const { rax, rcx, rdx, rsi, rdi, r8 } = r64;
/** The thread pointer stands at its own address (ELF Handling For Thread-Local Storage, 3.4.6). */
const threadPointer = mem64({ seg: "fs", disp: 0 });

/**
 * The function.
 * @param stamp where threads note their forks.
 * @param tidOffset from the thread pointer to the thread's id.
 */
export function forkGate(stamp: DataAddr, tidOffset: number): Uint8Array {
  const a = new Assembler(codeAddr(0n));
  const field = (disp: number) => mem64(rcx, { disp });
  a.i("mov", rcx, stamp);
  a.i("mov", rsi, threadPointer);
  a.i("rdtsc");
  a.i("shl", rdx, 32);
  a.i("or", rax, rdx);
  a.i("mov", r32.edx, mem32({ seg: "fs", disp: tidOffset }));
  a.i("mov", field(forkStamp.threadPointer), rsi);
  a.i("mov", field(forkStamp.time), rax);
  a.i("mov", field(forkStamp.tid), rdx);
  a.i("add", rax, rdx);
  a.i("add", rax, rsi);
  a.i("mov", field(forkStamp.sum), rax);
  a.i("ret");
  return a.finish().bytes;
}

/**
 * Finds the note of the thread that has forked this process: its id in rcx, the time in rdx. Goes
 * to `none` where there is no note that this thread has inherited. Clobbers rsi, r8 and the flags.
 */
export function emitOwnNote(a: Assembler, stamp: DataAddr, none: Label): void {
  const field = (disp: number) => mem64(rsi, { disp });
  a.i("mov", rsi, stamp);
  a.i("mov", r8, threadPointer);
  a.i("cmp", r8, field(forkStamp.threadPointer));
  a.i("jne", none);
  a.i("mov", rdx, field(forkStamp.time));
  a.i("mov", rcx, field(forkStamp.tid));
  a.i("add", r8, rdx);
  a.i("add", r8, rcx);
  a.i("cmp", r8, field(forkStamp.sum));
  a.i("jne", none);
}

/**
 * Says in the header of the ring at rcx who has forked the process that claims it, which is a
 * forked child if r11d is not 0. Clobbers rdx, rsi, r8 and the flags.
 */
export function emitForkNote(a: Assembler, stamp: DataAddr): void {
  const [unknown, put] = [a.label(), a.label()];
  a.i("push", rdi);
  a.i("mov", rdi, rcx);
  a.i("test", r32.r11d, r32.r11d);
  a.i("je", unknown);
  emitOwnNote(a, stamp, unknown);
  a.i("mov", mem64(rdi, { disp: ringHeader.forkTime }), rdx);
  a.i("jmp", put);
  a.bind(unknown);
  a.i("xor", r32.ecx, r32.ecx);
  a.bind(put);
  a.i("mov", mem32(rdi, { disp: ringHeader.forkThread }), r32.ecx);
  a.i("mov", rcx, rdi);
  a.i("pop", rdi);
}
