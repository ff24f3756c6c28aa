/**
 * Arguments and results of the call that a routine serves: where they are while it runs. Registers
 * that `save` has put on the stack are found there; the others still hold what they held.
 */
import { assert } from "../../base/assert.ts";
import type { ValuePlace, ValueTypeName } from "../../ftrace/value-spec.ts";
import { mem64 } from "../../isa/x86-64/operands.ts";
import { r8 as byte, type Gpr, r16, r32, r64, xmm } from "../../isa/x86-64/registers.ts";
import { type Routine, routineFrame } from "./record.ts";

const { rax, rdx, rsp, rdi, r8, r9 } = r64;

/** Offsets of registers in what `save` pushes. */
export const savedOffset = { flags: 0, rsi: 8, rbx: 16, rcx: 24, rdx: 32, rax: 40 } as const;

/** Registers that someone has pushed above what `save` pushes, by their offsets from there. */
export type Pushed = ReadonlyMap<Gpr<64>, number>;
const nothingPushed: Pushed = new Map();

/**
 * Loads a value into rax, as 64 bits of which its type's are meaningful.
 * @param saved where what `save` pushed begins, from the stack pointer.
 * @param pushed registers that are on the stack, by their offset from the stack pointer.
 */
export function loadPlace(
  { a }: Routine,
  place: ValuePlace,
  saved: number,
  pushed: Pushed = nothingPushed,
): void {
  assert(place.kind !== "operand", "values of probes are loaded by loadOperand");
  switch (place.kind) {
    case "argument": {
      const kept = [undefined, savedOffset.rsi, savedOffset.rdx, savedOffset.rcx][place.index - 1];
      if (kept !== undefined) {
        a.i("mov", rax, mem64(rsp, { disp: saved + kept }));
        return;
      }
      const register = place.index === 1 ? rdi : place.index === 5 ? r8 : r9;
      assert([1, 5, 6].includes(place.index), "six arguments are in registers");
      const at = pushed.get(register);
      if (at === undefined) a.i("mov", rax, register);
      else a.i("mov", rax, mem64(rsp, { disp: at }));
      return;
    }
    case "stackArgument":
      a.i("mov", rax, mem64(rsp, { disp: saved + routineFrame.slot + 8 * place.index }));
      return;
    case "result":
      a.i("mov", rax, mem64(rsp, { disp: saved + savedOffset.rax }));
      return;
    case "floatArgument":
    case "floatResult": {
      a.i("movq", rax, xmm(place.kind === "floatResult" ? 0 : place.index - 1));
      return;
    }
    default:
      place satisfies never;
  }
}

/** Makes all 64 bits of rax meaningful. Clobbers rdx and the flags for `auto`. */
export function widen({ a }: Routine, named: ValueTypeName | "auto"): void {
  switch (named) {
    case "auto": {
      const wide = a.label();
      a.i("mov", rdx, rax);
      a.i("shr", rdx, 32);
      a.i("jne", wide);
      a.i("movsxd", rax, r32.eax);
      a.bind(wide);
      return;
    }
    case "u8":
    case "char":
    case "bool":
      a.i("movzx", r32.eax, byte.al);
      return;
    case "u16":
      a.i("movzx", r32.eax, r16.ax);
      return;
    case "u32":
    case "f32":
      a.i("mov", r32.eax, r32.eax);
      return;
    case "i8":
      a.i("movsx", rax, byte.al);
      return;
    case "i16":
      a.i("movsx", rax, r16.ax);
      return;
    case "i32":
      a.i("movsxd", rax, r32.eax);
      return;
    case "u64":
    case "i64":
    case "f64":
    case "pointer":
    case "text":
      return;
    default:
      named satisfies never;
  }
}
