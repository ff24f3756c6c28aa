/** Memory that may not be there: the kernel reads it, and a fault is no more than an error. */
import { mem, mem32 } from "../../isa/x86-64/operands.ts";
import { r32, r64 } from "../../isa/x86-64/registers.ts";
import type { Routine } from "./record.ts";

const { rcx, rsi, rsp, r10 } = r64;
const sysProcessVmReadv = 310;

/**
 * Makes a process_vm_readv(2) of the thread's own process. At the stack pointer stand the struct
 * iovec that says where to, and behind it `pieces` that say where from. rax = the bytes that were
 * read, or an error. Keeps rcx and rbx; clobbers rdx, rsi, rdi and r8 to r11.
 */
export function emitReadMemory({ a, plan }: Routine, pieces: number): void {
  a.i("mov", rsi, rsp);
  a.i("lea", r10, mem(rsp, { disp: 16 }));
  a.i("push", rcx);
  a.i("mov", r32.edi, mem32({ seg: "fs", disp: plan.tidOffset }));
  a.i("mov", r32.edx, 1);
  a.i("mov", r32.r8d, pieces);
  a.i("xor", r32.r9d, r32.r9d);
  a.i("mov", r32.eax, sysProcessVmReadv);
  a.i("syscall");
  a.i("pop", rcx);
}
