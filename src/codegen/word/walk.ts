/** The walk through the list of all ops on AArch64 and RISC-V; its twin: `x86-64/walk.ts`. */
import type { DataAddr } from "../../base/brand.ts";
import { listEntry } from "../x86-64/walk.ts";
import { at, type Machine } from "./machine.ts";
import { rolesOf } from "./roles.ts";

/** What the walk has on the stack: which works are done, a bit each, and the entry it is at. */
export const walk = { done: 0, cursor: 8 } as const;

/**
 * Calls the functions of all ops of the list that want the site in `id`. Clobbers the other scratch
 * registers and the link register, which the frame has kept.
 * @param list address of a word that holds the list's address.
 */
export function emitWalk(m: Machine, list: DataAddr): void {
  const { code, stack } = m;
  const { a, b, slot, id } = rolesOf(m);
  const [look, next, end] = [code.label(), code.label(), code.label()];
  m.constant(a, list);
  m.load(a, at(a), 8);
  m.constant(b, 0);
  m.push([b, a]);
  code.bind(look);
  m.load(b, at(a, listEntry.function), 8);
  m.ifZero(b, end);
  m.load(slot, at(a, listEntry.wanted), 8);
  m.add(slot, slot, id);
  m.loadByte(slot, at(slot));
  m.ifZero(slot, next);
  m.callRegister(b);
  m.load(a, at(stack, walk.cursor), 8);
  code.bind(next);
  m.addConstant(a, a, listEntry.bytes);
  m.store(a, at(stack, walk.cursor), 8);
  m.jump(look);
  code.bind(end);
  m.pop([b, a]);
}
