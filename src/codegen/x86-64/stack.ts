/**
 * Stacks as values of long events: the return addresses of the calls around a function, innermost
 * first. The first one is at the function's entry; the others are found by frame pointers, each of
 * which points to the next one outside, beside which is a return address. Where a return is hooked,
 * the mirror has what belongs there.
 *
 * Code without frame pointers leaves anything in rbp, so nothing is believed: a frame lies above
 * the one before, not too far, on whole words, below the thread's own block where that is at the
 * stack's end; and no page is read before the kernel has. Which of the addresses are right shows
 * when the trace is read: `session/stack-names.ts`.
 */
import type { StackWish } from "../../ftrace/ops.ts";
import { type Label, mem, mem64 } from "../../isa/x86-64/operands.ts";
import { type Gpr, r32, r64 } from "../../isa/x86-64/registers.ts";
import type { InstancePlan, Routine } from "./record.ts";
import { emitIsInThunks } from "./thunk-range.ts";
import { emitTake } from "./trigger.ts";

const { rax, rbx, rcx, rdx, rsi, rdi, r9, r10, r11 } = r64;

/** Frames of more bytes are not believed. */
const frameBytesMax = 1 << 20;
/** Nothing is mapped below (vm.mmap_min_addr), nor above so many bits. */
const lowestCode = 4096;
const addressBits = 47;
const pageMask = 4095;

const sysRtSigprocmask = 14;
const errnoFault = 14;
/** No way to change a mask: the kernel reads the mask, and says that it doesn't know the way. */
const noSuchWay = -1;
/** What a system call and its arguments would change. */
const kept: readonly Gpr<64>[] = [rcx, rdi, r10, r11];

/** Slots of a stack: how many addresses follow, and these. */
export const stackSlots = ({ depth }: StackWish): number => 1 + depth;

/**
 * Puts the stack to [rbx], and moves rbx behind it. Keeps rcx; clobbers rax, rdx, rsi, rdi, r9,
 * r10, r11 and the flags.
 * @param loadFrame loads the address of the return address into r9, and rbp as it was at the
 *   function's entry into r10.
 */
export function emitStack(
  routine: Routine,
  instance: InstancePlan,
  { depth, word }: StackWish,
  loadFrame: () => void,
): void {
  const { a, plan } = routine;
  const [frame, plain, readable, look] = [a.label(), a.label(), a.label(), a.label()];
  const [looked, mirrored, end] = [a.label(), a.label(), a.label()];
  a.i("lea", rdi, mem(rbx, { disp: 8 }));
  if (word !== undefined) emitTake(routine, instance, word, { none: end });
  loadFrame();
  // What is in the same page as the return address can be read.
  a.i("mov", r11, r9);
  a.i("or", r11, pageMask);
  a.bind(frame);
  a.i("mov", rax, mem64(r9));
  a.i("mov", rdx, r9);
  a.i("shr", rdx, plan.mirrorWindowBits);
  a.i("cmp", r32.edx, plan.mirrorWindow);
  a.i("jne", plain);
  a.i("mov", rsi, BigInt.asIntN(64, plan.mirrorDelta));
  a.i("mov", rdx, mem64(r9, { index: rsi }));
  a.i("test", rdx, rdx);
  a.i("jne", mirrored);
  a.bind(plain);
  a.i("lea", rdx, mem(rax, { disp: -lowestCode }));
  a.i("shr", rdx, addressBits);
  a.i("jne", end);
  a.i("mov", mem64(rdi), rax);
  a.i("add", rdi, 8);
  a.i("lea", rdx, mem(rbx, { disp: 8 * stackSlots({ depth }) }));
  a.i("cmp", rdi, rdx);
  a.i("jae", end);
  emitDoubt(routine, end);
  a.i("lea", rdx, mem(r10, { disp: 15 }));
  a.i("cmp", rdx, r11);
  a.i("ja", look);
  a.bind(readable);
  a.i("lea", r9, mem(r10, { disp: 8 }));
  a.i("mov", r10, mem64(r10));
  a.i("jmp", frame);
  a.bind(end);
  a.i("mov", rax, rdi);
  a.i("sub", rax, rbx);
  a.i("shr", rax, 3);
  a.i("dec", rax);
  a.i("mov", mem64(rbx), rax);
  a.i("mov", rbx, rdi);
  routine.cold.push(() => {
    a.bind(mirrored);
    emitOriginal(routine);
    a.i("jmp", plain);
    a.bind(look);
    emitLook(routine, 0, end);
    a.i("mov", r32.eax, r32.r10d);
    a.i("and", r32.eax, pageMask);
    // Its two words may lie in two pages.
    a.i("cmp", r32.eax, pageMask - 7);
    a.i("jne", looked);
    emitLook(routine, 8, end);
    a.bind(looked);
    a.i("lea", r11, mem(r10, { disp: 8 }));
    a.i("or", r11, pageMask);
    a.i("jmp", readable);
  });
}

/** To `end` where no frame behind the one at r9 can be at r10. Clobbers rax and rdx. */
function emitDoubt({ a }: Routine, end: Label): void {
  const believed = a.label();
  a.i("test", r32.r10d, 7);
  a.i("jne", end);
  a.i("cmp", r10, r9);
  a.i("jbe", end);
  a.i("mov", rdx, r10);
  a.i("sub", rdx, r9);
  a.i("cmp", rdx, frameBytesMax);
  a.i("ja", end);
  // The thread pointer points at the thread's block, which has its own address in it.
  a.i("mov", rax, mem64({ seg: "fs", disp: 0 }));
  a.i("cmp", rax, r9);
  a.i("jbe", believed);
  a.i("lea", rdx, mem(r10, { disp: 16 }));
  a.i("cmp", rdx, rax);
  a.i("ja", end);
  a.bind(believed);
}

/** The return address in rax, which the mirror (rdx) knows another one for: rax. Clobbers rsi. */
function emitOriginal(routine: Routine): void {
  const { a } = routine;
  const done = a.label();
  emitIsInThunks(routine.a, routine.plan.ranges, rax, rsi, done);
  a.i("mov", rax, rdx);
  a.bind(done);
}

/** Lets the kernel read the word at r10 + `disp`; to `end` where it can't. */
function emitLook({ a }: Routine, disp: number, end: Label): void {
  for (const register of kept) a.i("push", register);
  a.i("lea", rsi, mem(r10, { disp }));
  a.i("mov", rdi, noSuchWay);
  a.i("xor", r32.edx, r32.edx);
  a.i("mov", r32.r10d, 8);
  a.i("mov", r32.eax, sysRtSigprocmask);
  a.i("syscall");
  for (const register of kept.toReversed()) a.i("pop", register);
  a.i("cmp", r32.eax, -errnoFault);
  a.i("je", end);
}
