/**
 * What `enter` (`thunk.ts`) does when the mirror's slot of a return address is in use. Either the
 * slot is left over from a frame that an exception or a longjmp took away: then it is taken. Or a
 * hooked function has jumped to this one as its last act (a tail call): then the return address is
 * a thunk's return point, what the mirror holds goes on belonging to whoever called the first one,
 * and the exit of the function that is left is done from here: its own thunk never gets to that.
 */
import { type Label, type Mem, mem, mem8, mem32 } from "../../isa/x86-64/operands.ts";
import { r32, r64 } from "../../isa/x86-64/registers.ts";
import type { Routine } from "./record.ts";
import { emitIsInThunks } from "./thunk-range.ts";

export type TailPlan = {
  /** The slot, with the mirror's distance in rcx. */
  readonly mirrorSlot: Mem;
  /** From a thunk's return point to the 4 bytes of its site's id. */
  readonly idAfterReturn: number;
  /** From there to behind its `call leave`, and from `leave` to `left`, which does the exit. */
  readonly leaveAfterReturn: number;
  readonly leftFromLeave: number;
  /** Where to go on. */
  readonly done: Label;
};

/** `call rel32`: what stands before a return point, 5 bytes long. */
const callOpcode = 0xe8;
const callBytes = 5;

const { rax, rbx, rdx, rsp } = r64;

/** In: rcx = the mirror's distance, rdx = the return address. Clobbers what `record` does. */
export function emitTail(routine: Routine, tail: TailPlan): void {
  const { a } = routine;
  const stale = a.label();
  emitIsInThunks(routine.a, routine.plan.ranges, rdx, rbx, stale);
  // A tracer that calls a function of the process lets it return to generated code, too.
  a.i("cmp", mem8(rdx, { disp: -callBytes }), callOpcode);
  a.i("jne", stale);

  a.i("mov", r32.eax, mem32(rdx, { disp: tail.idAfterReturn }));
  a.i("push", rax);
  a.i("movsxd", rax, mem32(rdx, { disp: tail.leaveAfterReturn - 4 }));
  a.i("lea", rax, mem(rax, { index: rdx, disp: tail.leaveAfterReturn + tail.leftFromLeave }));
  a.i("call", rax);
  a.i("lea", rsp, mem(rsp, { disp: 8 }));
  a.i("jmp", tail.done);

  a.bind(stale);
  a.i("mov", tail.mirrorSlot, rdx);
  a.i("jmp", tail.done);
}
