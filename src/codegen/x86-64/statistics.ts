/**
 * Statistics: the thunk adds calls, times and a histogram of durations to the thread's own tables
 * (`ring/statistics.ts`). No other thread writes there, so no instruction needs a lock; signal
 * handlers do, so every change is one instruction, or is made again when it fails.
 *
 * When a function was entered, and what self time its thread had spent until then, stands beside
 * the mirrored return address (`frameWord`): a function of the stack pointer, so whatever leaves
 * frames without a return leaves nothing wrong behind. A call that the tests leave out was entered
 * at 0, and its time is its callers' own.
 */
import { ensure } from "../../base/assert.ts";
import { isResult } from "../../ftrace/value-spec.ts";
import { type Mem, mem, mem32, mem64 } from "../../isa/x86-64/operands.ts";
import { r8, r32, r64 } from "../../isa/x86-64/registers.ts";
import { bucketCount, subBits } from "../../ring/histogram.ts";
import { callsOffset, rowsOffset, selfTicksOffset, statisticsRow } from "../../ring/statistics.ts";
import type { StatisticsAction, Work } from "../work.ts";
import type { Place } from "./actions.ts";
import {
  frameWord,
  type InstancePlan,
  instanceOf,
  loadRing,
  type Routine,
  readClock,
} from "./record.ts";
import { emitEndTests, emitTests, gateOf, hasTests, isHeld } from "./record-tests.ts";
import { emitValueRow } from "./value-row.ts";

const { rax, rbx, rcx, rdx, rsi, rsp } = r64;

/** A word of the frame whose return address is at `slot` above the stack pointer; uses rsi. */
export function frameMem(
  { a }: Routine,
  { frameDeltas }: InstancePlan,
  word: number,
  slot: number,
): Mem {
  a.i("mov", rsi, BigInt.asIntN(64, ensure(frameDeltas[word], "frames have words for it")));
  return mem64(rsp, { index: rsi, disp: slot });
}

/** Adds 1 to the calls of `site` in the tables at rcx. Clobbers rax and the flags. */
function emitCall({ a }: Routine, site: Mem): void {
  a.i("mov", r32.eax, site);
  a.i("inc", mem64(rcx, { index: rax, scale: 8, disp: callsOffset }));
}

/** Whether only the end of a call says whether it counts, or as what. */
const countsLate = (action: StatisticsAction): boolean =>
  isHeld(action) || (action.by !== undefined && isResult(action.by.place));

/**
 * Counts a call, unless its end has to say whether it counts. Clobbers rax, rbx, rcx, rdx, rsi and
 * the flags. A gate's tests have been made already.
 */
export function emitStatisticsEntry(
  routine: Routine,
  work: Work,
  action: StatisticsAction,
  place: Place,
): void {
  const { a, cold } = routine;
  const instance = instanceOf(routine, action.instance);
  const slot = action.exits ? place.slot : undefined;
  // Where no exit comes by, what a call comes to is never known.
  if (countsLate(action) && slot === undefined) return;
  const [fails, done] = [a.label(), a.label()];
  if (hasTests(action) && gateOf(work) !== action) {
    emitTests(routine, instance, action, place, fails);
  }
  if (action.by === undefined || isResult(action.by.place)) {
    emitBegin(routine, action, place.site, slot);
  } else {
    emitValueRow(routine, instance, action.by, ensure(place.saved, "the call's registers"));
    if (slot !== undefined) a.i("mov", frameMem(routine, instance, frameWord.row, slot), rax);
    withRow(routine, () =>
      emitBegin(routine, action, mem32(rsp), slot === undefined ? undefined : slot + rowBytes),
    );
  }
  a.bind(done);
  cold.push(() => {
    a.bind(fails);
    if (slot !== undefined) a.i("mov", frameMem(routine, instance, frameWord.entered, slot), 0);
    a.i("jmp", done);
  });
}

/** Bytes of a row's number on the stack. */
const rowBytes = 8;

/** Has the row in rax on top of the stack while `emit`'s code runs. */
function withRow({ a }: Routine, emit: () => void): void {
  a.i("push", rax);
  emit();
  a.i("pop", rax);
}

/** Counts the call in the row `site` as far as that is possible now, and notes when it began. */
function emitBegin(
  routine: Routine,
  action: StatisticsAction,
  site: Mem,
  slot: number | undefined,
): void {
  const { a, cold } = routine;
  const instance = instanceOf(routine, action.instance);
  const [noRing, done] = [a.label(), a.label()];
  loadRing(routine, instance, { as: "entry", none: noRing });
  if (!countsLate(action)) emitCall(routine, site);
  if (slot !== undefined) {
    a.i("mov", rbx, mem64(rcx, { disp: selfTicksOffset }));
    a.i("mov", frameMem(routine, instance, frameWord.selfBefore, slot), rbx);
    readClock(routine, instance);
    a.i("mov", frameMem(routine, instance, frameWord.entered, slot), rax);
  }
  a.bind(done);
  cold.push(() => {
    a.bind(noRing);
    if (slot !== undefined) a.i("mov", frameMem(routine, instance, frameWord.entered, slot), 0);
    a.i("jmp", done);
  });
}

/** Adds a call that returns, if it counts. Clobbers rax, rbx, rcx, rdx, rsi and the flags. */
export function emitStatisticsExit(
  routine: Routine,
  action: StatisticsAction,
  { site, slot: hooked, saved }: Place,
): void {
  const { a } = routine;
  const { by } = action;
  const instance = instanceOf(routine, action.instance);
  const slot = ensure(hooked, "a hooked return");
  const done = a.label();
  readClock(routine, instance);
  a.i("mov", rbx, frameMem(routine, instance, frameWord.entered, slot));
  a.i("test", rbx, rbx);
  a.i("je", done);
  // Clocks of two processors may differ by a little.
  a.i("sub", rax, rbx);
  a.i("mov", r32.ebx, 0);
  a.i("cmovns", rbx, rax);
  const loadDuration = (): void => void a.i("mov", rax, rbx);
  emitEndTests(routine, instance, action, { saved, loadDuration }, done);
  if (by === undefined) emitEnd(routine, action, site, slot);
  else {
    if (!isResult(by.place)) a.i("mov", rax, frameMem(routine, instance, frameWord.row, slot));
    // What a function that has jumped to another one returns is not known.
    else if (saved === undefined) a.i("jmp", done);
    else emitValueRow(routine, instance, by, saved);
    withRow(routine, () => emitEnd(routine, action, mem32(rsp), slot + rowBytes));
  }
  a.bind(done);
}

/** Adds the call that has taken rbx to the row `site`. */
function emitEnd(routine: Routine, action: StatisticsAction, site: Mem, slot: number): void {
  const { a } = routine;
  const instance = instanceOf(routine, action.instance);
  const done = a.label();
  loadRing(routine, instance, { as: "exit", none: done, keep: rbx });
  if (countsLate(action)) emitCall(routine, site);
  // Self time: what passed, less what this thread has spent in functions that returned meanwhile.
  a.i("mov", rax, mem64(rcx, { disp: selfTicksOffset }));
  a.i("sub", rax, frameMem(routine, instance, frameWord.selfBefore, slot));
  a.i("mov", rdx, rbx);
  a.i("sub", rdx, rax);
  a.i("mov", r32.eax, 0);
  a.i("cmovb", rdx, rax);
  a.i("add", mem64(rcx, { disp: selfTicksOffset }), rdx);
  a.i("mov", r32.eax, site);
  a.i("imul", rax, rax, statisticsRow.bytes);
  a.i("lea", rsi, mem(rcx, { index: rax, disp: rowsOffset(instance.shape) }));
  a.i("add", mem64(rsi, { disp: statisticsRow.self }), rdx);
  a.i("add", mem64(rsi, { disp: statisticsRow.total }), rbx);
  emitMaximum(routine, statisticsRow.longest);
  a.i("not", rbx);
  emitMaximum(routine, statisticsRow.shortestInverted);
  a.i("not", rbx);
  emitBucket(routine);
  a.bind(done);
}

/** The field of the row at rsi becomes rbx, if that is more. */
function emitMaximum({ a, cold }: Routine, field: number): void {
  const [more, done, again] = [a.label(), a.label(), a.label()];
  a.i("cmp", rbx, mem64(rsi, { disp: field }));
  a.i("ja", more);
  a.bind(done);
  cold.push(() => {
    a.bind(more);
    a.i("mov", rax, mem64(rsi, { disp: field }));
    a.bind(again);
    a.i("cmp", rbx, rax);
    a.i("jbe", done);
    a.i("cmpxchg", mem64(rsi, { disp: field }), rbx);
    a.i("jne", again);
    a.i("jmp", done);
  });
}

/** Adds 1 to the bucket of rbx in the row at rsi. */
function emitBucket({ a, cold }: Routine): void {
  const [long, found] = [a.label(), a.label()];
  // 0 goes with 1.
  a.i("cmp", rbx, 1);
  a.i("adc", rbx, 0);
  a.i("bsr", rcx, rbx);
  a.i("lea", r32.eax, mem(rcx, { disp: -1 }));
  a.i("shl", r32.eax, subBits);
  // The bits below the highest one, in its place those of the exponent.
  a.i("xor", r32.ecx, 63);
  a.i("shl", rbx, r8.cl);
  a.i("shr", rbx, 63 - subBits);
  a.i("add", r32.eax, r32.ebx);
  a.i("cmp", r32.eax, bucketCount);
  a.i("jae", long);
  a.bind(found);
  a.i("inc", mem64(rsi, { index: rax, scale: 8, disp: statisticsRow.buckets }));
  cold.push(() => {
    a.bind(long);
    a.i("mov", r32.eax, bucketCount - 1);
    a.i("jmp", found);
  });
}
