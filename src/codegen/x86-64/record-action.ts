/** Recording as one action of several: which calls, with which values. */
import { ensure } from "../../base/assert.ts";
import { mem32 } from "../../isa/x86-64/operands.ts";
import { r32, r64 } from "../../isa/x86-64/registers.ts";
import { aloneBit } from "../../ring/layout.ts";
import { keepsRedZone, type RecordAction, type Work } from "../work.ts";
import type { Place } from "./actions.ts";
import { emitHeldEntry, emitHeldExit, ignore } from "./held.ts";
import { type Payload, recordLong } from "./long-record.ts";
import { instanceOf, type Routine, record } from "./record.ts";
import { emitTests, gateOf, hasTests, isHeld } from "./record-tests.ts";
import { emitIsSignal } from "./signal.ts";
import { frameMem } from "./statistics.ts";
import { emitSwitchCheck } from "./trigger.ts";

const { rax, rsp } = r64;

/** The words that frames have for a record with tests. */
const stateWord = 0;

/** Whether a word of the frame says if the entry was recorded. */
export const isFlagged = (work: Work, action: RecordAction): boolean =>
  action.exits && hasTests(action) && gateOf(work) !== action;

/** What an entry brings along. Inside of a function no return address is on top of the stack. */
const entryPayload = (work: Work, { values, stack }: RecordAction): Payload => ({
  values: values?.entry ?? [],
  stack: keepsRedZone(work) ? undefined : stack,
});

/** The entry, if the call passes the tests; a gate's have been made already. */
export function emitRecordEntry(
  routine: Routine,
  work: Work,
  action: RecordAction,
  place: Place,
): void {
  const { a, cold } = routine;
  const instance = instanceOf(routine, action.instance);
  const isFlag = isFlagged(work, action) && place.slot !== undefined;
  const [fails, done] = [a.label(), a.label()];
  const held = isHeld(action);
  // Where no exit comes by, what a call comes to is never known.
  if (held && place.slot === undefined) return;
  const setState = (state: 0 | 1): void => {
    if (!isFlag) return;
    const slot = ensure(place.slot, "a hooked return");
    if (!held) a.i("mov", frameMem(routine, instance, stateWord, slot), state);
    else if (state === 0) ignore(routine, instance, slot);
  };
  const isTested = hasTests(action) && (gateOf(work) !== action || place.slot === undefined);
  const isSwitched = action.switched === true;
  if (isSwitched) emitSwitchCheck(routine, instance, fails);
  if (isTested) emitTests(routine, instance, action, place, fails);
  if (held) emitHeldEntry(routine, instance, action, place);
  else emitEntry(routine, work, action, place);
  setState(1);
  a.bind(done);
  if (!isTested && !isSwitched) return;
  cold.push(() => {
    a.bind(fails);
    setState(0);
    a.i("jmp", done);
  });
}

/** The entry of a call that passes; where somebody asks for it, with what signal it is for. */
function emitEntry(routine: Routine, work: Work, action: RecordAction, place: Place): void {
  const { a, cold } = routine;
  const instance = instanceOf(routine, action.instance);
  const payload = entryPayload(work, action);
  const { saved } = place;
  const [signal, recorded] = [a.label(), a.label()];
  const tellsSignals = instance.restorers !== undefined && !keepsRedZone(work);
  if (tellsSignals && saved !== undefined) {
    emitIsSignal(routine, instance, saved, signal);
    cold.push(() => {
      a.bind(signal);
      recordLong(routine, instance, "entry", place, { ...payload, signal: true });
      a.i("jmp", recorded);
    });
  }
  recordLong(routine, instance, "entry", place, payload);
  a.bind(recorded);
}

/** The exit, if the entry was recorded. */
export function emitRecordExit(
  routine: Routine,
  work: Work,
  action: RecordAction,
  place: Place,
): void {
  const { a } = routine;
  const instance = instanceOf(routine, action.instance);
  if (isHeld(action)) {
    emitHeldExit(routine, instance, action, place);
    return;
  }
  const done = a.label();
  if (isFlagged(work, action)) {
    const slot = ensure(place.slot, "a hooked return");
    a.i("cmp", frameMem(routine, instance, stateWord, slot), 0);
    a.i("je", done);
  } else if (action.switched === true) emitSwitchCheck(routine, instance, done);
  recordLong(routine, instance, "exit", place, { values: action.values?.exit ?? [] });
  a.bind(done);
}

/** An entry whose exit will not come by, if the call passes the tests. */
export function emitRecordAlone(
  routine: Routine,
  work: Work,
  action: RecordAction,
  place: Place,
): void {
  if (isHeld(action)) return;
  const { a } = routine;
  const instance = instanceOf(routine, action.instance);
  const done = a.label();
  if (hasTests(action) && gateOf(work) !== action) {
    emitTests(routine, instance, action, place, done);
  }
  a.i("mov", r32.eax, place.site);
  a.i("or", r32.eax, aloneBit);
  a.i("push", rax);
  record(routine, instance, "alone", mem32(rsp));
  a.i("pop", rax);
  a.bind(done);
}
