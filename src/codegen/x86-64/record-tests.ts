/**
 * Which calls are meant: the tests that a thunk makes before it does anything about an entry, and
 * those that show at the end alone.
 */

import { conjuncts, needsExit } from "../../ftrace/condition.ts";
import type { CallTests } from "../../ftrace/ops.ts";
import { type Label, mem8, mem32, mem64 } from "../../isa/x86-64/operands.ts";
import { r32, r64 } from "../../isa/x86-64/registers.ts";
import { threadBitsOffset } from "../../ring/arena.ts";
import { ringHeader } from "../../ring/layout.ts";
import { type ExitAction, hooksReturn, type Work } from "../work.ts";
import type { Place } from "./actions.ts";
import { type ConditionPlace, jumpIf } from "./condition.ts";
import { type InstancePlan, loadRing, type Routine } from "./record.ts";

const { rax, rcx, rdx } = r64;

/** Whether an entry has to pass tests. */
export const hasTests = ({ when, sample, threads }: CallTests): boolean =>
  when !== undefined || sample !== undefined || threads !== undefined;

/** Whether calls are told by their ends. */
export const isHeld = ({ when }: CallTests): boolean => when !== undefined && needsExit(when);

/**
 * The action whose tests decide whether returns are hooked at all: that of a work in which nobody
 * else wants them.
 */
export function gateOf(work: Work): ExitAction | undefined {
  const [only, ...others] = work.filter(hooksReturn);
  return only === undefined || others.length > 0 || !hasTests(only) ? undefined : only;
}

/** Jumps to `fails` where the call is none that is meant. Clobbers what `record` does. */
export function emitTests(
  routine: Routine,
  instance: InstancePlan,
  { when, sample, threads }: CallTests,
  { saved }: Place,
  fails: Label,
): void {
  if (threads === true) emitThreadTest(routine, instance, fails);
  for (const condition of when === undefined ? [] : conjuncts(when)) {
    if (needsExit(condition) || saved === undefined) continue;
    const { ticksPerNs } = routine.plan;
    jumpIf(routine, condition, false, { saved, ticksPerNs }, fails);
  }
  if (sample !== undefined && sample > 1) emitSample(routine, instance, sample, fails);
}

/**
 * Jumps to `fails` where a call that ends shows to be none. Clobbers rax, rdx, rsi, flags.
 * @param place `saved` undefined where the function has jumped to another one: what it returns is
 * not known.
 */
export function emitEndTests(
  routine: Routine,
  instance: InstancePlan,
  { when }: CallTests,
  place: { readonly saved: number | undefined } & Pick<ConditionPlace, "loadDuration">,
  fails: Label,
): void {
  const ticksPerNs = instance.coarse ? 1 : routine.plan.ticksPerNs;
  for (const condition of when === undefined ? [] : conjuncts(when)) {
    if (!needsExit(condition)) continue;
    if (place.saved === undefined && condition.kind !== "duration") routine.a.i("jmp", fails);
    else
      jumpIf(routine, condition, false, { ...place, saved: place.saved ?? 0, ticksPerNs }, fails);
  }
}

/** The thread's bit in the instance's filter of threads. */
function emitThreadTest({ a, plan }: Routine, instance: InstancePlan, fails: Label): void {
  a.i("mov", r32.eax, mem32({ seg: "fs", disp: plan.tidOffset }));
  a.i("mov", rcx, instance.arena + BigInt(threadBitsOffset(instance.shape)));
  a.i("mov", r32.edx, r32.eax);
  a.i("shr", r32.edx, 3);
  a.i("movzx", r32.edx, mem8(rcx, { index: rdx }));
  a.i("and", r32.eax, 7);
  a.i("bt", r32.edx, r32.eax);
  a.i("jae", fails);
}

/**
 * Lets one call in `every` pass, on average: the gap to the next one is random, because calls come
 * in patterns that a fixed gap could be in step with.
 */
function emitSample(routine: Routine, instance: InstancePlan, every: number, fails: Label): void {
  const { a } = routine;
  const state = mem64(rcx, { disp: ringHeader.sampleState });
  loadRing(routine, instance, { as: "entry", none: fails });
  a.i("sub", mem64(rcx, { disp: ringHeader.sampleCredit }), 1);
  a.i("jns", fails);
  // Knuth's linear congruential generator (MMIX); its upper half is a fraction of 2^32.
  a.i("rdtsc");
  a.i("xor", rax, state);
  a.i("mov", rdx, 6_364_136_223_846_793_005n);
  a.i("imul", rax, rdx);
  a.i("mov", rdx, 1_442_695_040_888_963_407n);
  a.i("add", rax, rdx);
  a.i("mov", state, rax);
  a.i("shr", rax, 32);
  a.i("mov", r32.edx, 2 * every - 1);
  a.i("imul", rax, rdx);
  a.i("shr", rax, 32);
  a.i("mov", mem64(rcx, { disp: ringHeader.sampleCredit }), rax);
}
