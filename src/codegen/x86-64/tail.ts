/**
 * `tail`: what an entry-and-exit thunk calls when the mirror's slot of its return address is in
 * use. Either the slot is left over from a frame that an exception or a longjmp took away: then it
 * is taken. Or a hooked function has jumped to this one as its last act (a tail call): then the
 * return address is a thunk's return point, what the mirror holds goes on belonging to whoever
 * called the first one, and the exit of the function that is left is recorded here: its own thunk
 * never gets to that.
 *
 * In: rcx = the mirror's distance, rdx = the return address; on the stack, below its own return
 * address, what thunks save and the return address. Clobbers rax, rbx, rcx, rdx, rsi and the
 * flags; the calling thunk has saved them.
 */
import type { CodeAddr } from "../../base/brand.ts";
import { type Assembled, Assembler } from "../../isa/x86-64/assembler.ts";
import { mem, mem8, mem64 } from "../../isa/x86-64/operands.ts";
import { r64 } from "../../isa/x86-64/registers.ts";
import { type Cold, emitCold, type RecordPlan, record, savedBytes } from "./record.ts";

export type TailPlan = {
  readonly record: RecordPlan;
  readonly claim: CodeAddr;
  /** From a thunk's return point to the 8 bytes of its exit event. */
  readonly exitEvent: number;
};

/** `call rel32`: what stands before a return point, 5 bytes long. */
const callOpcode = 0xe8;
const callBytes = 5;

const { rax, rbx, rcx, rdx, rsp } = r64;

/** Code of `tail` for one region, to be placed at `origin`. */
export function tailRoutine(origin: CodeAddr, plan: TailPlan): Assembled {
  const a = new Assembler(origin);
  const cold: Cold[] = [];
  const look = a.label();
  const next = a.label();
  const stale = a.label();
  a.i("mov", rbx, plan.record.ranges);
  a.bind(look);
  a.i("mov", rax, mem64(rbx));
  a.i("test", rax, rax);
  a.i("je", stale);
  a.i("cmp", rdx, rax);
  a.i("jb", next);
  a.i("cmp", rdx, mem64(rbx, { disp: 8 }));
  a.i("jae", next);
  // A tracer that calls a function of the process lets it return to generated code, too.
  a.i("cmp", mem8(rdx, { disp: -callBytes }), callOpcode);
  a.i("jne", stale);

  a.i("push", mem64(rdx, { disp: plan.exitEvent }));
  record(a, plan.record, "exit", cold, mem64(rsp));
  a.i("lea", rsp, mem(rsp, { disp: 8 }));
  a.i("ret");

  a.bind(next);
  a.i("add", rbx, 16);
  a.i("jmp", look);

  a.bind(stale);
  a.i("mov", mem64(rsp, { index: rcx, disp: savedBytes + 8 }), rdx);
  a.i("ret");
  emitCold(a, cold, () => a.i("call", plan.claim));
  return a.finish();
}
