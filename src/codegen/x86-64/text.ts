/** Texts that a call has pointers to, as values of long events. */
import { type Label, mem, mem8, mem64 } from "../../isa/x86-64/operands.ts";
import { r32, r64 } from "../../isa/x86-64/registers.ts";
import { valueFlag } from "../../ring/long-event.ts";
import { emitReadMemory } from "./read-memory.ts";
import type { Routine } from "./record.ts";

const { rax, rbx, rdx, r8, rsp } = r64;

/** Bytes of a text at the most. */
const textBytesMax = 64;
export const textSlots: number = 1 + textBytesMax / 8;

/**
 * Puts the text at rax to [rbx], behind its length, and moves rbx behind both. The kernel reads
 * it (process_vm_readv of the thread's own process): where it can't be read, no harm is done.
 */
export function emitText(routine: Routine): void {
  const { a } = routine;
  const [isNull, unreadable, count, counted] = [a.label(), a.label(), a.label(), a.label()];
  const [padded, end] = [a.label(), a.label()];
  a.i("test", rax, rax);
  a.i("je", isNull);
  readText(routine);
  a.i("test", rax, rax);
  a.i("jle", unreadable);
  a.i("xor", r32.edx, r32.edx);
  a.bind(count);
  a.i("cmp", mem8(rbx, { index: rdx, disp: 8 }), 0);
  a.i("je", counted);
  a.i("inc", rdx);
  a.i("cmp", rdx, rax);
  a.i("jne", count);
  // No zero byte so far.
  a.i("mov", rax, rdx);
  a.i("bts", rax, 32 + Math.log2(valueFlag.truncated));
  a.i("jmp", padded);
  a.bind(counted);
  a.i("mov", rax, rdx);
  a.bind(padded);
  a.i("mov", mem64(rbx), rax);
  emitPadding(a.label(), a.label());
  a.i("jmp", end);
  a.bind(isNull);
  a.i("mov", rax, BigInt(valueFlag.null) << 32n);
  a.i("mov", mem64(rbx), rax);
  a.i("add", rbx, 8);
  a.i("jmp", end);
  a.bind(unreadable);
  a.i("mov", rax, BigInt(valueFlag.unreadable) << 32n);
  a.i("mov", mem64(rbx), rax);
  a.i("add", rbx, 8);
  a.bind(end);

  /** Zeroes up to a whole slot behind the rdx bytes of the text, and rbx behind them. */
  function emitPadding(more: Label, whole: Label): void {
    a.bind(more);
    a.i("test", r32.edx, 7);
    a.i("je", whole);
    a.i("mov", mem8(rbx, { index: rdx, disp: 8 }), 0);
    a.i("inc", rdx);
    a.i("jmp", more);
    a.bind(whole);
    a.i("lea", rbx, mem(rbx, { index: rdx, disp: 8 }));
  }
}

/**
 * Reads up to `textBytesMax` bytes at rax to rbx + 8; rax = how many, or not above 0. Clobbers rdx,
 * rsi, rdi, r8 to r11. Those behind a page's end are asked for apart: they may not be there.
 */
function readText(routine: Routine): void {
  const { a } = routine;
  const frameBytes = 48;
  a.i("sub", rsp, frameBytes);
  // To: the bytes behind the length. From: up to the page's end, and what lies behind that.
  a.i("lea", rdx, mem(rbx, { disp: 8 }));
  a.i("mov", mem64(rsp), rdx);
  a.i("mov", mem64(rsp, { disp: 8 }), textBytesMax);
  a.i("mov", mem64(rsp, { disp: 16 }), rax);
  a.i("mov", rdx, rax);
  a.i("neg", rdx);
  a.i("and", r32.edx, 4095);
  a.i("mov", r32.r8d, textBytesMax);
  a.i("cmp", rdx, r8);
  a.i("cmova", rdx, r8);
  a.i("mov", mem64(rsp, { disp: 24 }), rdx);
  a.i("add", rax, rdx);
  a.i("mov", mem64(rsp, { disp: 32 }), rax);
  a.i("sub", r8, rdx);
  a.i("mov", mem64(rsp, { disp: 40 }), r8);
  emitReadMemory(routine, 2);
  a.i("add", rsp, frameBytes);
}
