/**
 * Triggers: functions that switch a recording on and off for all threads at once, from the very
 * call on (traceon and traceoff of set_ftrace_filter). The switch is a word of the recording's
 * arena; code looks at it only in recordings that have triggers.
 */
import { type Label, mem32 } from "../../isa/x86-64/operands.ts";
import { r32, r64 } from "../../isa/x86-64/registers.ts";
import { control, triggerWord } from "../../ring/arena.ts";
import type { TriggerAction } from "../work.ts";
import { type InstancePlan, instanceOf, type Routine, record } from "./record.ts";

const { rax, rcx, rsp } = r64;

/** Goes to `off` while the instance's recording is switched off. Clobbers rax and the flags. */
export function emitSwitchCheck({ a }: Routine, { arena }: InstancePlan, off: Label): void {
  a.i("mov", rax, arena);
  a.i("cmp", mem32(rax, { disp: control.tracingOff }), 0);
  a.i("jne", off);
}

/**
 * Switches, if that changes something and the trigger's count is not used up, and marks the place
 * in the trace of the thread that came by. Clobbers what `record` does.
 */
export function emitTrigger(routine: Routine, action: TriggerAction): void {
  const { a } = routine;
  const instance = instanceOf(routine, action.instance);
  const isOn = action.does === "traceon";
  const [fire, done] = [a.label(), a.label()];
  const off = mem32(rax, { disp: control.tracingOff });
  const left = mem32(rax, { disp: triggerWord(action.word) });
  const set = (): void => {
    a.i("mov", rax, instance.arena);
    a.i("mov", off, isOn ? 0 : 1);
  };
  a.i("mov", rax, instance.arena);
  a.i("cmp", off, 0);
  a.i(isOn ? "je" : "jne", done);
  // Below 0: as often as it likes.
  a.i("mov", r32.ecx, left);
  a.i("test", r32.ecx, r32.ecx);
  a.i("je", done);
  a.i("js", fire);
  a.lock().i("dec", left);
  a.bind(fire);
  if (isOn) set();
  a.i("mov", r32.ecx, action.mark);
  a.i("push", rcx);
  record(routine, instance, "entry", mem32(rsp));
  record(routine, instance, "exit", mem32(rsp));
  a.i("pop", rcx);
  if (!isOn) set();
  a.bind(done);
}
