/** A few instructions each that take a thread somewhere and are right without a tracer, too. */
import { type CodeAddr, codeAddr } from "../../base/brand.ts";
import { Assembler } from "../../isa/x86-64/assembler.ts";
import { mem64 } from "../../isa/x86-64/operands.ts";
import { r32, r64 } from "../../isa/x86-64/registers.ts";

/** Every loader asks for the end of the heap: no filter of system calls forbids that. */
const sysBrk = 12;

/**
 * Makes a system call, for a tracer to see, and goes on at `at`, a program's entry. There rax, rcx,
 * rdi and r11 are nobody's (psABI, "Initial Stack and Register State").
 */
export function arrivalStub(at: CodeAddr): Uint8Array {
  const a = new Assembler(codeAddr(0n));
  a.i("xor", r32.edi, r32.edi);
  a.i("mov", r32.eax, sysBrk);
  a.i("syscall");
  a.i("mov", r64.r11, at);
  a.i("jmp", r64.r11);
  return a.finish().bytes;
}

/** Calls the function at r11, and leaves its result right below where the stack pointer was. */
export function resultStub(): Uint8Array {
  const a = new Assembler(codeAddr(0n));
  a.i("push", r64.rax);
  a.i("call", r64.r11);
  a.i("mov", mem64(r64.rsp), r64.rax);
  a.i("pop", r64.rcx);
  a.i("ret");
  return a.finish().bytes;
}
