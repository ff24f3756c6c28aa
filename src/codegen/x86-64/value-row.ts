/** The row of a value in statistics by values: see `ring/value-rows.ts`. */
import type { CountedValue } from "../../ftrace/ops.ts";
import { mem, mem64 } from "../../isa/x86-64/operands.ts";
import { r32, r64 } from "../../isa/x86-64/registers.ts";
import { hashFactor, keyBits, keyProbes, otherRow, zeroRow } from "../../ring/value-rows.ts";
import type { InstancePlan, Routine } from "./record.ts";
import { loadPlace, widen } from "./values.ts";

const { rax, rbx, rcx, rdx, rsi } = r64;

/**
 * Loads the row of the call's value into rax. Clobbers rcx, rdx, rsi and the flags.
 * @param saved where what `save` pushed begins, from the stack pointer.
 */
export function emitValueRow(
  routine: Routine,
  instance: InstancePlan,
  { place, type, table }: CountedValue,
  saved: number,
): void {
  const { a, cold } = routine;
  const [look, next, found, zero] = [a.label(), a.label(), a.label(), a.label()];
  const key = mem64(rcx, { index: rdx, scale: 8 });
  loadPlace(routine, place, saved);
  widen(routine, type);
  a.i("push", rbx);
  a.i("test", rax, rax);
  a.i("je", zero);
  a.i("mov", rsi, rax);
  a.i("mov", rdx, BigInt.asIntN(64, hashFactor));
  a.i("imul", rdx, rax);
  a.i("shr", rdx, 64 - keyBits);
  a.i("mov", rcx, instance.arena + BigInt(table.keys));
  a.i("mov", r32.ebx, keyProbes);
  a.bind(look);
  a.i("mov", rax, key);
  a.i("cmp", rax, rsi);
  a.i("je", found);
  a.i("test", rax, rax);
  a.i("jne", next);
  a.lock().i("cmpxchg", key, rsi);
  a.i("je", found);
  // Somebody else was faster; with the same value, perhaps.
  a.i("cmp", rax, rsi);
  a.i("je", found);
  a.bind(next);
  a.i("add", r32.edx, 1);
  a.i("and", r32.edx, 2 ** keyBits - 1);
  a.i("sub", r32.ebx, 1);
  a.i("jne", look);
  a.i("mov", r32.edx, otherRow);
  a.bind(found);
  a.i("lea", r32.eax, mem(rdx, { disp: table.firstRow }));
  a.i("pop", rbx);
  cold.push(() => {
    a.bind(zero);
    a.i("mov", r32.edx, zeroRow);
    a.i("jmp", found);
  });
}
