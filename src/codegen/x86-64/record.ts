/**
 * Thunks: the code that an enabled site jumps to. One thunk per site and kind of work, a copy of a
 * template with its holes filled in. What several ops want at a function is fused into one thunk.
 *
 * **Entry and exit.** The site jumps to the thunk with the return address on top of the stack, at
 * S. The thunk records the entry, moves the return address to the mirror, at S + `mirrorDelta`,
 * and *calls* the body, so that the body's `ret` comes back here and is predicted. Then it
 * records the exit, puts the return address back from the mirror and returns. Since the mirror's
 * slot is a function of the stack pointer alone, longjmp and stack switches need no care, and one
 * rule tells unwinders where the return address is (see `frame-description.ts`).
 *
 *     site:  jmp thunk              thunk: [S + delta] := [S]; record entry; call body
 *     body:  ...                           record exit;  [S] := [S + delta]; [S + delta] := 0; ret
 *
 * A function that ends with a jump to another one (a tail call) leaves a thunk's return point at S:
 * the mirror's slot is in use already, and what is in it has to stay. A slot that is not 0 is the
 * hint, `tail.ts` looks closer.
 *
 * **Entry alone.** The site jumps to the thunk, which records and jumps to the body. On stacks
 * outside of the mirrored part of the address space the first form falls back to this, and says
 * so with an `unwound` event right behind the entry: how long the call takes is not known.
 *
 * Everything that the caller or the callee can see stays as it was: all registers, because a
 * compiler that knows its callee (gcc's -fipa-ra) keeps values in registers that the ABI calls
 * clobbered, and the arithmetic flags. Vector registers are not touched.
 *
 * How events get into the ring: `ring/layout.ts`. What `claim` does: `claim.ts`.
 */
import type { CodeAddr, DataAddr } from "../../base/brand.ts";
import { type Assembled, Assembler } from "../../isa/x86-64/assembler.ts";
import { type Label, mem, mem32, mem64, type Operand } from "../../isa/x86-64/operands.ts";
import { r8, r32, r64 } from "../../isa/x86-64/registers.ts";
import { threadTable } from "../../ring/arena.ts";
import { eventBytes, ringHeader, ringHeaderBytes, timeBits, timeShift } from "../../ring/layout.ts";

/** What every thunk of a session has in common. */
export type RecordPlan = {
  /** Address of the thread table in the target. */
  readonly table: DataAddr;
  /** Distance from the thread pointer (fs base) to the thread id that the C library keeps. */
  readonly tidOffset: number;
  /** Slots in each ring; a power of two. */
  readonly slotCount: number;
  /** Added to the address of a stack slot to get its slot in the mirror. */
  readonly mirrorDelta: bigint;
  /** Bits of an address above `mirrorWindowBits` that all mirrored stacks share. */
  readonly mirrorWindow: number;
  /** Address of the list of places with generated code: `target/thunk-ranges.ts`. */
  readonly ranges: DataAddr;
};

/** The mirrored window spans 2^41 bytes: 2 TiB, the top of which holds every stack. */
export const mirrorWindowBits = 41;

/** A thunk before its holes are filled; see `fill-thunks.ts`. */
export type ThunkTemplate = Assembled;

const { rax, rbx, rcx, rdx, rsi, rsp } = r64;
/** Bytes that `save` pushes: rax, rdx, rcx, rbx, rsi and the flags. */
export const savedBytes = 48;
/** Longer than a site's id is wide: takes `time` to bit 63 before it goes down to its place. */
const timeTop = 64 - timeBits;

const save = (a: Assembler): void => {
  for (const register of [rax, rdx, rcx, rbx, rsi]) a.i("push", register);
  a.i("lahf");
  a.i("seto", r8.al);
  a.i("push", rax);
};

const restore = (a: Assembler): void => {
  a.i("pop", rax);
  a.i("add", r8.al, 0x7f);
  a.i("sahf");
  for (const register of [rsi, rbx, rcx, rdx, rax]) a.i("pop", register);
};

/**
 * Puts one event into the calling thread's ring; clobbers rax, rbx, rcx, rdx, rsi and the flags.
 * @param word where the constant part of the event is; a hole of its name unless given.
 */
export function record(
  a: Assembler,
  plan: RecordPlan,
  kind: RecordedKind,
  cold: Cold[],
  word: Operand = a.hole(`${kind}Event`, 8),
): void {
  const haveRing = a.label();
  const retry = a.label();
  const done = a.label();
  const noRing = a.label();
  const full = a.label();
  a.i("mov", r32.eax, mem32({ seg: "fs", disp: plan.tidOffset }));
  a.i("mov", r32.ecx, r32.eax);
  a.i("and", r32.ecx, threadTable.entries - 1);
  a.i("shl", r32.ecx, 4);
  a.i("mov", rdx, plan.table);
  a.i("add", rcx, rdx);
  a.i("cmp", mem32(rcx, { disp: threadTable.tid }), r32.eax);
  a.i("jne", noRing);
  a.i("mov", rcx, mem64(rcx, { disp: threadTable.ring }));
  a.bind(haveRing);
  a.bind(retry);
  a.i("mov", rbx, mem64(rcx, { disp: ringHeader.head }));
  a.i("cmp", rbx, mem64(rcx, { disp: ringHeader.limit }));
  a.i("jae", full);
  a.i("mov", r32.eax, r32.ebx);
  a.i("and", r32.eax, plan.slotCount - 1);
  a.i("mov", rsi, mem64(rcx, { index: rax, scale: eventBytes, disp: ringHeaderBytes }));
  a.i("cmp", rbx, mem64(rcx, { disp: ringHeader.head }));
  a.i("jne", retry);
  a.i("rdtsc");
  a.i("shl", rdx, 32);
  a.i("or", rdx, rax);
  a.i("shl", rdx, timeTop);
  a.i("shr", rdx, timeTop - timeShift);
  a.i("mov", rax, word);
  a.i("or", rdx, rax);
  a.i("mov", rax, rsi);
  a.i("mov", r32.esi, r32.ebx);
  a.i("and", r32.esi, plan.slotCount - 1);
  const slot = mem64(rcx, { index: rsi, scale: eventBytes, disp: ringHeaderBytes });
  a.i("cmpxchg", slot, rdx);
  a.i("jne", retry);
  a.i("mov", rax, rbx);
  a.i("lea", rbx, mem(rax, { disp: 1 }));
  a.i("cmpxchg", mem64(rcx, { disp: ringHeader.head }), rbx);
  a.i("jne", retry);
  a.bind(done);
  cold.push({ kind, haveRing, done, noRing, full });
}

type RecordedKind = "entry" | "exit" | "unwound";

/** What `record` leaves to `emitCold`. */
export type Cold = {
  readonly kind: RecordedKind;
  readonly haveRing: Label;
  readonly done: Label;
  readonly noRing: Label;
  readonly full: Label;
};

/** The paths that are taken once per thread, or when a ring is full; `claim` calls that routine. */
export function emitCold(
  a: Assembler,
  paths: readonly Cold[],
  claim: () => void = () => a.i("call", a.hole("claim", 4)),
): void {
  for (const { kind, haveRing, done, noRing, full } of paths) {
    a.bind(noRing);
    a.i("mov", r32.ebx, kind === "entry" ? 0 : 1);
    claim();
    a.i("test", rcx, rcx);
    a.i("jne", haveRing);
    a.i("jmp", done);
    a.bind(full);
    const lost = kind === "entry" ? ringHeader.lostEntries : ringHeader.lostExits;
    a.i("inc", mem64(rcx, { disp: lost }));
    a.i("jmp", done);
  }
}

/** What a thunk does at its function, as a set of bits; `exit` goes with `entry`. */
export const thunkWork = { entry: 1, exit: 2, count: 4 } as const;
/** Highest value of such a set. */
export const thunkWorkMax = 7;

const does = (work: number, bit: number): boolean => (work & bit) !== 0;

/** Adds one to the site's counter; clobbers rcx and the flags. */
function count(a: Assembler): void {
  a.i("mov", rcx, a.hole("counter", 8));
  a.lock().i("inc", mem64(rcx));
}

/**
 * The thunk for `work`. Holes: `body`, `claim` and `tail` (addresses), `entryEvent`, `exitEvent` and
 * `unwoundEvent` (kind and site), `counter` (an address); as often as the work wants them.
 */
export function makeThunk(plan: RecordPlan, work: number): ThunkTemplate {
  const a = new Assembler(0n as CodeAddr);
  const cold: Cold[] = [];
  save(a);
  if (does(work, thunkWork.count)) count(a);
  if (does(work, thunkWork.exit)) return entryAndExit(a, plan, cold);
  if (does(work, thunkWork.entry)) record(a, plan, "entry", cold);
  restore(a);
  a.i("jmp", a.hole("body", 4));
  emitCold(a, cold);
  return a.finish();
}

/** The rest of a thunk that records entry and exit. */
function entryAndExit(a: Assembler, plan: RecordPlan, cold: Cold[]): ThunkTemplate {
  const outside = a.label();
  const inUse = a.label();
  const hooked = a.label();
  const returnSlot = mem64(rsp, { disp: savedBytes });
  const mirrorSlot = mem64(rsp, { index: rcx, disp: savedBytes });
  a.i("mov", rax, rsp);
  a.i("shr", rax, mirrorWindowBits);
  a.i("cmp", r32.eax, plan.mirrorWindow);
  a.i("jne", outside);
  a.i("mov", rcx, BigInt.asIntN(64, plan.mirrorDelta));
  a.i("mov", rdx, returnSlot);
  a.i("cmp", mirrorSlot, 0);
  a.i("jne", inUse);
  a.i("mov", mirrorSlot, rdx);
  a.bind(hooked);
  record(a, plan, "entry", cold);
  restore(a);
  a.i("lea", rsp, mem(rsp, { disp: 8 }));
  a.i("call", a.hole("body", 4));

  a.i("lea", rsp, mem(rsp, { disp: -8 }));
  save(a);
  record(a, plan, "exit", cold);
  a.i("mov", rcx, BigInt.asIntN(64, plan.mirrorDelta));
  a.i("mov", rdx, mirrorSlot);
  a.i("mov", returnSlot, rdx);
  a.i("mov", mirrorSlot, 0);
  restore(a);
  a.i("ret");

  a.bind(inUse);
  a.i("call", a.hole("tail", 4));
  a.i("jmp", hooked);

  a.bind(outside);
  record(a, plan, "entry", cold);
  record(a, plan, "unwound", cold);
  restore(a);
  a.i("jmp", a.hole("body", 4));
  emitCold(a, cold);
  return a.finish();
}
