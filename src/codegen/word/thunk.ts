/**
 * Thunks on AArch64 and RISC-V: the code that an enabled site goes to, and the routines that do
 * their work. `x86-64/thunk.ts` tells why there are both; what is different here is where a return
 * address is: in a register (x30, ra), and anywhere in the frame of a function that calls others.
 *
 * **Entry and exit.** With S the stack pointer at the function's entry, `enter` copies the return
 * address to the mirror, at S + `mirrorDelta`, and beside it, at S + 8 + `mirrorDelta`, the thunk's
 * own return point. The thunk calls the body; the body's return comes back to the return point,
 * with the stack pointer at S again, and `leave` takes the return address from the mirror. A stack
 * pointer is a multiple of 16, and a function that calls another one has saved its return address
 * on the stack first, so no two functions that are running share a slot.
 *
 *     thunk: call enter; call body; call leave; return
 *            [outside of the mirror: jump to body]; the site's id; address of leave
 *
 * **Tail calls.** A function that jumps to another one as its last act leaves its thunk's return
 * point in the link register: when that is what the mirror's slot says, the slot goes on belonging
 * to whoever called the first one, and the exit of the function that is left is recorded.
 *
 * All registers stay as they were, but for what a site itself clobbers (x9 where it calls, t0 on
 * RISC-V); so do AArch64's flags and all vector registers, which nothing here uses.
 */
import { assert } from "../../base/assert.ts";
import { dataAddr } from "../../base/brand.ts";
import { PatchbayError } from "../../base/error.ts";
import type { Assembled, Label } from "../../isa/assembler.ts";
import { counterOffset } from "../../ring/arena.ts";
import { hooksReturn, type Work } from "../work.ts";
import type { ThunkPlan } from "../x86-64/record.ts";
import { at, type Machine } from "./machine.ts";
import { emitCold, type Routine, record } from "./record.ts";
import { rolesOf } from "./roles.ts";
import { emitWalk } from "./walk.ts";

/** A thunk before its holes are filled: `body`, `enter` and `leave`. */
export type ThunkTemplate = {
  readonly work: Work;
  readonly code: Assembled;
  /** Offset of the point that the body returns to; undefined when returns are not hooked. */
  readonly returnPoint: number | undefined;
  /** Where things are in it. */
  readonly places: ThunkPlaces;
};

/** Offsets in a thunk. */
export type ThunkPlaces = {
  /** Where `enter` comes back to, and where on a stack that has no mirror. */
  readonly entered: number;
  readonly bare: number;
  readonly returnPoint: number;
  /** Where `leave` comes back to. */
  readonly left: number;
  /** 4 bytes: the site's id. */
  readonly id: number;
  /** 8 bytes: the address of `leave`. */
  readonly leave: number;
};

/** The thunk for `work`, made with a fresh machine. */
export function makeThunk(m: Machine, work: Work): ThunkTemplate {
  const { code, thunk } = m;
  const origin = code.here;
  const hooks = work.some(hooksReturn);
  thunk.callRoutine("enter");
  const entered = code.bindNew();
  thunk.afterRoutine();
  const [returnPoint, left, bare] = [code.label(), code.label(), code.label()];
  if (hooks) {
    thunk.callBody("body");
    code.bind(returnPoint);
    thunk.callRoutine("leave");
    code.bind(left);
    thunk.afterRoutine();
    thunk.return();
    code.bind(bare);
    thunk.afterRoutine();
  }
  thunk.jumpBody("body");
  code.align(8);
  const leave = code.bindNew();
  code.u64(0n);
  const id = code.bindNew();
  code.u32(0);
  const finished = m.finish();
  const offset = (label: Label): number => Number(finished.labels(label) - origin);
  const inner = hooks
    ? { bare: offset(bare), returnPoint: offset(returnPoint), left: offset(left) }
    : { bare: 0, returnPoint: 0, left: 0 };
  const places = { ...inner, entered: offset(entered), id: offset(id), leave: offset(leave) };
  return { work, code: finished, returnPoint: hooks ? places.returnPoint : undefined, places };
}

/** What thunks for `work` call. */
export type ThunkRoutines = {
  readonly bytes: Uint8Array;
  /** Offsets. */
  readonly enter: number;
  readonly leave: number;
};

/** Bytes before `leave`, where a jump to `left` stands: see `emitTail`. */
const leftBytes = 8;

/** `id` := the site's id, from the place that the routine goes back to. */
function loadId(m: Machine, fromResume: number): void {
  m.load(rolesOf(m).id, at(m.resume, fromResume), 4);
}

function emitCount({ m, plan }: Routine, instance: number): void {
  const { a, b, id } = rolesOf(m);
  const its = plan.instances[instance];
  assert(its !== undefined, `instance ${instance}`);
  m.constant(a, its.arena + BigInt(counterOffset(its.shape)));
  m.shiftLeft(b, id, 3);
  m.add(a, a, b);
  m.increment(a, b);
}

/** What a record has that wants neither values nor some calls alone. */
const plainRecordKeys = 3;
const choosing = "some calls, values or stacks";

/** Says that an action has no emitter here. */
function refuse({ kind }: { readonly kind: string }): never {
  throw new PatchbayError({
    code: "unsupported",
    doing: "trace functions of an AArch64 or RISC-V program",
    why: `what is asked for (${kind}) exists for x86-64 programs alone`,
    hint: "record their entries and exits, or count their calls",
  });
}

/** What is done at the entry; `alone` where it is known that no exit will come by. */
export function emitEntries(routine: Routine, work: Work, kind: "entry" | "alone" = "entry"): void {
  for (const action of work) {
    switch (action.kind) {
      case "record":
        if (Object.keys(action).length > plainRecordKeys) refuse({ kind: choosing });
        record(routine, action.instance, action.exits ? kind : "entry");
        break;
      case "count":
        emitCount(routine, action.instance);
        break;
      case "list":
        emitWalk(routine.m, dataAddr(action.at));
        break;
      // There is no red zone on these ISAs.
      case "redZone":
        break;
      default:
        refuse(action);
    }
  }
}

/** What is done at the exit. */
function emitExits(routine: Routine, work: Work): void {
  for (const action of work) {
    if (action.kind === "record" && action.exits) record(routine, action.instance, "exit");
  }
}

/** `slot` := the mirror's slot of the function's stack pointer. */
function mirrorSlot({ m, plan }: Routine): void {
  const { a, slot } = rolesOf(m);
  m.addConstant(slot, m.stack, m.frame.bytes);
  m.constant(a, plan.mirrorDelta);
  m.add(slot, slot, a);
}

/** The routines of thunks for `work`, made with a fresh machine; they can stand anywhere. */
export function thunkRoutines(
  m: Machine,
  work: Work,
  plan: ThunkPlan,
  { places }: ThunkTemplate,
): ThunkRoutines {
  const { code } = m;
  const origin = code.here;
  const routine: Routine = { m, plan, cold: [] };
  const hooks = work.some(hooksReturn);
  const enter = code.bindNew();
  m.save();
  loadId(m, places.id - places.entered);
  if (hooks) emitHookingEntry(routine, work, places);
  else emitEntries(routine, work);
  m.restoreAndResume();
  code.align(8);
  const left = code.label();
  m.jump(left);
  code.align(leftBytes);
  const leave = code.bindNew();
  if (hooks) {
    m.save();
    loadId(m, places.id - places.left);
    emitLeave(routine, work);
  }
  code.bind(left);
  m.store(m.link, at(m.stack, m.frame.spare), 8);
  emitExits(routine, work);
  m.load(m.link, at(m.stack, m.frame.spare), 8);
  m.goBack();
  emitCold(routine);
  const { bytes, labels } = m.finish();
  return { bytes, enter: Number(labels(enter) - origin), leave: Number(labels(leave) - origin) };
}

/** The rest of `enter` where returns are hooked, but for the way back. */
function emitHookingEntry(routine: Routine, work: Work, places: ThunkPlaces): void {
  const { m, plan } = routine;
  const { code, frame } = m;
  const { a, b, event, slot } = rolesOf(m);
  const [unmirrored, inUse, done] = [code.label(), code.label(), code.label()];
  const [take, hooked] = [code.label(), code.label()];
  m.addConstant(slot, m.stack, frame.bytes);
  m.shiftRight(a, slot, plan.mirrorWindowBits);
  m.constant(b, plan.mirrorWindow);
  m.ifNotEqual(a, b, unmirrored);
  mirrorSlot(routine);
  m.load(event, at(m.stack, frame.parent), 8);
  m.load(a, at(slot), 8);
  m.ifNotZero(a, inUse);
  code.bind(take);
  m.store(event, at(slot), 8);
  code.bind(hooked);
  m.load(a, at(m.stack, frame.resume), 8);
  m.addConstant(a, a, places.returnPoint - places.entered);
  m.store(a, at(slot, 8), 8);
  emitEntries(routine, work);
  m.jump(done);

  code.bind(inUse);
  m.load(a, at(slot, 8), 8);
  m.ifNotEqual(a, event, take);
  emitTail(routine, places);
  m.jump(hooked);

  code.bind(unmirrored);
  emitEntries(routine, work, "alone");
  m.load(a, at(m.stack, frame.resume), 8);
  m.addConstant(a, a, places.bare - places.entered);
  m.store(a, at(m.stack, frame.resume), 8);
  code.bind(done);
}

/**
 * Records the exit of the function that has jumped here, whose thunk's return point is in `a`: the
 * exits are those of its own work, by the routine before its `leave`.
 */
function emitTail(routine: Routine, places: ThunkPlaces): void {
  const { m } = routine;
  const { a, b, id } = rolesOf(m);
  m.load(id, at(a, places.id - places.returnPoint), 4);
  m.load(b, at(a, places.leave - places.returnPoint), 8);
  m.addConstant(b, b, -leftBytes);
  m.callRegister(b);
  m.load(a, at(m.stack, m.frame.resume), 8);
  m.load(id, at(a, places.id - places.entered), 4);
  mirrorSlot(routine);
}

function emitLeave(routine: Routine, work: Work): void {
  const { m } = routine;
  const { event, slot } = rolesOf(m);
  emitExits(routine, work);
  mirrorSlot(routine);
  m.load(event, at(slot), 8);
  m.store(event, at(m.stack, m.frame.parent), 8);
  m.storeZero(at(slot), 8);
  m.restoreAndResume();
}
