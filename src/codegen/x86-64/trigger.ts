/**
 * Triggers: functions that switch a recording on and off for all threads at once, from the very
 * call on (traceon and traceoff of set_ftrace_filter), or have its rings written out (snapshot).
 * The switch is a word of the recording's arena; code looks at it only in recordings that have such
 * triggers. Of snapshots, the arena has a count, which the tracer watches.
 */
import { type Label, mem, mem32 } from "../../isa/x86-64/operands.ts";
import { r32, r64 } from "../../isa/x86-64/registers.ts";
import { control, triggerWord } from "../../ring/arena.ts";
import type { TriggerAction } from "../work.ts";
import { type InstancePlan, instanceOf, type Routine, record } from "./record.ts";

const { rax, rcx, rsi, rsp } = r64;

/** Goes to `off` while the instance's recording is switched off. Clobbers rax and the flags. */
export function emitSwitchCheck({ a }: Routine, { arena }: InstancePlan, off: Label): void {
  a.i("mov", rax, arena);
  a.i("cmp", mem32(rax, { disp: control.tracingOff }), 0);
  a.i("jne", off);
}

/**
 * Takes one off a trigger's count, or goes to `none` where nothing is left; a count below 0 stays.
 * Clobbers rax, rdx, rsi and the flags.
 */
export function emitTake(
  { a }: Routine,
  { arena }: InstancePlan,
  word: number,
  { none }: { readonly none: Label },
): void {
  const [again, taken] = [a.label(), a.label()];
  const left = mem32(rsi, { disp: triggerWord(word) });
  a.i("mov", rsi, arena);
  a.i("mov", r32.eax, left);
  a.bind(again);
  a.i("test", r32.eax, r32.eax);
  a.i("je", none);
  a.i("js", taken);
  a.i("lea", r32.edx, mem(rax, { disp: -1 }));
  a.lock().i("cmpxchg", left, r32.edx);
  a.i("jne", again);
  a.bind(taken);
}

/**
 * Switches, if that changes something, or asks for what the rings hold, unless the trigger's count
 * is used up; and marks the place in the trace of the thread that came by. Clobbers what `record`
 * does.
 */
export function emitTrigger(routine: Routine, action: TriggerAction): void {
  const { a } = routine;
  const instance = instanceOf(routine, action.instance);
  const { does, word } = action;
  const done = a.label();
  const off = mem32(rax, { disp: control.tracingOff });
  const loadArena = (): void => {
    a.i("mov", rax, instance.arena);
  };
  if (does !== "snapshot") {
    loadArena();
    a.i("cmp", off, 0);
    a.i(does === "traceon" ? "je" : "jne", done);
  }
  emitTake(routine, instance, word, { none: done });
  if (does === "traceon") {
    loadArena();
    a.i("mov", off, 0);
  }
  a.i("mov", r32.ecx, action.mark);
  a.i("push", rcx);
  record(routine, instance, "entry", mem32(rsp));
  record(routine, instance, "exit", mem32(rsp));
  a.i("pop", rcx);
  loadArena();
  if (does === "traceoff") a.i("mov", off, 1);
  if (does === "snapshot") a.lock().i("inc", mem32(rax, { disp: control.snapshotsWanted }));
  a.bind(done);
}
