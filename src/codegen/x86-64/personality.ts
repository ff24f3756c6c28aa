/**
 * The personality routine of thunks (Itanium C++ ABI: Exception Handling, 1.6): an unwinder calls
 * it for every hooked frame that it passes. In the phase in which frames are left for good, be it
 * for an exception, by pthread_exit or by pthread_cancel, it records that the function was left,
 * and lets the unwinder go on. By then the function's own clean-ups have run, and its caller's
 * have not begun.
 *
 * It has to ask the unwinder where the frame is. A process can have several unwinders, also some
 * that come later, so each has a stub here, which takes the addresses of its functions from a table
 * that the tracer fills.
 *
 * **Frames that look like their callers.** LLVM's libunwind tells frames apart by their stack
 * pointers alone, and a thunk has its caller's. When the caller is to catch the exception, it
 * therefore takes the thunk for the handler, and would abort if that declined. So the routine
 * accepts, and `landing` puts the return address back and jumps to `_Unwind_Resume`, for which it
 * is the caller that has called it.
 */
import type { DataAddr } from "../../base/brand.ts";
import type { Assembler } from "../../isa/x86-64/assembler.ts";
import { type Label, mem, mem8, mem32, mem64, type Operand } from "../../isa/x86-64/operands.ts";
import { r8 as byte, r32, r64 } from "../../isa/x86-64/registers.ts";

/** Unwinders of a process that can tell of frames that were left. */
export const unwinderStubs = 8;
/** Bytes from one stub to the next. */
export const stubStride = 16;

/** A row of the table: functions of one unwinder, 8 bytes each (C++ ABI: 1.5, 1.6). */
export const unwinderRow = {
  /** `_Unwind_GetIP(context)`. */
  getIp: 0,
  /** `_Unwind_SetIP(context, address)`. */
  setIp: 8,
  /** `_Unwind_SetGR(context, DWARF number of a register, value)`. */
  setGr: 16,
  /** `_Unwind_Resume(exception)`. */
  resume: 24,
  /** `_Unwind_GetCFA(context)`: here, the stack pointer behind the frame's return address. */
  getCfa: 32,
  bytes: 40,
} as const;

/** `_UA_CLEANUP_PHASE` and `_UA_HANDLER_FRAME` in the actions. */
const cleanupPhase = 2;
const handlerFrame = 4;
/** `_URC_INSTALL_CONTEXT` and `_URC_CONTINUE_UNWIND` as answers. */
const installContext = 7;
const continueUnwind = 8;
/** DWARF numbers of rax and rdx. */
const dwarfRax = 0;
const dwarfRdx = 1;

/**
 * In the highest byte of a return address in the mirror: its frame was left. Unwinders, which are
 * yet to read it, shift the bit out (`frame-description.ts`).
 */
export const leftMark = -128;
/** The same in the whole of it. */
export const leftBit: bigint = 1n << 63n;

const { rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, r12, r13 } = r64;
/** Of the routine's arguments: the exception, and the context. */
const [exception, context] = [rcx, r64.r8];

export type PersonalityPlan = {
  /** Address of the table. */
  readonly unwinders: DataAddr;
  /** From a thunk's return point to the 4 bytes of its site's id. */
  readonly idAfterReturn: number;
  /** Added to the address of a stack slot to get its slot in the mirror. */
  readonly mirrorDelta: bigint;
  /** Records that the function whose id is at the stack pointer was left; see `record`. */
  readonly record: () => void;
};

/** Adds the stubs and what they share; gives the first stub. */
export function emitPersonality(a: Assembler, plan: PersonalityPlan): Label {
  const common = a.label();
  const landing = a.label();
  a.align(stubStride);
  const first = a.bindNew();
  for (let index = 0; index < unwinderStubs; index++) {
    if (index > 0) a.align(stubStride);
    a.i("mov", rax, plan.unwinders + BigInt(index * unwinderRow.bytes));
    a.i("jmp", common);
  }
  a.bind(common);
  emitCommon(a, plan, landing);

  a.bind(landing);
  a.i("mov", rdi, rax);
  a.i("mov", rcx, BigInt.asIntN(64, plan.mirrorDelta));
  a.i("mov", rcx, mem64(rsp, { index: rcx, disp: -8 }));
  a.i("shl", rcx, 1);
  a.i("shr", rcx, 1);
  a.i("push", rcx);
  a.i("jmp", rdx);
  return first;
}

/** The routine, with the unwinder's row of the table in rax. */
function emitCommon(a: Assembler, plan: PersonalityPlan, landing: Label): void {
  const saved = [rbx, rbp, r12, r13, rsi];
  const [row, keptContext, keptException] = [rbp, r12, r13];
  const passed = a.label();
  const done = a.label();
  a.i("test", byte.sil, cleanupPhase);
  a.i("je", passed);
  for (const register of saved) a.i("push", register);
  a.i("mov", row, rax);
  a.i("mov", keptContext, context);
  a.i("mov", keptException, exception);
  a.i("mov", rdi, keptContext);
  a.i("call", mem64(row, { disp: unwinderRow.getIp }));
  a.i("mov", rbx, rax);
  emitMark();
  a.i("mov", rax, rbx);
  a.i("mov", r32.eax, mem32(rax, { disp: plan.idAfterReturn }));
  a.i("push", rax);
  plan.record();
  a.i("pop", rax);
  a.i("mov", r32.eax, continueUnwind);
  a.i("test", mem32(rsp), handlerFrame);
  a.i("je", done);
  setRegister(dwarfRax, keptException);
  setRegister(dwarfRdx, mem64(row, { disp: unwinderRow.resume }));
  a.i("mov", rdi, keptContext);
  a.i("lea", rsi, mem(landing));
  a.i("call", mem64(row, { disp: unwinderRow.setIp }));
  a.i("mov", r32.eax, installContext);
  a.bind(done);
  for (const register of saved.toReversed()) a.i("pop", register);
  a.i("ret");
  a.bind(passed);
  a.i("mov", r32.eax, continueUnwind);
  a.i("ret");

  /** The mirror shall not look as if the frame (its thunk's return point: rbx) were still there. */
  function emitMark(): void {
    const other = a.label();
    a.i("mov", rdi, keptContext);
    a.i("call", mem64(row, { disp: unwinderRow.getCfa }));
    a.i("cmp", mem64(rax, { disp: -8 }), rbx);
    a.i("jne", other);
    a.i("mov", rcx, BigInt.asIntN(64, plan.mirrorDelta));
    a.i("or", mem8(rax, { index: rcx, disp: -1 }), leftMark);
    a.bind(other);
  }

  function setRegister(number: number, value: Operand): void {
    a.i("mov", rdi, keptContext);
    a.i("mov", r32.esi, number);
    a.i("mov", rdx, value);
    a.i("call", mem64(row, { disp: unwinderRow.setGr }));
  }
}
