/** Events of one or several slots, put into the ring from the stack: see `long-record.ts`. */
import { type Label, mem, mem64 } from "../../isa/x86-64/operands.ts";
import { r32, r64 } from "../../isa/x86-64/registers.ts";
import { blockSlots, fillerSite } from "../../ring/event.ts";
import {
  eventBytes,
  eventKind,
  ringHeader,
  ringHeaderBytes,
  siteShift,
  timeBits,
  timeShift,
} from "../../ring/layout.ts";
import type { InstancePlan, Routine } from "./record.ts";

const { rax, rbx, rcx, rdx, rsi, r8, r9, r10, rsp } = r64;

/** What the first slot of an event is made of. */
export type PutEvent = {
  readonly kind: "entry" | "long";
  /** Load the time into rdx, and the site's id into rax; may clobber the other and rsi. */
  readonly loadTime: () => void;
  readonly loadSite: () => void;
};

const head = mem64(rcx, { disp: ringHeader.head });
const slot = mem64(rcx, { index: rsi, scale: eventBytes, disp: ringHeaderBytes });

/**
 * Puts the r8 slots at the stack pointer, the first of which is made here, into the ring at rcx.
 * Clobbers rax, rbx, rdx, rsi, r9, r10 and the flags.
 */
export function emitPut(
  routine: Routine,
  instance: InstancePlan,
  noRoom: Label,
  event: PutEvent,
): void {
  const { a } = routine;
  const [retry, put] = [a.label(), a.label()];
  const writer = mem64(rcx, { disp: ringHeader.longWriter });
  a.i("mov", writer, rsp);
  a.bind(retry);
  a.i("mov", rbx, head);
  a.i("lea", rax, mem(rbx, { index: r8 }));
  a.i("cmp", rax, mem64(rcx, { disp: ringHeader.limit }));
  a.i("ja", noRoom);
  if (instance.overwrite) emitFiller(routine, instance, event, retry);
  a.i("xor", r32.r9d, r32.r9d);
  emitEventWord(routine, event.kind, event);
  a.i("mov", mem64(rsp), rdx);
  a.bind(put);
  a.i("lea", r32.esi, mem(rbx, { index: r9 }));
  a.i("and", r32.esi, instance.shape.slotCount - 1);
  a.i("mov", r10, mem64(rsp, { index: r9, scale: 8 }));
  storeSlot(routine, retry);
  a.i("inc", r9);
  a.i("cmp", r9, r8);
  a.i("jne", put);
  a.i("mov", rax, rbx);
  a.i("add", rbx, r8);
  a.i("cmpxchg", head, rbx);
  a.i("jne", retry);
  a.i("mov", writer, 0);
}

/** Puts r10 into the slot with the index in rsi, if it is as it was. */
function storeSlot({ a }: Routine, retry: Label): void {
  a.i("mov", rax, slot);
  a.i("cmp", rbx, head);
  a.i("jne", retry);
  a.i("cmpxchg", slot, r10);
  a.i("jne", retry);
}

/** The first word of an event: rdx. Clobbers rax and rsi. */
function emitEventWord(
  { a }: Routine,
  kind: "entry" | "long" | "unwound",
  { loadTime, loadSite }: Omit<PutEvent, "kind">,
): void {
  const top = 64 - timeBits;
  loadTime();
  a.i("shl", rdx, top);
  a.i("shr", rdx, top - timeShift);
  loadSite();
  a.i("shl", rax, siteShift);
  a.i("lea", rdx, mem(rdx, { index: rax, disp: eventKind[kind] }));
}

/** A long event does not cross the end of a block: what is left of that is filled up. */
function emitFiller(
  routine: Routine,
  { shape }: InstancePlan,
  { loadTime }: PutEvent,
  retry: Label,
): void {
  const { a, cold } = routine;
  const fill = a.label();
  a.i("mov", r32.eax, r32.ebx);
  a.i("and", r32.eax, blockSlots - 1);
  a.i("add", r32.eax, r32.r8d);
  a.i("cmp", r32.eax, blockSlots);
  a.i("ja", fill);
  cold.push(() => {
    a.bind(fill);
    const loadSite = (): void => {
      a.i("mov", r32.eax, fillerSite);
    };
    emitEventWord(routine, "unwound", { loadTime, loadSite });
    a.i("mov", r10, rdx);
    a.i("mov", r32.esi, r32.ebx);
    a.i("and", r32.esi, shape.slotCount - 1);
    storeSlot(routine, retry);
    a.i("mov", rax, rbx);
    a.i("inc", rbx);
    a.i("cmpxchg", head, rbx);
    a.i("jmp", retry);
  });
}
