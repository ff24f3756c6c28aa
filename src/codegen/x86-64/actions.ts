/** What each kind of action does at a function's entry and exit. */
import { dataAddr } from "../../base/brand.ts";
import type { Mem } from "../../isa/x86-64/operands.ts";
import { mem32, mem64 } from "../../isa/x86-64/operands.ts";
import { r32, r64 } from "../../isa/x86-64/registers.ts";
import { counterOffset } from "../../ring/arena.ts";
import { aloneBit } from "../../ring/layout.ts";
import type { Action, Work } from "../work.ts";
import { type InstancePlan, instanceOf, type Routine, record } from "./record.ts";
import { emitWalk } from "./walk.ts";

const { rax, rcx, rsp } = r64;

/** Adds 1 to the counter of `site`. Clobbers rax, rcx and the flags. */
function emitCount({ a }: Routine, { arena, shape }: InstancePlan, site: Mem): void {
  a.i("mov", r32.eax, site);
  a.i("mov", rcx, arena + BigInt(counterOffset(shape)));
  a.lock().i("inc", mem64(rcx, { index: rax, scale: 8 }));
}

function emitActionEntry(routine: Routine, action: Action, site: Mem): void {
  // The thunk's own concern.
  if (action.kind === "redZone") return;
  switch (action.kind) {
    case "record":
      record(routine, instanceOf(routine, action.instance), "entry", site);
      break;
    case "count":
      emitCount(routine, instanceOf(routine, action.instance), site);
      break;
    case "list":
      emitWalk(routine, dataAddr(action.at));
      break;
    default:
      action satisfies never;
  }
}

/** What is done at the entry. Clobbers what `record` does. */
export function emitEntries(routine: Routine, work: Work, site: Mem): void {
  for (const action of work) emitActionEntry(routine, action, site);
}

/** What is done at the exit. Clobbers what `record` does. */
export function emitExits(routine: Routine, work: Work, site: Mem): void {
  for (const action of work) {
    if (action.kind !== "record" || !action.exits) continue;
    record(routine, instanceOf(routine, action.instance), "exit", site);
  }
}

/** What is done where a call is left by an exception or the like. */
export function emitUnwound(routine: Routine, work: Work, site: Mem): void {
  for (const action of work) {
    if (action.kind !== "record" || !action.exits) continue;
    record(routine, instanceOf(routine, action.instance), "unwound", site);
  }
}

/** What is done at an entry whose exit will not come by. */
export function emitAlone(routine: Routine, work: Work, site: Mem): void {
  const { a } = routine;
  for (const action of work) {
    if (action.kind !== "record" || !action.exits) {
      emitActionEntry(routine, action, site);
      continue;
    }
    a.i("mov", r32.eax, site);
    a.i("or", r32.eax, aloneBit);
    a.i("push", rax);
    record(routine, instanceOf(routine, action.instance), "alone", mem32(rsp));
    a.i("pop", rax);
  }
}
