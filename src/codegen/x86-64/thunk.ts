/**
 * Thunks: the code that an enabled site jumps to, and the routines that do their work. A site has
 * one thunk per kind of work; what several ops want at a function is fused into one. Thunks are as
 * small as they can be (a hundred thousand of them are made while somebody waits, and in a busy
 * program they compete for the processor's cache): they pass the site's id on to a routine that
 * all thunks of a region share.
 *
 * **Entry and exit.** The site jumps to the thunk with the return address on top of the stack, at
 * S. `enter` copies the return address to the mirror, at S + `mirrorDelta`, and records the entry.
 * Then the thunk *calls* the body, so that the body's `ret` comes back here and is predicted.
 * `leave` records the exit and puts the return address back from the mirror. Since the mirror's
 * slot is a function of the stack pointer alone, longjmp and stack switches need no care, and one
 * rule tells unwinders where the return address is (see `frame-description.ts`).
 *
 *     site:  jmp thunk       thunk: push id; call enter; drop id and [S]; call body
 *     body:  ...                    make room for [S]; push id; call leave; drop id; ret
 *
 *     enter: [S + delta] := [S]; record entry
 *     leave: record exit; [S] := [S + delta]; [S + delta] := 0
 *     left:  record exit; called for the thunk of a function that has left by a tail call
 *     jumped: record that it was left; called for the thunk of a function that longjmp leaves
 *
 * A function that ends with a jump to another one (a tail call) leaves a thunk's return point at S:
 * the mirror's slot is in use already, and what is in it has to stay. A slot that is not 0 is the
 * hint, `tail.ts` looks closer.
 *
 * **Inside of a function.** At a static probe the red zone is in use: the thunk steps over it.
 *
 * **Entry alone.** The site jumps to the thunk, which records and jumps to the body. On stacks
 * outside of the mirrored part of the address space the first form falls back to this, and the
 * event says so: how long the call takes is not known.
 *
 * Everything that the caller or the callee can see stays as it was: all registers, because a
 * compiler that knows its callee (gcc's -fipa-ra) keeps values in registers that the ABI calls
 * clobbered, and the arithmetic flags. Vector registers are not touched.
 */
import { assert } from "../../base/assert.ts";
import { codeAddr } from "../../base/brand.ts";
import { type Assembled, Assembler } from "../../isa/x86-64/assembler.ts";
import { type Label, mem, mem32, mem64 } from "../../isa/x86-64/operands.ts";
import { r32, r64 } from "../../isa/x86-64/registers.ts";
import { hooksReturn, keepsRedZone, switchOf, type Work } from "../work.ts";
import {
  emitAlone,
  emitEntries,
  emitExits,
  emitSwitchingOn,
  emitUngated,
  emitUnwound,
  type Place,
} from "./actions.ts";
import { emitPersonality } from "./personality.ts";
import {
  finishRoutine,
  instanceOf,
  makeRoutine,
  type Routine,
  redZoneBytes,
  restore,
  routineFrame,
  save,
  type ThunkPlan,
} from "./record.ts";
import { emitTests, gateOf } from "./record-tests.ts";
import { emitTail } from "./tail.ts";
import { emitSwitchCheck } from "./trigger.ts";

/** A thunk before its holes are filled: `site` (an id), `body`, `enter` and `leave` (addresses). */
export type ThunkTemplate = {
  readonly code: Assembled;
  /** Offset of the point that the body returns to; undefined when returns are not hooked. */
  readonly returnPoint: number | undefined;
};

const { rax, rcx, rdx, rsp } = r64;

const drop = (a: Assembler, bytes: number): Assembler => a.i("lea", rsp, mem(rsp, { disp: bytes }));

/** Where `enter` returns to, and where to go on from there on a stack that has no mirror. */
const afterEnter = 10;
const outside = 41;
/** In the thunk of a function that was left by a tail call, from its return point to the id. */
const idAfterReturn = 6;
/** And to behind its `call leave`. */
const leaveAfterReturn = 15;
/** From `leave` back to `left`, and as many bytes further back is `jumped`. */
const leftBytes = 8;

/** What the gate of jumps (`jump-gate.ts`) knows of thunks, in bytes from a return point. */
export const returnPointFacts: Readonly<
  Record<"first" | "last" | "id" | "leave" | "jumpedFromLeave", number>
> = {
  /** What stands there: `lea rsp, [rsp - 8]`. */
  first: 0x2464_8d48,
  last: 0xf8,
  id: idAfterReturn,
  /** Behind `call leave`; from `leave` to `jumped`. */
  leave: leaveAfterReturn,
  jumpedFromLeave: -2 * leftBytes,
};

/** The thunk for `work`. */
export function makeThunk(work: Work): ThunkTemplate {
  const origin = codeAddr(0n);
  const a = new Assembler(origin);
  const offset = (label: Label): number => Number(code.labels(label) - origin);
  const pushSite = (): Assembler => a.i("push", a.hole("site", 4));
  const redZone = keepsRedZone(work) ? redZoneBytes : 0;
  if (redZone > 0) drop(a, -redZone);
  pushSite();
  a.i("call", a.hole("enter", 4));
  if (!work.some(hooksReturn)) {
    drop(a, redZone + 8).i("jmp", a.hole("body", 4));
    return { code: a.finish(), returnPoint: undefined };
  }
  const entered = a.bindNew();
  drop(a, 16).i("call", a.hole("body", 4));
  const returnPoint = a.bindNew();
  drop(a, -8);
  pushSite();
  const pushed = a.bindNew();
  a.i("call", a.hole("leave", 4));
  const left = a.bindNew();
  drop(a, 8).i("ret");
  const bare = a.bindNew();
  drop(a, 8).i("jmp", a.hole("body", 4));
  const code = a.finish();
  const afterReturn = (label: Label): number => offset(label) - offset(returnPoint);
  const offsets = [offset(entered), offset(bare), afterReturn(pushed) - 4, afterReturn(left)];
  assert(
    String(offsets) === String([afterEnter, outside, idAfterReturn, leaveAfterReturn]),
    "routines know where things are in a thunk",
  );
  return { code, returnPoint: offset(returnPoint) };
}

/** In `enter` and `leave`. */
const place: Place = {
  site: mem32(rsp, { disp: routineFrame.site }),
  slot: routineFrame.slot,
  saved: 0,
};
/** In `left`, which `enter` calls with the id of the other function pushed. */
const leftPlace: Place = {
  site: mem32(rsp, { disp: 8 }),
  slot: routineFrame.slot + 16,
  saved: undefined,
};
const slot = mem64(rsp, { disp: routineFrame.slot });
/** With the mirror's distance in rcx. */
const mirrorSlot = mem64(rsp, { index: rcx, disp: routineFrame.slot });

/** What thunks for a work call. The code can stand anywhere. */
export type ThunkRoutines = {
  readonly bytes: Uint8Array;
  /** Offsets. */
  readonly enter: number;
  readonly leave: number;
  /** Of the first stub of the personality routine, see `personality.ts`; where exits are hooked. */
  readonly personality: number | undefined;
  /** Offsets of words that hold an offset in the code, and are to hold its address. */
  readonly addresses: readonly number[];
};

/** The routines of thunks for `work`. */
export function thunkRoutines(work: Work, plan: ThunkPlan): ThunkRoutines {
  const a = new Assembler(codeAddr(0n));
  const routine = makeRoutine(a, plan);
  const hooks = work.some(hooksReturn);
  const enter = a.bindNew();
  save(a);
  if (hooks) emitHookingEntry(routine, work);
  else {
    emitEntries(routine, work, { ...place, slot: undefined });
    restore(a);
    a.i("ret");
  }
  a.align(64);
  const [left, jumped] = [a.label(), a.label()];
  a.i("jmp", jumped);
  a.align(leftBytes);
  a.i("jmp", left);
  a.align(leftBytes);
  const leave = a.bindNew();
  // Where the switch decides about hooking, what is hooked has been recorded.
  const leaving = switchOf(work) === undefined ? work : splitSwitched(work).on;
  if (hooks) emitLeave(routine, leaving);
  a.bind(left);
  if (hooks) emitExits(routine, leaving, leftPlace);
  a.i("ret");
  a.bind(jumped);
  if (hooks) emitUnwound(routine, leaving, { ...leftPlace, slot: undefined });
  a.i("ret");
  const { unwinders, mirrorDelta } = plan;
  const places = { unwinders, mirrorDelta, idAfterReturn };
  const record = (): void =>
    emitUnwound(routine, work, { site: mem32(rsp), slot: undefined, saved: undefined });
  const personality = hooks ? emitPersonality(a, { ...places, record }) : undefined;
  finishRoutine(routine);
  const { bytes, labels } = a.finish();
  return {
    bytes,
    enter: Number(labels(enter)),
    leave: Number(labels(leave)),
    personality: personality === undefined ? undefined : Number(labels(personality)),
    addresses: routine.addresses,
  };
}

/** The work of a call that is recorded, once that is decided; and of one that is not. */
function splitSwitched(work: Work): { readonly on: Work; readonly off: Work } {
  const rest = work.filter((action) => action.kind !== "trigger" || action.does !== "traceon");
  return {
    on: rest.map((action) => (action.kind === "record" ? { ...action, switched: false } : action)),
    off: rest.filter((action) => !hooksReturn(action)),
  };
}

/** The rest of `enter` where returns are hooked. */
function emitHookingEntry(routine: Routine, work: Work): void {
  const { a } = routine;
  const instance = switchOf(work);
  if (instance === undefined) {
    emitHooking(routine, work);
    return;
  }
  const switchedOff = a.label();
  const { on, off } = splitSwitched(work);
  emitSwitchingOn(routine, work);
  emitSwitchCheck(routine, instanceOf(routine, instance), switchedOff);
  emitHooking(routine, on);
  a.bind(switchedOff);
  emitEntries(routine, off, { ...place, slot: undefined });
  emitGoOnBare(routine);
}

/** Leaves the return alone, and goes back to the thunk's way to the body for that. */
function emitGoOnBare({ a }: Routine): void {
  a.i("add", mem64(rsp, { disp: routineFrame.thunk }), outside - afterEnter);
  restore(a);
  a.i("ret");
}

function emitHooking(routine: Routine, work: Work): void {
  const { a, plan } = routine;
  const unmirrored = a.label();
  const inUse = a.label();
  const hooked = a.label();
  const passed = a.label();
  const gate = gateOf(work);
  if (gate !== undefined) {
    emitTests(routine, instanceOf(routine, gate.instance), gate, place, passed);
  }
  a.i("mov", rax, rsp);
  a.i("shr", rax, plan.mirrorWindowBits);
  a.i("cmp", r32.eax, plan.mirrorWindow);
  a.i("jne", unmirrored);
  a.i("mov", rcx, BigInt.asIntN(64, plan.mirrorDelta));
  a.i("mov", rdx, slot);
  a.i("cmp", mirrorSlot, 0);
  a.i("jne", inUse);
  a.i("mov", mirrorSlot, rdx);
  a.bind(hooked);
  emitEntries(routine, work, place);
  restore(a);
  a.i("ret");

  a.bind(inUse);
  const leftFromLeave = -leftBytes;
  const places = { idAfterReturn, leaveAfterReturn, leftFromLeave };
  emitTail(routine, { mirrorSlot, ...places, done: hooked });

  a.bind(unmirrored);
  emitAlone(routine, work, place);
  emitGoOnBare(routine);
  if (gate === undefined) return;
  a.bind(passed);
  emitUngated(routine, work, place);
  emitGoOnBare(routine);
}

function emitLeave(routine: Routine, work: Work): void {
  const { a, plan } = routine;
  save(a);
  // Put back first: a signal handler that jumps out of here must not find a call that goes on.
  a.i("mov", rcx, BigInt.asIntN(64, plan.mirrorDelta));
  a.i("mov", rdx, mirrorSlot);
  a.i("mov", slot, rdx);
  emitExits(routine, work, place);
  a.i("mov", rcx, BigInt.asIntN(64, plan.mirrorDelta));
  a.i("mov", mirrorSlot, 0);
  restore(a);
  a.i("ret");
}
