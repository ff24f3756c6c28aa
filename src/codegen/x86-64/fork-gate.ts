/**
 * The gate of forks: what the C library's function that forks calls at its entry while a recording
 * follows children. The thread notes who it is and what time it is, in memory that is its process'
 * own; the child has a copy of it, as it was at the fork, and finds itself in it by its thread
 * pointer, which is its parent's. Should another thread fork at the same time, the child finds
 * that one's note at the worst, which is no note of its own.
 */
import { codeAddr, type DataAddr } from "../../base/brand.ts";
import { Assembler } from "../../isa/x86-64/assembler.ts";
import { mem32, mem64 } from "../../isa/x86-64/operands.ts";
import { r32, r64 } from "../../isa/x86-64/registers.ts";
import { forkStamp } from "../../ring/arena.ts";
import { ringHeader } from "../../ring/layout.ts";

const { rax, rcx, rdx, rsi, r8, r11 } = r64;
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
 * Says in the header of the ring at rcx who has forked the process that claims it, which is a
 * forked child if r11d is not 0. Clobbers rsi, r8, r11 and the flags.
 */
export function emitForkNote(a: Assembler, stamp: DataAddr): void {
  const [unknown, done] = [a.label(), a.label()];
  const field = (disp: number) => mem64(rsi, { disp });
  const forker = mem32(rcx, { disp: ringHeader.forkThread });
  a.i("test", r32.r11d, r32.r11d);
  a.i("je", unknown);
  a.i("mov", rsi, stamp);
  a.i("mov", r8, threadPointer);
  a.i("cmp", r8, field(forkStamp.threadPointer));
  a.i("jne", unknown);
  a.i("mov", r11, field(forkStamp.time));
  a.i("mov", mem64(rcx, { disp: ringHeader.forkTime }), r11);
  a.i("add", r8, r11);
  a.i("mov", r11, field(forkStamp.tid));
  a.i("add", r8, r11);
  a.i("cmp", r8, field(forkStamp.sum));
  a.i("jne", unknown);
  a.i("mov", forker, r32.r11d);
  a.i("jmp", done);
  a.bind(unknown);
  a.i("mov", forker, 0);
  a.bind(done);
}
