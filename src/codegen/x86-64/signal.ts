/**
 * Calls that the kernel makes, for signals. A handler finds the address of the C library's restorer
 * as its return address, at S: it is the first word of the kernel's frame (struct rt_sigframe,
 * arch/x86/include/asm/sigframe.h). What a handler ends with by a jump is entered so, too.
 */
import { type Label, mem, mem32, mem64 } from "../../isa/x86-64/operands.ts";
import { r32, r64 } from "../../isa/x86-64/registers.ts";
import { type InstancePlan, type Routine, routineFrame } from "./record.ts";
import { savedOffset } from "./values.ts";

const { rax, rbx, rdx, r9, rsp } = r64;

/** From S to the frame's struct ucontext, and to its siginfo_t. */
const contextAt = 8;
const infoAt = contextAt + 304;
/** In a siginfo_t (include/uapi/asm-generic/siginfo.h). */
const info = { signoErrno: 0, code: 8, pid: 16 } as const;

/** Goes to `signal` where the call is a signal's. Clobbers rax and the flags. */
export function emitIsSignal(
  { a }: Routine,
  { restorers = [] }: InstancePlan,
  saved: number,
  signal: Label,
): void {
  for (const restorer of restorers) {
    a.i("mov", rax, restorer);
    a.i("cmp", rax, mem64(rsp, { disp: saved + routineFrame.slot }));
    a.i("je", signal);
  }
}

/**
 * Puts what is known of the signal to [rbx], `signalSlots`, and moves rbx behind it. Clobbers rax,
 * rdx, r9 and the flags.
 * @param saved where what `save` pushed begins, from the stack pointer.
 * @param rdi where that is.
 */
export function emitSignal({ a }: Routine, saved: number, rdi: number): void {
  const changed = a.label();
  const frame = (disp: number) => mem64(r9, { disp });
  const register = (offset: number) => mem64(rsp, { disp: saved + offset });
  a.i("lea", r9, mem(rsp, { disp: saved + routineFrame.slot }));
  a.i("mov", rax, mem64(rsp, { disp: rdi }));
  a.i("mov", r32.eax, r32.eax);
  a.i("lea", rdx, mem(r9, { disp: infoAt }));
  a.i("cmp", rdx, register(savedOffset.rsi));
  a.i("jne", changed);
  a.i("lea", rdx, mem(r9, { disp: contextAt }));
  a.i("cmp", rdx, register(savedOffset.rdx));
  a.i("jne", changed);
  a.i("mov", rdx, 1n << 32n);
  a.i("or", rax, rdx);
  a.bind(changed);
  a.i("mov", mem64(rbx), rax);
  a.i("mov", rax, frame(infoAt + info.signoErrno));
  a.i("mov", mem64(rbx, { disp: 8 }), rax);
  a.i("mov", r32.eax, mem32(r9, { disp: infoAt + info.code }));
  a.i("mov", r32.edx, mem32(r9, { disp: infoAt + info.pid }));
  a.i("shl", rdx, 32);
  a.i("or", rax, rdx);
  a.i("mov", mem64(rbx, { disp: 16 }), rax);
  a.i("add", rbx, 24);
}
