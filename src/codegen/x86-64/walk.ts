/**
 * The list of all ops, and the walk through it that calls those which want the site, whoever else
 * does (as Linux' ftrace_ops_list_func). What it costs grows with the number of ops that there are.
 */
import type { DataAddr } from "../../base/brand.ts";
import { mem8, mem32, mem64 } from "../../isa/x86-64/operands.ts";
import { r32, r64 } from "../../isa/x86-64/registers.ts";
import { type Routine, routineFrame } from "./record.ts";

const { rax, rbx, rcx, rdx, rsp } = r64;

/** An entry of the list of all ops, which ends with an entry of zeros. */
export const listEntry = {
  /** u64: address of what is called for the ops: `listedFunction`. */
  function: 0,
  /** u64: address of a byte for each site, not 0 where the ops want it. */
  wanted: 8,
  bytes: 16,
} as const;
/** Kinds of work in one list: each has a bit in a word on the stack. */
export const listedWorksMax = 31;

/** What the walk has on the stack, seen from a function that it calls. */
export const walk = { done: 8, cursor: 16, bytes: 16 } as const;

/**
 * Calls the functions of all ops of the list that want the site. Clobbers what `record` does.
 * @param list address of a word that holds the list's address.
 */
export function emitWalk({ a }: Routine, list: DataAddr): void {
  const [look, next, end] = [a.label(), a.label(), a.label()];
  a.i("mov", rbx, list);
  a.i("mov", rbx, mem64(rbx));
  a.i("push", rbx);
  a.i("push", 0);
  a.bind(look);
  a.i("mov", rcx, mem64(rbx, { disp: listEntry.function }));
  a.i("test", rcx, rcx);
  a.i("je", end);
  a.i("mov", rdx, mem64(rbx, { disp: listEntry.wanted }));
  a.i("mov", r32.eax, mem32(rsp, { disp: walk.bytes + routineFrame.site }));
  a.i("cmp", mem8(rdx, { index: rax }), 0);
  a.i("je", next);
  a.i("call", rcx);
  a.i("mov", rbx, mem64(rsp, { disp: walk.cursor - walk.done }));
  a.bind(next);
  a.i("add", rbx, listEntry.bytes);
  a.i("mov", mem64(rsp, { disp: walk.cursor - walk.done }), rbx);
  a.i("jmp", look);
  a.bind(end);
  a.i("add", rsp, walk.bytes);
}
