/**
 * Records that are held back: whether a call is recorded shows at its end, by what it took or what
 * it returned. Until then its entry waits beside the mirrored return address, in a list of the
 * thread's that goes from the innermost call outwards. A call that is to be recorded puts the
 * entries of all calls around it into the ring before its own, outermost first, and all of these
 * have their exits recorded, whatever they come to: so the calls are nested as they were, and times
 * never go backwards.
 *
 * Frames in the list lie one above the other on the stack. What is not above the frame of a call
 * that begins was left without a return (longjmp, an exception) and drops out.
 *
 * A signal handler may come at any moment. What it enters it also leaves, so the list is as it was,
 * or everything in it was written meanwhile: then a frame says so. While entries are on their way
 * into the ring, a handler must not put its own between them: its calls are counted as lost.
 */
import { ensure } from "../../base/assert.ts";
import { type Label, type Mem, mem, mem64 } from "../../isa/x86-64/operands.ts";
import { type Gpr, r32, r64 } from "../../isa/x86-64/registers.ts";
import { ringHeader } from "../../ring/layout.ts";
import type { RecordAction } from "../work.ts";
import type { Place } from "./actions.ts";
import {
  finishGather,
  isEmpty,
  type Payload,
  putBytes,
  recordLong,
  storeValue,
} from "./long-record.ts";
import { emitPut } from "./put-event.ts";
import { type InstancePlan, loadRing, type Routine, readClock } from "./record.ts";
import { emitEndTests } from "./record-tests.ts";
import { emitStack } from "./stack.ts";
import { frameMem } from "./statistics.ts";
import { loadPlace } from "./values.ts";

const { rax, rbp, rbx, rcx, rdx, rsi, rdi, r8, r9, r10, r11, r12, rsp } = r64;

/** The words that frames have for it. */
const word = {
  /** When the function was entered. */
  entered: 0,
  /** The address of the next frame outside that is held back; 0: none. */
  outside: 1,
  /** `state` in the low byte, the site's id above. */
  state: 2,
  /** Address of what writes the entry. */
  writer: 3,
  /** Values of the entry, as they were; behind them rbp, where the stack is wanted. */
  values: 4,
} as const;
const state = { ignored: 0, held: 1, written: 2 } as const;

/** A word of the frame at `frame`; uses rsi. */
function wordAt({ a }: Routine, { frameDeltas }: InstancePlan, frame: Gpr<64>, index: number): Mem {
  a.i("mov", rsi, BigInt.asIntN(64, ensure(frameDeltas[index], "frames have words for it")));
  return mem64(frame, { index: rsi });
}

/** Its lowest byte. */
const byteOf = (at: Mem): Mem => ({ ...at, size: 8 });

/**
 * The next frame outside of `frame`; 0 behind the last. Frames outside are above: what is not is
 * left over (stacks that take turns leave such), and would lead around in circles.
 */
function loadOutside(routine: Routine, instance: InstancePlan, to: Gpr<64>, frame: Gpr<64>): void {
  const { a } = routine;
  const above = a.label();
  a.i("mov", to, wordAt(routine, instance, frame, word.outside));
  a.i("cmp", to, frame);
  a.i("ja", above);
  a.i("mov", to, 0);
  a.bind(above);
}

/** Holds the entry back. Clobbers what `record` does. */
export function emitHeldEntry(
  routine: Routine,
  instance: InstancePlan,
  { values, stack }: RecordAction,
  place: Place,
): void {
  const { a, cold } = routine;
  const slot = ensure(place.slot, "a hooked return");
  const [noRing, done, writer] = [a.label(), a.label(), a.label()];
  const [look, linked, stamp] = [a.label(), a.label(), a.label()];
  const entry = values?.entry ?? [];
  entry.forEach(({ place: where }, i) => {
    loadPlace(routine, where, ensure(place.saved, "the call's registers"));
    a.i("mov", frameMem(routine, instance, word.values + i, slot), rax);
  });
  if (stack !== undefined) {
    a.i("mov", frameMem(routine, instance, word.values + entry.length, slot), rbp);
  }
  loadRing(routine, instance, { as: "entry", none: noRing });
  a.i("lea", rdx, mem(rsp, { disp: slot }));
  a.i("mov", rbx, mem64(rcx, { disp: ringHeader.held }));
  a.bind(look);
  a.i("test", rbx, rbx);
  a.i("je", linked);
  a.i("cmp", rbx, rdx);
  a.i("ja", linked);
  loadOutside(routine, instance, rax, rbx);
  a.i("mov", rbx, rax);
  a.i("jmp", look);
  a.bind(linked);
  a.i("mov", wordAt(routine, instance, rdx, word.outside), rbx);
  a.i("mov", r32.eax, place.site);
  a.i("shl", rax, 8);
  a.i("or", rax, state.held);
  a.i("mov", wordAt(routine, instance, rdx, word.state), rax);
  a.i("lea", rax, mem(writer));
  a.i("mov", wordAt(routine, instance, rdx, word.writer), rax);
  a.bind(stamp);
  a.i("mov", rbx, mem64(rcx, { disp: ringHeader.head }));
  readClock(routine, instance);
  a.i("mov", frameMem(routine, instance, word.entered, slot), rax);
  a.i("lea", rdx, mem(rsp, { disp: slot }));
  a.i("mov", mem64(rcx, { disp: ringHeader.held }), rdx);
  // A handler that has recorded something meanwhile was before this, unless it has written it too.
  a.i("cmp", rbx, mem64(rcx, { disp: ringHeader.head }));
  a.i("je", done);
  a.i("cmp", byteOf(wordAt(routine, instance, rdx, word.state)), state.held);
  a.i("je", stamp);
  a.bind(done);
  cold.push(() => {
    a.bind(noRing);
    ignore(routine, instance, slot);
    a.i("jmp", done);
    a.bind(writer);
    emitWriter(routine, instance, { values: entry, stack });
  });
}

/** Notes that the call is none to record. */
export function ignore(routine: Routine, instance: InstancePlan, slot: number): void {
  routine.a.i("mov", frameMem(routine, instance, word.state, slot), state.ignored);
}

/** Decides on a call that ends, and records its exit if it is recorded. */
export function emitHeldExit(
  routine: Routine,
  instance: InstancePlan,
  action: RecordAction,
  place: Place,
): void {
  const { a, cold } = routine;
  const slot = ensure(place.slot, "a hooked return");
  const [decide, write, drop, done] = [a.label(), a.label(), a.label(), a.label()];
  a.i("mov", rax, frameMem(routine, instance, word.state, slot));
  a.i("and", r32.eax, 0xff);
  a.i("je", done);
  a.i("cmp", r32.eax, state.held);
  a.i("je", decide);
  a.bind(write);
  recordLong(routine, instance, "exit", place, { values: action.values?.exit ?? [] });
  a.bind(done);

  cold.push(() => {
    a.bind(decide);
    const loadDuration = (): void => {
      readClock(routine, instance);
      a.i("sub", rax, frameMem(routine, instance, word.entered, slot));
    };
    emitEndTests(routine, instance, action, { saved: place.saved, loadDuration }, drop);
    loadRing(routine, instance, { as: "exit", none: done });
    emitFlush(routine, instance, slot, drop);
    a.i("jmp", write);
    a.bind(drop);
    loadRing(routine, instance, { as: "exit", none: done });
    emitDrop(routine, instance, slot, done);
  });
}

/** Takes the frame out of the list, and those inside of it, which are gone. */
function emitDrop(routine: Routine, instance: InstancePlan, slot: number, done: Label): void {
  const { a } = routine;
  const [look, found] = [a.label(), a.label()];
  a.i("lea", rdx, mem(rsp, { disp: slot }));
  a.i("mov", rbx, mem64(rcx, { disp: ringHeader.held }));
  a.bind(look);
  a.i("cmp", rbx, rdx);
  a.i("je", found);
  a.i("ja", done);
  a.i("test", rbx, rbx);
  a.i("je", done);
  loadOutside(routine, instance, rax, rbx);
  a.i("mov", rbx, rax);
  a.i("jmp", look);
  a.bind(found);
  loadOutside(routine, instance, rax, rdx);
  a.i("mov", mem64(rcx, { disp: ringHeader.held }), rax);
  a.i("jmp", done);
}

const flushed: readonly Gpr<64>[] = [rdi, r8, r9, r10, r11, r12];

/** Writes the entries of the frame and of all around it; to `drop` where that can't be now. */
function emitFlush(routine: Routine, instance: InstancePlan, slot: number, drop: Label): void {
  const { a, cold } = routine;
  const [free, reverse, reversed] = [a.label(), a.label(), a.label()];
  const [write, end, busy] = [a.label(), a.label(), a.label()];
  const writing = mem64(rcx, { disp: ringHeader.heldWriter });
  a.i("mov", rax, writing);
  a.i("test", rax, rax);
  a.i("je", free);
  a.i("cmp", rax, rsp);
  a.i("ja", busy);
  a.bind(free);
  a.i("lea", rdx, mem(rsp, { disp: slot }));
  for (const register of flushed) a.i("push", register);
  a.i("mov", writing, rsp);
  a.i("mov", mem64(rcx, { disp: ringHeader.held }), 0);
  // Turns the list around: rbx = what is turned already, rdx = what is to come.
  a.i("xor", r32.ebx, r32.ebx);
  a.bind(reverse);
  a.i("test", rdx, rdx);
  a.i("je", reversed);
  a.i("cmp", byteOf(wordAt(routine, instance, rdx, word.state)), state.held);
  a.i("jne", reversed);
  loadOutside(routine, instance, rax, rdx);
  a.i("mov", wordAt(routine, instance, rdx, word.outside), rbx);
  a.i("mov", rbx, rdx);
  a.i("mov", rdx, rax);
  a.i("jmp", reverse);
  a.bind(reversed);
  a.i("mov", r12, rbx);
  a.bind(write);
  a.i("test", r12, r12);
  a.i("je", end);
  a.i("cmp", byteOf(wordAt(routine, instance, r12, word.state)), state.held);
  a.i("jne", end);
  a.i("call", wordAt(routine, instance, r12, word.writer));
  a.i("mov", byteOf(wordAt(routine, instance, r12, word.state)), state.written);
  a.i("mov", r12, wordAt(routine, instance, r12, word.outside));
  a.i("jmp", write);
  a.bind(end);
  a.i("mov", writing, 0);
  for (const register of flushed.toReversed()) a.i("pop", register);
  cold.push(() => {
    a.bind(busy);
    a.i("inc", mem64(rcx, { disp: ringHeader.lostCalls }));
    a.i("jmp", drop);
  });
}

/**
 * Writes the entry of the frame at r12 into the ring at rcx; keeps these two. The calls around it
 * are the same as when it began.
 */
function emitWriter(routine: Routine, instance: InstancePlan, payload: Payload): void {
  const { a } = routine;
  const noRoom = a.label();
  const done = a.label();
  const bytes = putBytes(payload);
  const isPlain = isEmpty(payload);
  const load = (index: number): Mem => wordAt(routine, instance, r12, word.values + index);
  a.i("lea", rsp, mem(rsp, { disp: -bytes }));
  if (isPlain) a.i("mov", r32.r8d, 1);
  else {
    finishGather(routine, "entry", payload, {
      stack: (stack) =>
        emitStack(routine, instance, stack, () => {
          a.i("mov", r9, r12);
          a.i("mov", r10, load(payload.values.length));
        }),
      value: ({ type }, index) => {
        a.i("mov", rax, load(index));
        storeValue(routine, type);
      },
    });
  }
  emitPut(routine, instance, noRoom, {
    kind: isPlain ? "entry" : "long",
    loadTime: () => a.i("mov", rdx, wordAt(routine, instance, r12, word.entered)),
    loadSite: () => {
      a.i("mov", rax, wordAt(routine, instance, r12, word.state));
      a.i("shr", rax, 8);
    },
  });
  a.bind(done);
  a.i("lea", rsp, mem(rsp, { disp: bytes }));
  a.i("ret");
  a.bind(noRoom);
  a.i("mov", mem64(rcx, { disp: ringHeader.longWriter }), 0);
  a.i("inc", mem64(rcx, { disp: ringHeader.lostEntries }));
  a.i("jmp", done);
}
