/**
 * Recording on AArch64 and RISC-V: how generated code puts an event into the ring of the thread
 * that runs it. The ring and its rules: `ring/layout.ts`; x86-64's twin: `x86-64/record.ts`.
 *
 * `cmpxchg` without a lock prefix becomes an exclusive pair (LDXR, STXR; LR, SC) without ordering:
 * an interrupt between the two makes the second one fail or, where a handler has put its own event
 * there, the comparison. Another processor must not see `head` move before it sees the slot, so the
 * commit's store is a releasing one.
 */
import { ensure } from "../../base/assert.ts";
import type { Label } from "../../isa/assembler.ts";
import { threadTable } from "../../ring/arena.ts";
import {
  aloneBit,
  eventKind,
  ringHeader,
  ringHeaderBytes,
  siteShift,
  timeBits,
  timeShift,
} from "../../ring/layout.ts";
import type { ThunkPlan } from "../x86-64/record.ts";
import { emitClaim } from "./claim.ts";
import { at, type Machine } from "./machine.ts";
import { rolesOf } from "./roles.ts";

/** Routines that are being made. */
export type Routine = {
  readonly m: Machine;
  readonly plan: ThunkPlan;
  /** What `emitCold` is to add. */
  readonly cold: Cold[];
};

/** What can be recorded; `alone`, an entry without an exit, has `aloneBit` in the site's id. */
const recordedKinds = { ...eventKind, alone: eventKind.unwound } as const;
export type RecordedKind = "entry" | "exit" | "alone";

const entryShift = Math.log2(threadTable.entryBytes);
const tableBits = Math.log2(threadTable.entries);

/** What `record` leaves to `emitCold`. */
export type Cold = {
  readonly instance: number;
  readonly kind: RecordedKind;
  readonly haveRing: Label;
  readonly done: Label;
  readonly noRing: Label;
  readonly full: Label;
};

/** Puts one event of the site in `id` into the ring; clobbers all other scratch registers. */
export function record({ m, plan, cold }: Routine, instance: number, kind: RecordedKind): void {
  const { ring, head, a, b, event, slot, id } = rolesOf(m);
  const { table, shape } = ensure(plan.instances[instance], `instance ${instance}`);
  const [haveRing, done] = [m.code.label(), m.code.label()];
  const [noRing, full] = [m.code.label(), m.code.label()];
  m.threadId(a, plan.tidOffset);
  m.lowBits(ring, a, tableBits);
  m.shiftLeft(ring, ring, entryShift);
  m.constant(b, table);
  m.add(ring, ring, b);
  m.load(b, at(ring, threadTable.tid), 4);
  m.ifNotEqual(a, b, noRing);
  m.load(ring, at(ring, threadTable.ring), 8);

  m.code.bind(haveRing);
  m.load(head, at(ring, ringHeader.head), 8);
  m.load(a, at(ring, ringHeader.limit), 8);
  m.ifNotBelow(head, a, full);
  m.lowBits(slot, head, Math.log2(shape.slotCount));
  m.shiftLeft(slot, slot, 3);
  m.add(slot, slot, ring);
  m.addConstant(slot, slot, ringHeaderBytes);
  m.load(a, at(slot), 8);
  m.load(b, at(ring, ringHeader.head), 8);
  m.ifNotEqual(b, head, haveRing);
  m.clock(event);
  m.shiftLeft(event, event, 64 - timeBits);
  m.shiftRight(event, event, 64 - timeBits - timeShift);
  if (kind === "alone") {
    m.constant(b, aloneBit);
    m.or(b, b, id);
    m.shiftLeft(b, b, siteShift);
  } else m.shiftLeft(b, id, siteShift);
  m.or(event, event, b);
  if (recordedKinds[kind] !== 0) m.addConstant(event, event, recordedKinds[kind]);
  const own = { bytes: 8, ordering: "relaxed" } as const;
  m.compareSwap(slot, { expected: a, wanted: event }, haveRing, own);
  m.addConstant(a, head, 1);
  const publish = { bytes: 8, ordering: "publishing" } as const;
  m.compareSwap(ring, { expected: head, wanted: a }, haveRing, publish);
  m.code.bind(done);
  cold.push({ instance, kind, haveRing, done, noRing, full });
}

/** The paths that are taken once per thread, or when a ring is full, and what they call. */
export function emitCold({ m, plan, cold }: Routine): void {
  const { ring, a, b, slot } = rolesOf(m);
  const claims = new Map<number, Label>();
  for (const { instance, kind, haveRing, done, noRing, full } of cold) {
    const claim = claims.get(instance) ?? m.code.label();
    claims.set(instance, claim);
    m.code.bind(noRing);
    m.constant(b, kind === "exit" ? 8 : 0);
    m.call(claim);
    m.ifNotZero(ring, haveRing);
    m.jump(done);
    m.code.bind(full);
    const { lostEntries, lostExits } = ringHeader;
    // A reader that looked for the exit of a lost call would find it in another call's.
    const counters = { entry: [lostEntries], exit: [lostExits], alone: [lostEntries, lostExits] };
    for (const counter of counters[kind]) {
      m.addConstant(slot, ring, counter);
      m.increment(slot, a);
    }
    m.jump(done);
  }
  for (const [instance, claim] of claims) {
    m.code.bind(claim);
    emitClaim(m, ensure(plan.instances[instance], `instance ${instance}`));
  }
}
