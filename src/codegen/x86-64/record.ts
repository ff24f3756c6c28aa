/**
 * Recording: how generated code puts an event into the ring of the thread that runs it. What the
 * ring looks like: `ring/layout.ts`. Who calls this: the routines of `thunk.ts`.
 */
import { ensure } from "../../base/assert.ts";
import type { DataAddr } from "../../base/brand.ts";
import type { Assembler } from "../../isa/x86-64/assembler.ts";
import { type Label, type Mem, mem, mem32, mem64 } from "../../isa/x86-64/operands.ts";
import { type Gpr, r8, r32, r64 } from "../../isa/x86-64/registers.ts";
import { type ArenaShape, control, threadTable } from "../../ring/arena.ts";
import {
  eventBytes,
  eventKind,
  ringHeader,
  ringHeaderBytes,
  siteShift,
  timeBits,
  timeShift,
} from "../../ring/layout.ts";
import { emitClaim } from "./claim.ts";
import { clearSection, emitRestartable } from "./restartable.ts";

/** Rings of their own, with what belongs to them: where one user's events and counts go. */
export type InstancePlan = {
  /** Address of the thread table in the target. */
  readonly table: DataAddr;
  /** Address of the arena in the target. */
  readonly arena: DataAddr;
  readonly shape: ArenaShape;
  /** Full rings overwrite their oldest events. */
  readonly overwrite: boolean;
  /**
   * Where signal handlers return to (`signal.ts`); empty where nobody asks which calls are theirs.
   */
  readonly restorers?: readonly bigint[] | undefined;
  /** Times are those of the arena's word that the tracer keeps fresh: `control.coarseNs`. */
  readonly coarse: boolean;
  /**
   * Words that frames have for it beside their return address, as `mirrorDelta` is: numbered as in
   * `frameWord`. Empty where it wants none or there is no room.
   */
  readonly frameDeltas: readonly bigint[];
};

/** What every thunk in a process has in common. */
export type ThunkPlan = {
  /** Distance from the thread pointer (fs base) to the thread id that the C library keeps. */
  readonly tidOffset: number;
  /** Added to the address of a stack slot to get its slot in the mirror. */
  readonly mirrorDelta: bigint;
  /** The mirrored window of the stacks spans 2 to the power of this, in bytes. */
  readonly mirrorWindowBits: number;
  /** Bits of an address above these that all mirrored stacks share. */
  readonly mirrorWindow: number;
  /** Address of the list of places with generated code: `target/thunk-ranges.ts`. */
  readonly ranges: DataAddr;
  /** Address of the table of the process' unwinders: `personality.ts`. */
  readonly unwinders: DataAddr;
  /** Where threads note their forks: `fork-gate.ts`; absent where they do not. */
  readonly forkStamp?: DataAddr | undefined;
  /** Ticks of the exact clock in a nanosecond; the coarse one counts nanoseconds. */
  readonly ticksPerNs: number;
  /** Absent where the kernel does not restart what signals interrupt: `restartable.ts`. */
  readonly restart?: RestartPlan | undefined;
  /** Actions name theirs by its index. */
  readonly instances: readonly InstancePlan[];
};

/** Where threads have their `struct rseq` (include/uapi/linux/rseq.h), as the C library has it. */
export type RestartPlan = {
  /** From the thread pointer. */
  readonly offset: number;
  /** What stands before code that the kernel may jump to. */
  readonly signature: number;
};

/** The words that frames have for statistics. */
export const frameWord = {
  /** When the function was entered. */
  entered: 0,
  /** What `selfTicks` was then. */
  selfBefore: 1,
  /** The row of its value, where calls are counted by one that is there when they begin. */
  row: 2,
} as const;

/** Routines in the making: what their emitters share. */
export type Routine = {
  readonly a: Assembler;
  readonly plan: ThunkPlan;
  /** Emit what is seldom run, behind everything else. */
  readonly cold: (() => void)[];
  /** The claims that were asked for. */
  readonly claims: Map<InstancePlan, Label>;
  /** Offsets of words that hold an offset in the code, and are to hold its address. */
  readonly addresses: number[];
};

export const makeRoutine = (a: Assembler, plan: ThunkPlan): Routine => ({
  a,
  plan,
  cold: [],
  claims: new Map(),
  addresses: [],
});

export const instanceOf = ({ plan }: Routine, index: number): InstancePlan =>
  ensure(plan.instances[index], `instance ${index}`);

/** The claim of an instance: see `claim.ts`. */
function claimOf({ a, claims }: Routine, instance: InstancePlan): Label {
  const label = claims.get(instance) ?? a.label();
  claims.set(instance, label);
  return label;
}

/** Adds the paths that are seldom taken, and what they call. */
export function finishRoutine({ a, plan, cold, claims }: Routine): void {
  for (const emit of cold) emit();
  for (const [instance, label] of claims) {
    a.bind(label);
    emitClaim(a, instance, plan.forkStamp);
  }
}

const { rax, rbx, rcx, rdx, rsi } = r64;
/** Bytes that `save` pushes: rax, rdx, rcx, rbx, rsi and the flags. */
export const savedBytes = 48;
/** On the stack of a routine, from the stack pointer behind its `save`. */
export const routineFrame: {
  readonly thunk: number;
  readonly site: number;
  readonly slot: number;
} = {
  /** Where it returns to in the thunk. */
  thunk: savedBytes,
  site: savedBytes + 8,
  /** The return address of the traced function: S. */
  slot: savedBytes + 16,
};
/** Below the stack pointer, for leaf functions to use (System V ABI, AMD64, 3.2.2). */
export const redZoneBytes = 128;
/** Takes `time` to bit 63 before it goes down to its place. */
const timeTop = 64 - timeBits;

/** Puts what `record` clobbers on the stack; vector registers are not touched. */
export const save = (a: Assembler): void => {
  for (const register of [rax, rdx, rcx, rbx, rsi]) a.i("push", register);
  a.i("lahf");
  a.i("seto", r8.al);
  a.i("push", rax);
};

/** Takes it back. */
export const restore = (a: Assembler): void => {
  a.i("pop", rax);
  a.i("add", r8.al, 0x7f);
  a.i("sahf");
  for (const register of [rsi, rbx, rcx, rdx, rax]) a.i("pop", register);
};

/** Where an event is to go. */
type RingWish = {
  /** As what it counts where no ring is left for the thread. */
  readonly as: "entry" | "exit";
  /** Where to go on then, or where nothing is to be recorded. */
  readonly none: Label;
  /** A register that is not to be clobbered. */
  readonly keep?: Gpr<64>;
};

/** The calling thread's ring: rcx. Clobbers rax, rbx, rdx and the flags. */
export function loadRing(
  routine: Routine,
  instance: InstancePlan,
  { as, none, keep }: RingWish,
): void {
  const { a, plan, cold } = routine;
  const [claim, found] = [a.label(), a.label()];
  a.i("mov", r32.eax, mem32({ seg: "fs", disp: plan.tidOffset }));
  a.i("mov", r32.ecx, r32.eax);
  a.i("and", r32.ecx, threadTable.entries - 1);
  a.i("shl", r32.ecx, 4);
  a.i("mov", rdx, instance.table);
  a.i("cmp", mem32(rdx, { index: rcx, disp: threadTable.tid }), r32.eax);
  a.i("jne", claim);
  a.i("mov", rcx, mem64(rdx, { index: rcx, disp: threadTable.ring }));
  a.bind(found);
  // The table has none at first sight.
  cold.push(() => {
    a.bind(claim);
    if (keep !== undefined) a.i("push", keep);
    a.i("mov", r32.ebx, as === "entry" ? 0 : 1);
    a.i("call", claimOf(routine, instance));
    if (keep !== undefined) a.i("pop", keep);
    a.i("test", rcx, rcx);
    a.i("jne", found);
    a.i("jmp", none);
  });
}

/** The time by the instance's clock: rax. Clobbers rdx and the flags. */
export function readClock({ a }: Routine, { coarse, arena }: InstancePlan): void {
  if (coarse) {
    a.i("mov", rax, arena + BigInt(control.coarseNs));
    a.i("mov", rax, mem64(rax));
    return;
  }
  a.i("rdtsc");
  a.i("shl", rdx, 32);
  a.i("or", rax, rdx);
}

/**
 * Puts one event into the calling thread's ring; clobbers rax, rbx, rcx, rdx, rsi and the flags.
 * @param site where the site's id is, 4 bytes.
 */
export function record(
  routine: Routine,
  instance: InstancePlan,
  kind: RecordedKind,
  site: Mem,
): void {
  const { a, cold } = routine;
  const done = a.label();
  const full = a.label();
  loadRing(routine, instance, { as: isEntry(kind) ? "entry" : "exit", none: done });
  const { restart } = routine.plan;
  const event = { instance, kind, site };
  if (instance.coarse && restart !== undefined) {
    const unregistered = a.label();
    emitRestartable(routine, restart, unregistered, () => putAlone(routine, event, full));
    a.bind(done);
    clearSection(routine, restart);
    cold.push(() => {
      a.bind(unregistered);
      putBesideOthers(routine, event, full);
      a.i("jmp", done);
    });
  } else {
    putBesideOthers(routine, event, full);
    a.bind(done);
  }
  cold.push(() => {
    a.bind(full);
    if (isEntry(kind)) a.i("inc", mem64(rcx, { disp: ringHeader.lostEntries }));
    // A reader that looked for the exit of a lost call would find it in another call's.
    if (kind !== "entry") a.i("inc", mem64(rcx, { disp: ringHeader.lostExits }));
    a.i("jmp", done);
  });
}

/** An event that is to be put into the ring at rcx. */
type PlainEvent = {
  readonly instance: InstancePlan;
  readonly kind: RecordedKind;
  readonly site: Mem;
};

/** The ring's head: rbx. To `full` where it has come to the limit. */
function loadHead({ a }: Routine, full: Label): void {
  a.i("mov", rbx, mem64(rcx, { disp: ringHeader.head }));
  a.i("cmp", rbx, mem64(rcx, { disp: ringHeader.limit }));
  a.i("jae", full);
}

/** The event: rdx. Clobbers rax. */
function loadEvent(routine: Routine, { instance, kind, site }: PlainEvent): void {
  const { a } = routine;
  if (instance.coarse) {
    a.i("mov", rdx, instance.arena + BigInt(control.coarseEvent));
    a.i("mov", rdx, mem64(rdx));
  } else {
    readClock(routine, instance);
    a.i("mov", rdx, rax);
    a.i("shl", rdx, timeTop);
    a.i("shr", rdx, timeTop - timeShift);
  }
  a.i("mov", r32.eax, site);
  a.i("shl", rax, siteShift);
  a.i("lea", rdx, mem(rdx, { index: rax, disp: recordedKinds[kind] }));
}

/** The slot of the position in rbx; its index in `register`. */
function slotOf({ a }: Routine, { shape }: InstancePlan, register: "rax" | "rsi"): Mem {
  const index = register === "rax" ? r32.eax : r32.esi;
  a.i("mov", index, r32.ebx);
  a.i("and", index, shape.slotCount - 1);
  return mem64(rcx, { index: r64[register], scale: eventBytes, disp: ringHeaderBytes });
}

/** Where a signal handler may do the same at any moment: `ring/layout.ts`. */
function putBesideOthers(routine: Routine, event: PlainEvent, full: Label): void {
  const { a } = routine;
  const retry = a.bindNew();
  loadHead(routine, full);
  a.i("mov", rsi, slotOf(routine, event.instance, "rax"));
  a.i("cmp", rbx, mem64(rcx, { disp: ringHeader.head }));
  a.i("jne", retry);
  loadEvent(routine, event);
  a.i("mov", rax, rsi);
  a.i("cmpxchg", slotOf(routine, event.instance, "rsi"), rdx);
  a.i("jne", retry);
  a.i("mov", rax, rbx);
  a.i("lea", rbx, mem(rax, { disp: 1 }));
  a.i("cmpxchg", mem64(rcx, { disp: ringHeader.head }), rbx);
  a.i("jne", retry);
}

/** Where nobody does: the section begins anew. By the coarse clock. */
function putAlone({ a }: Routine, { instance, kind, site }: PlainEvent, full: Label): void {
  const { arena, shape } = instance;
  a.i("mov", r32.edx, site);
  a.i("shl", rdx, siteShift);
  a.i("mov", rax, arena + BigInt(control.coarseEvent));
  a.i("or", rdx, mem64(rax));
  if (recordedKinds[kind] !== 0) a.i("or", rdx, recordedKinds[kind]);
  a.i("mov", rax, mem64(rcx, { disp: ringHeader.head }));
  a.i("cmp", rax, mem64(rcx, { disp: ringHeader.limit }));
  a.i("jae", full);
  a.i("and", r32.eax, shape.slotCount - 1);
  a.i("mov", mem64(rcx, { index: rax, scale: eventBytes, disp: ringHeaderBytes }), rdx);
  a.i("inc", mem64(rcx, { disp: ringHeader.head }));
}

/** What can be recorded; `alone`, an entry without an exit, has `aloneBit` in the site's id. */
const recordedKinds = { ...eventKind, alone: eventKind.unwound } as const;
type RecordedKind = "entry" | "exit" | "unwound" | "alone";
/** Whether it begins a call. */
const isEntry = (kind: RecordedKind): boolean => kind === "entry" || kind === "alone";
