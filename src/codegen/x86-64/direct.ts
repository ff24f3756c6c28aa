/**
 * Direct calls: a native function of the user's is called at the entry of another, with that one's
 * arguments, wherever these are: registers, vector registers, the stack. The function goes on
 * with all of them as they were, whatever the one that was called has done to its own.
 */
import { codeAddr } from "../../base/brand.ts";
import type { Assembler } from "../../isa/x86-64/assembler.ts";
import { mem, mem64 } from "../../isa/x86-64/operands.ts";
import { r32, r64 } from "../../isa/x86-64/registers.ts";
import { type Routine, routineFrame } from "./record.ts";

const { rax, rbx, rcx, rdx, rsi, rdi, rsp, r8, r9, r10, r11 } = r64;

/** What `save` of `record.ts` has pushed, from the stack pointer behind it. */
const saved = { rsi: 8, rcx: 24, rdx: 32, rax: 40 } as const;
const others = [rdi, r8, r9, r10, r11] as const;

/**
 * XSAVE's parts with vector registers: SSE, AVX, and the three of AVX-512 (Intel SDM volume 1,
 * section 13.1). A processor without some of them leaves those out.
 */
const vectorParts = 0xe6;
/** Room for these in the standard format, and where its header of 64 bytes lies. */
const areaBytes = 2752;
const headerAt = 512;
/** XSAVE's area is aligned to this. */
const areaAlignment = 64;

/** Words of arguments on the stack that the called function sees; an even number. */
const stackWords = 8;

/**
 * Calls `target`. Clobbers what `record` does. The stack pointer is where `save` has left it.
 * @param isGate it changes no vector register, and finds arguments on the stack by rbx, which has
 * the stack pointer.
 */
export function emitDirect({ a }: Routine, target: bigint, isGate: boolean): void {
  a.i("mov", rbx, rsp);
  for (const register of others) a.i("push", register);
  if (isGate) a.i("mov", r11, codeAddr(target)).i("call", r11);
  else emitWhole(a, target);
  for (const register of others.toReversed()) a.i("pop", register);
}

/** The call, with all that a function may look at or change. */
function emitWhole(a: Assembler, target: bigint): void {
  a.i("sub", rsp, areaBytes);
  a.i("and", rsp, -areaAlignment);
  for (let at = 0; at < 64; at += 8) a.i("mov", mem64(rsp, { disp: headerAt + at }), 0);
  a.i("mov", r32.eax, vectorParts);
  a.i("xor", r32.edx, r32.edx);
  a.i("xsave64", mem(rsp));
  a.i("sub", rsp, stackWords * 8);
  for (let word = 0; word < stackWords; word++) {
    a.i("mov", rax, mem64(rbx, { disp: routineFrame.slot + 8 + word * 8 }));
    a.i("mov", mem64(rsp, { disp: word * 8 }), rax);
  }
  a.i("mov", rax, mem64(rbx, { disp: saved.rax }));
  a.i("mov", rcx, mem64(rbx, { disp: saved.rcx }));
  a.i("mov", rdx, mem64(rbx, { disp: saved.rdx }));
  a.i("mov", rsi, mem64(rbx, { disp: saved.rsi }));
  a.i("mov", r11, codeAddr(target));
  a.i("call", r11);
  a.i("add", rsp, stackWords * 8);
  a.i("mov", r32.eax, vectorParts);
  a.i("xor", r32.edx, r32.edx);
  a.i("xrstor64", mem(rsp));
  a.i("lea", rsp, mem(rbx, { disp: -others.length * 8 }));
}
