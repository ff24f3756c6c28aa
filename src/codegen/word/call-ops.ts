/**
 * CALL_OPS on AArch64 and RISC-V: `x86-64/call-ops.ts` tells what it is. What a call leaves in a
 * register leads to the literal, at a constant distance before it; on AArch64 rounded down first,
 * because a landing pad may be between the two. The literal's ten low bits are the ops' number
 * whatever stands there: no-ops of compilers give numbers that no ops have (`patch/literal.ts`).
 */
import type { DataAddr } from "../../base/brand.ts";
import { literalSiteShift, opsBits } from "../../patch/literal.ts";
import type { CallOpsBackEnd } from "../back-end.ts";
import type { Work } from "../work.ts";
import type { Trampolines } from "../x86-64/call-ops.ts";
import type { ThunkPlan } from "../x86-64/record.ts";
import { at, type Machine } from "./machine.ts";
import { emitCold, type Routine } from "./record.ts";
import { rolesOf } from "./roles.ts";
import { emitEntries } from "./thunk.ts";
import { emitWalk, walk } from "./walk.ts";

/** Bits of the literal below the site's id. */
const siteShift = 32 + literalSiteShift;
const pointerShift = 3;

/** The one trampoline, made with a fresh machine; it can stand anywhere. */
export function makeTrampolines(m: Machine, functions: DataAddr): Trampolines {
  emitTrampoline(m, functions);
  return { bytes: m.finish().bytes, offsets: [0, 0] };
}

/** The trampoline at the end of `m` so far. */
export function emitTrampoline(m: Machine, functions: DataAddr): void {
  const { a, b, id } = rolesOf(m);
  m.called.enter();
  m.called.literal(a);
  m.shiftRight(id, a, siteShift);
  m.lowBits(a, a, opsBits);
  m.shiftLeft(a, a, pointerShift);
  m.constant(b, functions);
  m.add(b, b, a);
  m.load(b, at(b), 8);
  m.jumpRegister(b);
}

/** The function of ops that do `work`, made with a fresh machine. */
export function opsFunction(m: Machine, work: Work, plan: ThunkPlan): Uint8Array {
  const routine: Routine = { m, plan, cold: [] };
  emitEntries(routine, work);
  m.called.leave();
  emitCold(routine);
  return m.finish().bytes;
}

/** What the walk calls for ops that do `work`: see `x86-64/call-ops.ts`. */
function listedFunction(m: Machine, work: Work, bit: number, plan: ThunkPlan): Uint8Array {
  const { code, stack, link } = m;
  const { a, b, id } = rolesOf(m);
  const routine: Routine = { m, plan, cold: [] };
  const done = code.label();
  m.load(a, at(stack, walk.done), 8);
  m.shiftRight(b, a, bit);
  m.lowBits(b, b, 1);
  m.ifNotZero(b, done);
  m.constant(b, 2 ** bit);
  m.or(a, a, b);
  m.store(a, at(stack, walk.done), 8);
  m.push([link, id]);
  emitEntries(routine, work);
  m.pop([link, id]);
  code.bind(done);
  m.goBack();
  emitCold(routine);
  return m.finish().bytes;
}

/** What word back ends have in common; the windows are each one's own. */
export const wordCallOps = (
  fresh: () => Machine,
): Pick<
  CallOpsBackEnd,
  "designs" | "makeTrampolines" | "opsFunction" | "walkFunction" | "listedFunction"
> => ({
  designs: ["call-ops"],
  makeTrampolines: (functions) => makeTrampolines(fresh(), functions),
  opsFunction: (work, plan) => opsFunction(fresh(), work, plan),
  walkFunction: (_plan, list) => {
    const m = fresh();
    emitWalk(m, list);
    m.called.leave();
    return m.finish().bytes;
  },
  listedFunction: (work, bit, plan) => listedFunction(fresh(), work, bit, plan),
});
