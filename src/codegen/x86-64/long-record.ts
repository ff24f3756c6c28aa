/**
 * Long events: an entry or exit that brings values (`ring/long-event.ts`). They are gathered on the
 * stack first, and then go into the ring slot by slot as `record` does it with one: a slot is
 * written if it and the ring's head are as they were, and one move of the head commits them all.
 *
 * A value may by accident be what a slot held before, so a slot that a signal handler has written
 * meanwhile could be taken for untouched. Who finds that he interrupts somebody who writes a long
 * event (`longWriter`) therefore writes a plain one, which has a time in it and is like nothing
 * that was there before. So does who finds no room for a long one.
 */
import { assert } from "../../base/assert.ts";
import type { StackWish } from "../../ftrace/ops.ts";
import type { ValueSpec, ValueTypeName } from "../../ftrace/value-spec.ts";
import { type Mem, mem, mem64 } from "../../isa/x86-64/operands.ts";
import { type Gpr, r32, r64 } from "../../isa/x86-64/registers.ts";
import { ringHeader } from "../../ring/layout.ts";
import {
  longBase,
  longForm,
  longHeaderSlots,
  signalSlots,
  typesInline,
  valueType,
} from "../../ring/long-event.ts";
import type { Place } from "./actions.ts";
import { loadOperand } from "./operands.ts";
import { emitPut } from "./put-event.ts";
import {
  type InstancePlan,
  loadRing,
  type Routine,
  readClock,
  record,
  routineFrame,
} from "./record.ts";
import { emitSignal } from "./signal.ts";
import { emitStack, stackSlots } from "./stack.ts";
import { emitText, textSlots } from "./text.ts";
import { loadPlace, type Pushed } from "./values.ts";

const { rax, rbp, rbx, rcx, rdx, rdi, r8, r9, r10, r11, rsp } = r64;
/** Pushed beside what `save` pushes. */
const extra: readonly Gpr<64>[] = [rdi, r8, r9, r10, r11];
const extraBytes = extra.length * 8;

/** What a long event brings along. */
export type Payload = {
  readonly values: readonly ValueSpec[];
  readonly stack?: StackWish | undefined;
  /** What is known of the signal that the call is for. */
  readonly signal?: true;
};

export const isEmpty = ({ values, stack, signal }: Payload): boolean =>
  values.length === 0 && stack === undefined && signal === undefined;

const slotsMax = ({ values, stack, signal }: Payload): number =>
  longHeaderSlots +
  (signal === undefined ? 0 : signalSlots) +
  (stack === undefined ? 0 : stackSlots(stack)) +
  values.reduce((sum, { type }) => sum + (type === "text" ? textSlots : 1), 0);

/** An entry or exit with `payload`. Clobbers what `record` does. */
export function recordLong(
  routine: Routine,
  instance: InstancePlan,
  base: "entry" | "exit",
  place: Place,
  payload: Payload,
): void {
  const { a, cold } = routine;
  const { saved } = place;
  if (isEmpty(payload) || saved === undefined) {
    record(routine, instance, base, place.site);
    return;
  }
  const bytes = putBytes(payload);
  const [free, plain, noRoom, done] = [a.label(), a.label(), a.label(), a.label()];
  const drop = (): void => dropGathered(routine, bytes);
  loadRing(routine, instance, { as: base, none: done });
  a.i("mov", rax, mem64(rcx, { disp: ringHeader.longWriter }));
  a.i("test", rax, rax);
  a.i("je", free);
  // One that was left by a longjmp is below the stack pointer.
  a.i("cmp", rax, rsp);
  a.i("ja", plain);
  a.bind(free);
  for (const register of extra) a.i("push", register);
  a.i("lea", rsp, mem(rsp, { disp: -bytes }));
  const pushed: Pushed = new Map(
    extra.map((register, i) => [register, bytes + extraBytes - 8 * (i + 1)]),
  );
  const below = saved + bytes + extraBytes;
  finishGather(routine, base, payload, {
    signal: () => emitSignal(routine, below, bytes + extraBytes - 8),
    stack: (stack) =>
      emitStack(routine, instance, stack, () => {
        a.i("lea", r9, mem(rsp, { disp: below + routineFrame.slot }));
        a.i("mov", r10, rbp);
      }),
    value: ({ place: where, type }) => {
      const places = { saved: below, pushed, unreadable: noRoom };
      if (where.kind === "operand") loadOperand(routine, where.operand, places);
      else loadPlace(routine, where, below, pushed);
      storeValue(routine, type);
    },
  });
  emitPut(routine, instance, noRoom, {
    kind: "long",
    loadTime: () => {
      readClock(routine, instance);
      a.i("mov", rdx, rax);
    },
    loadSite: () => a.i("mov", r32.eax, moved(place.site, bytes + extraBytes)),
  });
  drop();
  a.bind(done);
  cold.push(() => {
    a.bind(noRoom);
    a.i("mov", mem64(rcx, { disp: ringHeader.longWriter }), 0);
    drop();
    a.bind(plain);
    record(routine, instance, base, place.site);
    a.i("jmp", done);
  });
}

function dropGathered({ a }: Routine, bytes: number): void {
  a.i("lea", rsp, mem(rsp, { disp: bytes }));
  for (const register of extra.toReversed()) a.i("pop", register);
}

/** The same memory when the stack pointer is lower by `bytes`. */
function moved(at: Mem, bytes: number): Mem {
  assert(typeof at.disp === "number", "a place on the stack");
  return { ...at, disp: at.disp + bytes };
}

/**
 * Puts all slots but the first onto the stack; r8 = their number. Keeps rcx.
 * @param put how the stack gets to [rbx], and how a value is loaded and stored: see `storeValue`.
 */
export function finishGather(
  { a }: Routine,
  base: "entry" | "exit",
  { values, stack, signal }: Payload,
  put: {
    readonly signal?: () => void;
    readonly stack: (stack: StackWish) => void;
    readonly value: (value: ValueSpec, index: number) => void;
  },
): void {
  a.i("lea", rbx, mem(rsp, { disp: longHeaderSlots * 8 }));
  if (signal !== undefined) put.signal?.();
  if (stack !== undefined) put.stack(stack);
  for (const [index, value] of values.entries()) put.value(value, index);
  const [bare, withStack] =
    signal === undefined
      ? [longForm.values, longForm.stack]
      : [longForm.signal, longForm.signalStack];
  const form = stack === undefined ? bare : withStack;
  const types = values
    .slice(0, typesInline)
    .reduce((sum, { type }, i) => sum | (BigInt(valueType[type]) << BigInt(4 * i)), 0n);
  const header = BigInt(longBase[base]) | (BigInt(form) << 8n) | (types << 32n);
  a.i("mov", r8, rbx);
  a.i("sub", r8, rsp);
  a.i("shr", r8, 3);
  a.i("lea", rax, mem(r8, { disp: -longHeaderSlots }));
  a.i("shl", rax, 16);
  a.i("mov", rdx, BigInt.asIntN(64, header));
  a.i("or", rax, rdx);
  a.i("mov", mem64(rsp, { disp: 8 }), rax);
}

/** Puts the value in rax to [rbx], and moves rbx behind it. */
export function storeValue(routine: Routine, type: ValueTypeName): void {
  if (type === "text") {
    emitText(routine);
    return;
  }
  routine.a.i("mov", mem64(rbx), rax);
  routine.a.i("add", rbx, 8);
}

/** Bytes on the stack for an event with `payload`. */
export const putBytes = (payload: Payload): number => slotsMax(payload) * 8;
