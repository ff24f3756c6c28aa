/**
 * The loader's gate: what `_dl_debug_state` jumps to while a process is traced. The dynamic linker
 * calls this empty function when it is about to load or unload libraries and when it has done so
 * (r_brk of struct r_debug, <link.h>), for debuggers to put a breakpoint there. The thread that
 * comes by tells the tracer and waits until it has looked, so that a library's functions are
 * traced before `dlopen` returns, and nobody writes to text that is being unmapped.
 *
 * The wait ends by itself: when the tracer goes, and after `patienceMs` in any case.
 */
import { codeAddr, type DataAddr } from "../../base/brand.ts";
import { Assembler } from "../../isa/x86-64/assembler.ts";
import { mem, mem32 } from "../../isa/x86-64/operands.ts";
import { r32, r64 } from "../../isa/x86-64/registers.ts";
import { control } from "../../ring/arena.ts";
import { emitSlice, emitWaitSlice, emitWake, sliceNs } from "./gate-wait.ts";

const { rax, rbx, rcx, rdx, rsi, rdi, r8, r9, r10, r11, r12, r13 } = r64;
const saved = [rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11, rbx, r12, r13];
/** Looks at the words at the most. */
const slices = 150;
/** The longest that a thread waits for a tracer that does not answer. */
export const patienceMs: number = (Number(sliceNs) * slices) / 1e6;

/** The code, which can stand anywhere and is entered by a jump. @param arena with the words. */
export function loaderGate(arena: DataAddr): Uint8Array {
  const a = new Assembler(codeAddr(0n));
  const [look, out, slice] = [a.label(), a.label(), a.label()];
  const word = (disp: number) => mem32(r12, { disp });
  for (const register of saved) a.i("push", register);
  a.i("mov", r12, arena);
  a.i("cmp", word(control.loaderArmed), 0);
  a.i("je", out);
  a.i("mov", r32.ebx, 1);
  a.lock().i("xadd", word(control.loaderEvents), r32.ebx);
  a.i("inc", r32.ebx);
  emitWake(a, mem(r12, { disp: control.loaderEvents }));
  a.i("mov", r32.r13d, slices);
  a.bind(look);
  a.i("mov", r32.edx, word(control.loaderSeen));
  a.i("mov", r32.ecx, r32.edx);
  a.i("sub", r32.ecx, r32.ebx);
  a.i("jns", out);
  a.i("cmp", word(control.loaderArmed), 0);
  a.i("je", out);
  a.i("dec", r32.r13d);
  a.i("js", out);
  emitWaitSlice(a, mem(r12, { disp: control.loaderSeen }), slice);
  a.i("jmp", look);
  a.bind(out);
  for (const register of saved.toReversed()) a.i("pop", register);
  a.i("ret");
  emitSlice(a, slice);
  return a.finish().bytes;
}
