/**
 * `claim` on AArch64 and RISC-V: finds the calling thread's ring when the thread table's first
 * guess was wrong. What it does, and why, is told in `x86-64/claim.ts`.
 *
 * In: the thread's id in scratch register `a`; in `b`, 0 for an entry and 8 for an exit. Out: the
 * ring in `ring`, or 0 when the event is not to be recorded. Clobbers `a` and `b`; keeps the rest.
 */
import { assert } from "../../base/assert.ts";
import type { Label } from "../../isa/assembler.ts";
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
import type { InstancePlan } from "../x86-64/record.ts";
import { at, type Machine, type Reg } from "./machine.ts";
import { rolesOf } from "./roles.ts";

type Names = {
  readonly tid: Reg;
  readonly ring: Reg;
  readonly arena: Reg;
  /** The table's entry that is looked at; the thread's first one; the end of its last one. */
  readonly entry: Reg;
  readonly first: Reg;
  readonly end: Reg;
  /** The thread's id with the mark that the entry is being filled in. */
  readonly busy: Reg;
  readonly owner: Reg;
  readonly index: Reg;
  /** `control.nextRing` as it was. */
  readonly next: Reg;
  readonly passes: Reg;
  readonly work: Reg;
};

const shared4 = { bytes: 4, ordering: "publishing" } as const;

/** Walks the thread's entries of the table until `visit` jumps away. */
function forEachEntry(m: Machine, { entry, first, end }: Names, visit: () => void): void {
  m.move(entry, first);
  const again = m.code.bindNew();
  visit();
  m.addConstant(entry, entry, threadTable.entryBytes);
  m.ifNotEqual(entry, end, again);
}

/** `ring` := the address of ring number `index`. */
function ringAt(m: Machine, n: Names, shape: ArenaShape): void {
  m.constant(n.work, ringStride(shape));
  m.multiply(n.ring, n.index, n.work);
  m.constant(n.work, ringOffset(shape, 0));
  m.add(n.ring, n.ring, n.work);
  m.add(n.ring, n.ring, n.arena);
}

/**
 * Takes a ring that belongs to nobody, or to this thread already. Falls through with the ring.
 * Looks from behind the last ring that was taken, then from the first one.
 */
function takeRing(m: Machine, n: Names, shape: ArenaShape, none: Label): void {
  const { code } = m;
  const [pass, look, next, endOfPass] = [code.label(), code.label(), code.label(), code.label()];
  const [mine, limit, taken] = [code.label(), code.label(), code.label()];
  m.load(n.next, at(n.arena, control.nextRing), 4);
  m.constant32(n.work, noRingLeft);
  m.ifEqual(n.next, n.work, none);
  m.constant(n.passes, 2);
  m.move(n.index, n.next);
  code.bind(pass);
  ringAt(m, n, shape);
  code.bind(look);
  m.constant(n.work, shape.ringCount);
  m.ifNotBelow(n.index, n.work, endOfPass);
  m.load(n.owner, at(n.ring, ringHeader.tid), 4);
  m.ifEqual(n.owner, n.tid, mine);
  m.ifNotZero(n.owner, next);
  m.addConstant(n.work, n.ring, ringHeader.tid);
  m.compareSwap(n.work, { expected: n.owner, wanted: n.tid }, look, shared4);
  m.addConstant(n.index, n.index, 1);
  m.store(n.index, at(n.arena, control.nextRing), 4);
  m.jump(limit);
  code.bind(next);
  m.constant(n.work, ringStride(shape));
  m.add(n.ring, n.ring, n.work);
  m.addConstant(n.index, n.index, 1);
  m.jump(look);

  code.bind(endOfPass);
  m.constant(n.index, 0);
  m.addConstant(n.passes, n.passes, -1);
  m.ifNotZero(n.passes, pass);
  // Spare the next claims the search, unless the drain has just given a ring back.
  m.addConstant(n.work, n.arena, control.nextRing);
  m.constant32(n.owner, noRingLeft);
  m.compareSwap(n.work, { expected: n.next, wanted: n.owner }, none, shared4);
  m.jump(none);

  code.bind(mine);
  // The claim that was interrupted may not have come to this.
  m.load(n.work, at(n.ring, ringHeader.limit), 8);
  m.ifNotZero(n.work, taken);
  code.bind(limit);
  m.load(n.work, at(n.ring, ringHeader.head), 8);
  m.load(n.owner, at(n.arena, control.room), 8);
  m.add(n.work, n.work, n.owner);
  m.store(n.work, at(n.ring, ringHeader.limit), 8);
  code.bind(taken);
}

function namesOf(m: Machine): Names {
  const { a, ring } = rolesOf(m);
  const [arena, entry, first, end, busy, owner, index, next, passes, work] = m.extra;
  assert(work !== undefined && arena !== undefined && entry !== undefined, "ten registers");
  return {
    ...{ tid: a, ring, arena, entry, work },
    ...{ first: first ?? 0, end: end ?? 0, busy: busy ?? 0, owner: owner ?? 0 },
    ...{ index: index ?? 0, next: next ?? 0, passes: passes ?? 0 },
  };
}

/** `first` and `end` := where the thread's entries lie in the table. */
function findEntries(m: Machine, n: Names, plan: InstancePlan): void {
  m.lowBits(n.first, n.tid, Math.log2(threadTable.entries));
  m.shiftLeft(n.first, n.first, Math.log2(threadTable.entryBytes));
  m.constant(n.work, plan.table);
  m.add(n.first, n.first, n.work);
  m.addConstant(n.end, n.first, threadTable.probes * threadTable.entryBytes);
  m.constant32(n.busy, entryBusy);
  m.or(n.busy, n.busy, n.tid);
}

/** Adds the routine. */
export function emitClaim(m: Machine, plan: InstancePlan): void {
  const { code } = m;
  const n = namesOf(m);
  const { b } = rolesOf(m);
  const [found, resume, enter, done] = [code.label(), code.label(), code.label(), code.label()];
  const [noRing, ringless, silent] = [code.label(), code.label(), code.label()];
  m.push(m.extra);
  m.constant(n.arena, plan.arena);
  m.constant(n.work, plan.table + BigInt(threadTable.armed));
  m.load(n.work, at(n.work), 4);
  m.ifZero(n.work, silent);
  m.ifZero(n.tid, ringless);
  findEntries(m, n, plan);
  forEachEntry(m, n, () => {
    m.load(n.owner, at(n.entry, threadTable.tid), 4);
    m.ifEqual(n.owner, n.tid, found);
    m.ifEqual(n.owner, n.busy, resume);
  });
  // The entry first: a ring that was taken and given back would hide those behind it from the
  // drain.
  forEachEntry(m, n, () => {
    const occupied = code.label();
    m.load(n.owner, at(n.entry, threadTable.tid), 4);
    m.ifNotZero(n.owner, occupied);
    m.addConstant(n.work, n.entry, threadTable.tid);
    m.compareSwap(n.work, { expected: n.owner, wanted: n.busy }, occupied, shared4);
    m.jump(enter);
    code.bind(occupied);
  });
  m.jump(ringless);

  // A claim of this thread was interrupted: do its work, and leave the entry's fate to it.
  code.bind(resume);
  m.constant(n.first, 0);
  code.bind(enter);
  takeRing(m, n, plan.shape, noRing);
  m.store(n.ring, at(n.entry, threadTable.ring), 8);
  m.store(n.tid, at(n.entry, threadTable.tid), 4);
  m.jump(done);
  code.bind(found);
  m.load(n.ring, at(n.entry, threadTable.ring), 8);
  m.jump(done);
  code.bind(noRing);
  m.ifZero(n.first, ringless);
  m.storeZero(at(n.entry, threadTable.tid), 4);
  code.bind(ringless);
  m.addConstant(n.arena, n.arena, control.ringlessEntries);
  m.add(n.arena, n.arena, b);
  m.increment(n.arena, n.work);
  code.bind(silent);
  m.constant(n.ring, 0);
  code.bind(done);
  m.pop(m.extra);
  m.goBack();
}
