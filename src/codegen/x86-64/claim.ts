/**
 * `claim`: finds the calling thread's ring when the thread table's first guess was wrong, which is
 * once in a thread's life, and in a forked child every time.
 *
 * In: eax = thread id, ebx = 0 for an entry and 1 for an exit. Out: rcx = the ring, or 0 when the
 * event is not to be recorded. Clobbers rax, rbx, rdx and the flags; the calling thunk has saved
 * them. Signal handlers that interrupt it may run it too: they do what it was about to do. Should
 * a thread come to own two rings by that, both are read.
 */
import type { DataAddr } from "../../base/brand.ts";
import type { Assembler } from "../../isa/x86-64/assembler.ts";
import { type Label, mem, mem32, mem64 } from "../../isa/x86-64/operands.ts";
import { r32, r64 } from "../../isa/x86-64/registers.ts";
import {
  type ArenaShape,
  control,
  entryBusy,
  noRingLeft,
  ringOffset,
  ringStride,
  threadTable,
} from "../../ring/arena.ts";
import { ringHeader } from "../../ring/layout.ts";
import { emitForkNote } from "./fork-gate.ts";
import type { InstancePlan } from "./record.ts";

const { rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11, rbx } = r64;
const saved = [rsi, rdi, r8, r9, r10, r11];

/** Walks the thread's entries of the table, rdi from rdx up to r8, until `hit` jumps away. */
function forEachEntry(a: Assembler, visit: () => void): void {
  const again = a.label();
  a.i("mov", rdi, rdx);
  a.bind(again);
  visit();
  a.i("add", rdi, threadTable.entryBytes);
  a.i("cmp", rdi, r8);
  a.i("jne", again);
}

/**
 * Takes a ring that belongs to nobody, or to this thread already: to a claim that this one has
 * interrupted, or to an earlier thread of the same id. Falls through with rcx = the ring. Looks
 * from behind the last ring that was taken, then from the first one.
 */
function takeRing(a: Assembler, shape: ArenaShape, none: Label): void {
  const [pass, look, next, endOfPass] = [a.label(), a.label(), a.label(), a.label()];
  const [mine, limit, taken] = [a.label(), a.label(), a.label()];
  const owner = mem32(rcx, { disp: ringHeader.tid });
  const nextRing = mem32(r9, { disp: control.nextRing });
  a.i("mov", r32.esi, nextRing);
  a.i("cmp", r32.esi, noRingLeft);
  a.i("je", none);
  a.i("mov", r32.r8d, 2);
  a.i("mov", r32.r10d, r32.esi);
  a.bind(pass);
  a.i("mov", r32.ecx, r32.r10d);
  a.i("imul", rcx, rcx, ringStride(shape));
  a.i("lea", rcx, mem(r9, { index: rcx, disp: ringOffset(shape, 0) }));
  a.bind(look);
  a.i("cmp", r32.r10d, shape.ringCount);
  a.i("jae", endOfPass);
  a.i("mov", r32.r11d, owner);
  a.i("cmp", r32.r11d, r32.eax);
  a.i("je", mine);
  a.i("test", r32.r11d, r32.r11d);
  a.i("jne", next);
  a.i("mov", r32.r11d, r32.eax);
  a.i("xor", r32.eax, r32.eax);
  a.lock().i("cmpxchg", owner, r32.r11d);
  a.i("mov", r32.eax, r32.r11d);
  a.i("jne", look);
  a.i("inc", r32.r10d);
  a.i("mov", nextRing, r32.r10d);
  a.i("jmp", limit);
  a.bind(next);
  a.i("add", rcx, ringStride(shape));
  a.i("inc", r32.r10d);
  a.i("jmp", look);

  a.bind(endOfPass);
  a.i("xor", r32.r10d, r32.r10d);
  a.i("dec", r32.r8d);
  a.i("jne", pass);
  // Spare the next claims the search, unless the drain has just given a ring back.
  a.i("mov", r32.r11d, r32.eax);
  a.i("mov", r32.eax, r32.esi);
  a.i("mov", r32.esi, noRingLeft);
  a.lock().i("cmpxchg", nextRing, r32.esi);
  a.i("mov", r32.eax, r32.r11d);
  a.i("jmp", none);

  a.bind(mine);
  // The claim that was interrupted may not have come to this.
  a.i("cmp", mem64(rcx, { disp: ringHeader.limit }), 0);
  a.i("jne", taken);
  a.bind(limit);
  a.i("mov", r11, mem64(rcx, { disp: ringHeader.head }));
  a.i("add", r11, mem64(r9, { disp: control.room }));
  a.i("mov", mem64(rcx, { disp: ringHeader.limit }), r11);
  a.bind(taken);
}

/**
 * Goes on where recording is armed, with rsi = the table and r9 = the arena. In a forked child that
 * is to be followed its first claim arms its own table; the thread's id is the process' then.
 */
function emitArm(a: Assembler, silent: Label): void {
  const armed = mem32(rsi, { disp: threadTable.armed });
  const ready = a.label();
  a.i("cmp", armed, 0);
  a.i("jne", ready);
  a.i("cmp", mem32(r9, { disp: control.followForks }), 0);
  a.i("je", silent);
  a.i("mov", mem32(rsi, { disp: threadTable.process }), r32.eax);
  a.i("mov", armed, 1);
  a.bind(ready);
}

/**
 * Adds the routine.
 * @param stamp where threads note their forks; undefined where they do not.
 */
export function emitClaim(a: Assembler, plan: InstancePlan, stamp: DataAddr | undefined): void {
  const [found, resume, enter, done] = [a.label(), a.label(), a.label(), a.label()];
  const [noRing, ringless, silent] = [a.label(), a.label(), a.label()];
  const owner = mem32(rdi, { disp: threadTable.tid });
  for (const register of saved) a.i("push", register);
  a.i("mov", rsi, plan.table);
  a.i("mov", r9, plan.arena);
  emitArm(a, silent);
  a.i("test", r32.eax, r32.eax);
  a.i("je", ringless);
  a.i("mov", r32.edx, r32.eax);
  a.i("and", r32.edx, threadTable.entries - 1);
  a.i("shl", r32.edx, 4);
  a.i("add", rdx, rsi);
  a.i("lea", r8, mem(rdx, { disp: threadTable.probes * threadTable.entryBytes }));
  a.i("lea", r32.r10d, mem(rax, { disp: entryBusy }));
  forEachEntry(a, () => {
    a.i("cmp", owner, r32.eax);
    a.i("je", found);
    a.i("cmp", owner, r32.r10d);
    a.i("je", resume);
  });
  // The entry first: a ring that was taken and given back would hide those behind it from the
  // drain.
  forEachEntry(a, () => {
    const occupied = a.label();
    a.i("cmp", owner, 0);
    a.i("jne", occupied);
    a.i("mov", r32.r11d, r32.eax);
    a.i("xor", r32.eax, r32.eax);
    a.lock().i("cmpxchg", owner, r32.r10d);
    a.i("mov", r32.eax, r32.r11d);
    a.i("je", enter);
    a.bind(occupied);
  });
  a.i("jmp", ringless);

  // A claim of this thread was interrupted: do its work, and leave the entry's fate to it.
  a.bind(resume);
  a.i("xor", r32.edx, r32.edx);
  a.bind(enter);
  takeRing(a, plan.shape, noRing);
  a.i("mov", rsi, plan.table);
  a.i("mov", r32.r11d, mem32(rsi, { disp: threadTable.process }));
  a.i("mov", mem32(rcx, { disp: ringHeader.process }), r32.r11d);
  if (stamp !== undefined) emitForkNote(a, stamp);
  a.i("mov", mem64(rdi, { disp: threadTable.ring }), rcx);
  a.i("mov", owner, r32.eax);
  a.i("jmp", done);
  a.bind(found);
  a.i("mov", rcx, mem64(rdi, { disp: threadTable.ring }));
  a.i("jmp", done);
  a.bind(noRing);
  a.i("test", rdx, rdx);
  a.i("je", ringless);
  a.i("mov", owner, 0);
  a.bind(ringless);
  a.lock().i("inc", mem64(r9, { index: rbx, scale: 8, disp: control.ringlessEntries }));
  a.bind(silent);
  a.i("xor", r32.ecx, r32.ecx);
  a.bind(done);
  for (const register of saved.toReversed()) a.i("pop", register);
  a.i("ret");
}
