/**
 * `claim`: finds the calling thread's ring when the thread table's first guess was wrong, which is
 * once in a thread's life, and in a forked child every time.
 *
 * In: eax = thread id, ebx = 0 for an entry and 1 for an exit. Out: rcx = the ring, or 0 when the
 * event is not to be recorded. Clobbers rax, rbx, rdx and the flags; the calling thunk has saved
 * them. Interrupting signal handlers may run it too; a thread may then own two rings, and both
 * are read.
 */
import type { CodeAddr, DataAddr } from "../../base/brand.ts";
import { type Assembled, Assembler } from "../../isa/x86-64/assembler.ts";
import { type Label, mem, mem32, mem64 } from "../../isa/x86-64/operands.ts";
import { r32, r64 } from "../../isa/x86-64/registers.ts";
import {
  type ArenaShape,
  control,
  entryBusy,
  ringOffset,
  ringStride,
  threadTable,
} from "../../ring/arena.ts";
import { ringHeader } from "../../ring/layout.ts";

export type ClaimPlan = {
  readonly table: DataAddr;
  /** Address of the arena in the target. */
  readonly arena: DataAddr;
  readonly shape: ArenaShape;
};

const { rcx, rdx, rsi, rdi, r8, r9, r10, r11, rbx } = r64;
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

/** Takes the first ring that belongs to nobody; falls through with rcx = the ring. */
function takeRing(a: Assembler, shape: ArenaShape, none: Label): void {
  const look = a.label();
  const next = a.label();
  const taken = a.label();
  a.i("mov", r32.r10d, shape.ringCount);
  a.i("lea", rcx, mem(r9, { disp: ringOffset(shape, 0) }));
  a.bind(look);
  a.i("cmp", mem32(rcx, { disp: ringHeader.tid }), 0);
  a.i("jne", next);
  a.i("mov", r32.r11d, r32.eax);
  a.i("xor", r32.eax, r32.eax);
  a.lock().i("cmpxchg", mem32(rcx, { disp: ringHeader.tid }), r32.r11d);
  a.i("mov", r32.eax, r32.r11d);
  a.i("je", taken);
  a.bind(next);
  a.i("add", rcx, ringStride(shape));
  a.i("dec", r32.r10d);
  a.i("jne", look);
  a.i("jmp", none);
  a.bind(taken);
  a.i("mov", r11, mem64(rcx, { disp: ringHeader.head }));
  a.i("add", r11, mem64(r9, { disp: control.room }));
  a.i("mov", mem64(rcx, { disp: ringHeader.limit }), r11);
}

/** Code of `claim` for one session, to be placed at `origin`. */
export function claimRoutine(origin: CodeAddr, plan: ClaimPlan): Assembled {
  const a = new Assembler(origin);
  const found = a.label();
  const enter = a.label();
  const done = a.label();
  const ringless = a.label();
  const silent = a.label();
  for (const register of saved) a.i("push", register);
  a.i("mov", rsi, plan.table);
  a.i("mov", r9, plan.arena);
  a.i("cmp", mem32(rsi, { disp: threadTable.armed }), 0);
  a.i("je", silent);
  a.i("test", r32.eax, r32.eax);
  a.i("je", ringless);
  a.i("mov", r32.edx, r32.eax);
  a.i("and", r32.edx, threadTable.entries - 1);
  a.i("shl", r32.edx, 4);
  a.i("add", rdx, rsi);
  a.i("lea", r8, mem(rdx, { disp: threadTable.probes * threadTable.entryBytes }));
  forEachEntry(a, () => {
    a.i("cmp", mem32(rdi, { disp: threadTable.tid }), r32.eax);
    a.i("je", found);
  });
  takeRing(a, plan.shape, ringless);
  forEachEntry(a, () => {
    const occupied = a.label();
    a.i("cmp", mem32(rdi, { disp: threadTable.tid }), 0);
    a.i("jne", occupied);
    a.i("mov", r32.r10d, r32.eax);
    a.i("mov", r32.r11d, entryBusy);
    a.i("xor", r32.eax, r32.eax);
    a.lock().i("cmpxchg", mem32(rdi, { disp: threadTable.tid }), r32.r11d);
    a.i("mov", r32.eax, r32.r10d);
    a.i("je", enter);
    a.bind(occupied);
  });
  // No entry near enough to find the ring again: give it back.
  a.i("mov", mem32(rcx, { disp: ringHeader.tid }), 0);
  a.i("jmp", ringless);
  a.bind(enter);
  a.i("mov", mem64(rdi, { disp: threadTable.ring }), rcx);
  a.i("mov", mem32(rdi, { disp: threadTable.tid }), r32.eax);
  a.i("jmp", done);
  a.bind(found);
  a.i("mov", rcx, mem64(rdi, { disp: threadTable.ring }));
  a.i("jmp", done);
  a.bind(ringless);
  a.lock().i("inc", mem64(r9, { index: rbx, scale: 8, disp: control.ringlessEntries }));
  a.bind(silent);
  a.i("xor", r32.ecx, r32.ecx);
  a.bind(done);
  for (const register of saved.toReversed()) a.i("pop", register);
  a.i("ret");
  return a.finish();
}
