/**
 * The gate of jumps: what longjmp calls at its entry while a recording wants to know of the
 * functions that it leaves. The return addresses of hooked functions stand on the stack between
 * here and where the jump goes: for each, innermost first, its thunk's `jumped` records that the
 * function was left. The stack then has the address that the mirror kept, so that nothing there
 * looks hooked any more; a program that comes back all the same (coroutines that carve their
 * stacks out of one) returns past the thunk.
 *
 * Nothing is believed that can't be checked. Both ends lie in the first thread's stack, whose end
 * is known, or below the thread's own block with nothing but readable pages in between: other
 * stacks have a page without rights below them. A signal handler that jumps off its alternate
 * stack leaves two pieces of stacks: its own up to the frame that the kernel has put there, and
 * what lies between the place that the signal interrupted and where the jump goes. Other jumps to
 * another stack are left alone.
 *
 * It may run where there is little stack left: it takes some hundred bytes.
 */
import { codeAddr, type DataAddr } from "../../base/brand.ts";
import { Assembler } from "../../isa/x86-64/assembler.ts";
import { type Label, mem, mem8, mem32, mem64 } from "../../isa/x86-64/operands.ts";
import { r32, r64 } from "../../isa/x86-64/registers.ts";
import { leftMark } from "./personality.ts";
import { routineFrame } from "./record.ts";
import { returnPointFacts } from "./thunk.ts";
import { emitIsInThunks } from "./thunk-range.ts";

export type JumpPlan = {
  /** Address of the list of places with generated code: `target/thunk-ranges.ts`. */
  readonly ranges: DataAddr;
  readonly mirrorDelta: bigint;
  readonly mirrorWindowBits: number;
  readonly mirrorWindow: number;
  /** Where the first thread's stack ends; 0 where that is not known. */
  readonly stackEnd: bigint;
  /** The first thread's thread pointer; 0 where that is not known. */
  readonly firstBlock: bigint;
  /** Whether the C library mangles what is in a jmp_buf. */
  readonly mangled: boolean;
};

const { rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, r8, r10, r12, r13, r14 } = r64;
/** The others are the caller's to save (`direct.ts`). */
const saved = [rbx, rbp, r12, r13, r14];
/** What is looked through, from the lower address to the upper one. */
const [from, to] = [rbx, r12];

/** Of a jmp_buf, glibc's and musl's: where the stack pointer is, in bytes. */
const jumpStack = 48;
/** How glibc mangles it: sysdeps/x86_64/setjmp.S, pointer_guard.h. */
const mangledBy = 17;
const guardOffset = 0x30;

/** Nothing else is mapped so close to the end of the first thread's stack (mmap_base). */
const firstStackBytes = 1n << 27n;
/** Larger stacks of other threads are not looked through. */
const otherStackBytes = 1 << 26;

const pageBytes = 4096;
const sysRtSigprocmask = 14;
const sysSigaltstack = 131;
const errnoFault = 14;
/** No way to change a mask: see `stack.ts`. */
const noSuchWay = -1;

/** `stack_t`: sigaltstack(2). */
const stackFlag = { isOn: 1 } as const;
/**
 * A signal's frame from its first word, the address that the handler returns to: the alternate
 * stack (`uc_stack`) and the stack pointer that was interrupted (arch/x86/include/uapi/asm/
 * sigcontext.h, ucontext.h).
 */
const signalFrame = { stackStart: 24, stackBytes: 40, rsp: 168, bytes: 176 } as const;

type Routines = {
  /** Gives 1 in eax where [from, to) is one stack, else 0. */
  readonly isOneStack: Label;
  /** Records what is left in [from, to), where that is mirrored. */
  readonly leave: Label;
};

/** The function. It is called by `direct.ts`: rbx leads to the frame of the caller. */
export function jumpGate(plan: JumpPlan): Uint8Array {
  const a = new Assembler(codeAddr(0n));
  const routines: Routines = { isOneStack: a.label(), leave: a.label() };
  const [whole, out] = [a.label(), a.label()];
  for (const register of saved) a.i("push", register);
  // Its own return address is one of them: where a call of it through a PLT is traced.
  a.i("lea", from, mem(rbx, { disp: routineFrame.slot }));
  a.i("mov", to, mem64(rdi, { disp: jumpStack }));
  if (plan.mangled) {
    a.i("mov", rax, to);
    a.i("shr", rax, mangledBy);
    a.i("shl", to, 64 - mangledBy);
    a.i("or", to, rax);
    a.i("xor", to, mem64({ seg: "fs", disp: guardOffset }));
  }
  a.i("test", r32.r12d, 7);
  a.i("jne", out);
  a.i("call", routines.isOneStack);
  a.i("test", r32.eax, r32.eax);
  a.i("jne", whole);
  emitAlternate(a, routines, whole, out);
  a.bind(whole);
  a.i("call", routines.leave);
  a.bind(out);
  for (const register of saved.toReversed()) a.i("pop", register);
  a.i("ret");
  emitIsOneStack(a, plan, routines);
  emitLeave(a, plan, routines);
  return a.finish().bytes;
}

/**
 * From the alternate signal stack: to `whole` with what is left to do, which may be all where the
 * jump stays on that stack, or to `out`.
 */
function emitAlternate(a: Assembler, routines: Routines, whole: Label, out: Label): void {
  const [search, next, found, elsewhere] = [a.label(), a.label(), a.label(), a.label()];
  const [start, bytes, end, frame] = [rbp, rdx, r14, r8];
  a.i("sub", rsp, 24);
  a.i("xor", r32.edi, r32.edi);
  a.i("mov", rsi, rsp);
  a.i("mov", r32.eax, sysSigaltstack);
  a.i("syscall");
  a.i("pop", start);
  a.i("pop", rcx);
  a.i("pop", bytes);
  a.i("test", r32.eax, r32.eax);
  a.i("jne", out);
  a.i("test", r32.ecx, stackFlag.isOn);
  a.i("je", out);
  a.i("lea", end, mem(start, { index: bytes }));
  a.i("cmp", to, from);
  a.i("jbe", elsewhere);
  a.i("cmp", to, end);
  a.i("jbe", whole);
  a.bind(elsewhere);
  a.i("mov", frame, from);
  a.bind(search);
  a.i("lea", rax, mem(frame, { disp: signalFrame.bytes }));
  a.i("cmp", rax, end);
  a.i("ja", out);
  a.i("cmp", mem64(frame, { disp: signalFrame.stackStart }), start);
  a.i("jne", next);
  a.i("cmp", mem64(frame, { disp: signalFrame.stackBytes }), bytes);
  a.i("jne", next);
  a.i("mov", rax, mem64(frame, { disp: signalFrame.rsp }));
  // A signal that has interrupted a handler on this stack has a frame there, too.
  a.i("cmp", rax, start);
  a.i("jb", found);
  a.i("cmp", rax, end);
  a.i("jae", found);
  a.bind(next);
  a.i("add", frame, 8);
  a.i("jmp", search);

  a.bind(found);
  a.i("add", rax, 7);
  a.i("and", rax, -8);
  a.i("push", rax);
  a.i("push", to);
  // Its first word is where the handler would have returned to.
  a.i("lea", to, mem(frame, { disp: 8 }));
  a.i("call", routines.leave);
  a.i("pop", to);
  a.i("pop", from);
  a.i("call", routines.isOneStack);
  a.i("test", r32.eax, r32.eax);
  a.i("je", out);
}

function emitIsOneStack(a: Assembler, plan: JumpPlan, { isOneStack }: Routines): void {
  const [other, first, yes, no] = [a.label(), a.label(), a.label(), a.label()];
  const [block, page] = [r14, r8];
  a.bind(isOneStack);
  a.i("cmp", from, to);
  a.i("jae", no);
  a.i("mov", rax, plan.stackEnd);
  a.i("cmp", from, rax);
  a.i("jae", other);
  a.i("sub", rax, from);
  a.i("cmp", rax, Number(firstStackBytes));
  a.i("jb", first);

  a.bind(other);
  // The thread pointer points at the thread's block, which has its own address in it.
  a.i("mov", block, mem64({ seg: "fs", disp: 0 }));
  // The first thread's is not at the end of its stack.
  a.i("mov", rax, plan.firstBlock);
  a.i("cmp", block, rax);
  a.i("je", no);
  a.i("cmp", to, block);
  a.i("jae", no);
  a.i("mov", rax, block);
  a.i("sub", rax, from);
  a.i("cmp", rax, otherStackBytes);
  a.i("ja", no);
  a.i("mov", page, from);
  const probe = a.bindNew();
  a.i("add", page, pageBytes);
  a.i("and", page, -pageBytes);
  a.i("cmp", page, block);
  a.i("jae", yes);
  a.i("mov", rdi, noSuchWay);
  a.i("mov", rsi, page);
  a.i("xor", r32.edx, r32.edx);
  a.i("mov", r10, 8);
  a.i("mov", r32.eax, sysRtSigprocmask);
  a.i("syscall");
  a.i("cmp", r32.eax, -errnoFault);
  a.i("jne", probe);
  a.bind(no);
  a.i("xor", r32.eax, r32.eax);
  a.i("ret");

  a.bind(first);
  a.i("mov", rax, plan.stackEnd);
  a.i("cmp", to, rax);
  a.i("jae", no);
  a.bind(yes);
  a.i("mov", r32.eax, 1);
  a.i("ret");
}

function emitLeave(a: Assembler, plan: JumpPlan, { leave }: Routines): void {
  const [look, next, done] = [a.label(), a.label(), a.label()];
  const at = r13;
  a.bind(leave);
  a.i("mov", rax, from);
  a.i("shr", rax, plan.mirrorWindowBits);
  a.i("cmp", r32.eax, plan.mirrorWindow);
  a.i("jne", done);
  a.bind(look);
  a.i("cmp", from, to);
  a.i("jae", done);
  a.i("mov", at, mem64(from));
  emitIsThunk(a, plan, next);
  a.i("mov", rcx, BigInt.asIntN(64, plan.mirrorDelta));
  a.i("mov", rdx, mem64(from, { index: rcx }));
  a.i("test", rdx, rdx);
  // Not in use, or the frame was left by an exception: `personality.ts`.
  a.i("jle", next);
  a.i("mov", mem64(from), rdx);
  a.i("or", mem8(from, { index: rcx, disp: 7 }), leftMark);
  a.i("push", from);
  a.i("mov", r32.eax, mem32(at, { disp: returnPointFacts.id }));
  a.i("push", rax);
  a.i("movsxd", rax, mem32(at, { disp: returnPointFacts.leave - 4 }));
  const jumped = returnPointFacts.leave + returnPointFacts.jumpedFromLeave;
  a.i("lea", rax, mem(rax, { index: at, disp: jumped }));
  a.i("call", rax);
  a.i("pop", rax);
  a.i("pop", from);
  a.bind(next);
  a.i("add", from, 8);
  a.i("jmp", look);
  a.bind(done);
  a.i("ret");
}

/** To `next` unless r13 is the return point of a thunk. */
function emitIsThunk(a: Assembler, plan: JumpPlan, next: Label): void {
  emitIsInThunks(a, plan.ranges, r13, rdx, next);
  a.i("cmp", mem32(r13), returnPointFacts.first);
  a.i("jne", next);
  a.i("cmp", mem8(r13, { disp: 4 }), returnPointFacts.last - 256);
  a.i("jne", next);
}
