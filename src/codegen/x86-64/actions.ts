/** What each kind of action does at a function's entry and exit. */

import { dataAddr } from "../../base/brand.ts";
import type { Mem } from "../../isa/x86-64/operands.ts";
import { mem64 } from "../../isa/x86-64/operands.ts";
import { r32, r64 } from "../../isa/x86-64/registers.ts";
import { counterOffset } from "../../ring/arena.ts";
import { type Action, hooksReturn, type Work } from "../work.ts";
import { emitDirect } from "./direct.ts";
import { type InstancePlan, instanceOf, type Routine, record } from "./record.ts";
import { emitRecordAlone, emitRecordEntry, emitRecordExit, isFlagged } from "./record-action.ts";
import { gateOf, isHeld } from "./record-tests.ts";
import { emitStatisticsEntry, emitStatisticsExit } from "./statistics.ts";
import { emitTrigger } from "./trigger.ts";
import { emitWalk } from "./walk.ts";

const { rax, rcx } = r64;

/** Adds 1 to the counter of `site`. Clobbers rax, rcx and the flags. */
function emitCount({ a }: Routine, { arena, shape }: InstancePlan, site: Mem): void {
  a.i("mov", r32.eax, site);
  a.i("mov", rcx, arena + BigInt(counterOffset(shape)));
  a.lock().i("inc", mem64(rcx, { index: rax, scale: 8 }));
}

/** Where an action finds what it needs, from the stack pointer. */
export type Place = {
  /** The site's id, 4 bytes. */
  readonly site: Mem;
  /** The return address; undefined where no exit is hooked. */
  readonly slot: number | undefined;
  /** What `save` pushed, in a frame of `routineFrame`; undefined where values can't be told. */
  readonly saved: number | undefined;
};

function emitEntry(routine: Routine, work: Work, action: Action, place: Place): void {
  // The thunk's own concern.
  if (action.kind === "redZone") return;
  switch (action.kind) {
    case "record":
      emitRecordEntry(routine, work, action, place);
      break;
    case "trigger":
      emitTrigger(routine, action);
      break;
    case "count":
      emitCount(routine, instanceOf(routine, action.instance), place.site);
      break;
    case "direct":
      emitDirect(routine, action.target, action.isGate === true);
      break;
    case "list":
      emitWalk(routine, dataAddr(action.at));
      break;
    case "statistics":
      emitStatisticsEntry(routine, work, action, place);
      break;
    default:
      action satisfies never;
  }
}

function emitExit(routine: Routine, work: Work, action: Action, place: Place): void {
  if (!hooksReturn(action)) return;
  if (action.kind === "record") emitRecordExit(routine, work, action, place);
  else emitStatisticsExit(routine, action, place);
}

/** What switches on comes first, what switches off last: their own functions are recorded. */
const rank = (action: Action): number =>
  action.kind !== "trigger" ? 1 : action.does === "traceon" ? 0 : 2;

/** What is done at the entry. Clobbers what `record` does. */
export function emitEntries(routine: Routine, work: Work, place: Place): void {
  const ordered = work.toSorted((a, b) => rank(a) - rank(b));
  for (const action of ordered) emitEntry(routine, work, action, place);
}

/** What is done before it is known whether the recording is switched off. */
export function emitSwitchingOn(routine: Routine, work: Work): void {
  for (const action of work) {
    if (action.kind === "trigger" && action.does === "traceon") emitTrigger(routine, action);
  }
}

/** What is done at the exit. Clobbers what `record` does. */
export function emitExits(routine: Routine, work: Work, place: Place): void {
  for (const action of work) emitExit(routine, work, action, place);
}

/** What is done where a call is left by an exception or the like. */
export function emitUnwound(routine: Routine, work: Work, { site }: Place): void {
  for (const action of work) {
    if (action.kind !== "record" || !action.exits || isFlagged(work, action)) continue;
    if (isHeld(action)) continue;
    record(routine, instanceOf(routine, action.instance), "unwound", site);
  }
}

/** What is done at an entry whose exit will not come by. */
export function emitAlone(routine: Routine, work: Work, place: Place): void {
  for (const action of work) {
    if (action.kind === "record" && action.exits) emitRecordAlone(routine, work, action, place);
    else emitEntry(routine, work, action, { ...place, slot: undefined });
  }
}

/** What is done at the entry of a call that the work's gate has not let pass. */
export function emitUngated(routine: Routine, work: Work, place: Place): void {
  const gate = gateOf(work);
  for (const action of work) {
    if (action !== gate) emitEntry(routine, work, action, { ...place, slot: undefined });
  }
}
